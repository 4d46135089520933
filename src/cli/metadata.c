/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/metadata.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"

enum { SHOWN_ELEMENTS = 4, SHOWN_BYTES = 60 };

static json_t *text_json(zm_text text)
{
    char *copy = malloc(text.length + 1);
    if (!copy)
        return NULL;
    if (text.length > 0)
        memcpy(copy, text.data, text.length);
    copy[text.length] = '\0';
    json_t *value = zm_cli_json_text(copy);
    free(copy);
    return value;
}

static json_t *value_json(const zm_metadata_value *value);

static json_t *element_json(const zm_metadata_value *value, uint64_t i)
{
    int64_t integer;
    double real;
    bool truth;
    zm_text text;
    if (value->arrays)
        return value_json(&value->arrays[i]);
    if (zm_metadata_string(value, i, &text))
        return text_json(text);
    if (zm_metadata_bool(value, i, &truth))
        return json_boolean(truth);
    if (zm_metadata_integer(value, i, &integer))
        return json_integer(integer);
    return zm_metadata_real(value, i, &real) ? zm_cli_json_real(real) : json_null();
}

static json_t *value_json(const zm_metadata_value *value)
{
    if (!value->is_array)
        return element_json(value, 0);
    json_t *array = json_array();
    bool complete = array != NULL;
    for (uint64_t i = 0; i < value->count && complete; i++)
        complete = json_array_append_new(array, element_json(value, i)) == 0;
    if (complete)
        return array;
    json_decref(array);
    return NULL;
}

/* Keys are not checked to be UTF-8 either. */
static bool put(json_t *object, const zm_metadata_value *value)
{
    json_t *key = zm_cli_json_text(value->key);
    bool done = key && json_object_set_new(object, json_string_value(key), value_json(value)) == 0;
    json_decref(key);
    return done;
}

json_t *zm_cli_metadata_json(const zm_model *model)
{
    json_t *object = json_object();
    bool complete = object != NULL;
    for (size_t i = 0; i < zm_model_get_info(model)->metadata_count && complete; i++)
        complete = put(object, zm_model_get_value(model, i));
    if (complete)
        return object;
    json_decref(object);
    return NULL;
}

/* On one line, whatever it holds; cut between characters. */
static void print_string(zm_text text)
{
    size_t shown = text.length;
    if (shown > SHOWN_BYTES) {
        shown = SHOWN_BYTES;
        while (shown > 0 && ((unsigned char)text.data[shown] & 0xc0) == 0x80)
            shown--;
    }
    putchar('"');
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)text.data[i];
        if (c == '\n')
            printf("\\n");
        else
            putchar(c < 0x20 || c == 0x7f ? '?' : c);
    }
    printf(shown < text.length ? "...\"" : "\"");
}

static void print_element(const zm_metadata_value *value, uint64_t i)
{
    int64_t integer;
    double real = 0;
    bool truth;
    zm_text text;
    if (value->arrays)
        printf("%s[%" PRIu64 "]", zm_metadata_type_name(value->arrays[i].type),
               value->arrays[i].count);
    else if (zm_metadata_string(value, i, &text))
        print_string(text);
    else if (zm_metadata_bool(value, i, &truth))
        printf(truth ? "true" : "false");
    else if (zm_metadata_integer(value, i, &integer))
        printf("%" PRId64, integer);
    else if (zm_metadata_real(value, i, &real))
        printf("%.7g", real);
}

void zm_cli_metadata_print(const zm_model *model)
{
    for (size_t i = 0; i < zm_model_get_info(model)->metadata_count; i++) {
        const zm_metadata_value *value = zm_model_get_value(model, i);
        printf("%-40s %s", value->key, zm_metadata_type_name(value->type));
        if (value->is_array)
            printf("[%" PRIu64 "]", value->count);
        for (uint64_t k = 0; k < value->count && k < SHOWN_ELEMENTS; k++) {
            printf(k ? ", " : " ");
            print_element(value, k);
        }
        printf(value->count > SHOWN_ELEMENTS ? ", ...\n" : "\n");
    }
}
