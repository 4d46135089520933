/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/text.h"

#define MAX_KEY 128
#define MAX_VALUE 96

typedef enum kind { MISSING = 0, NUMBER, TRUTH, STRING, OTHER } kind;

/* A field, whichever format it comes from. text: as JSON writes it. */
typedef struct value {
    kind kind;
    double number;
    bool truth;
    char text[MAX_VALUE];
} value;

/* A point in a key goes into an object. */
static const json_t *json_field(const json_t *config, const char *key)
{
    const char *point = strchr(key, '.');
    char object[MAX_KEY];
    if (!point)
        return json_object_get(config, key);
    snprintf(object, sizeof(object), "%.*s", (int)(point - key), key);
    return json_field(json_object_get(config, object), point + 1);
}

static void json_value(const json_t *config, const char *key, value *out)
{
    const json_t *field = json_field(config, key);
    if (!field || json_is_null(field))
        return;
    out->kind = json_is_number(field)    ? NUMBER
                : json_is_boolean(field) ? TRUTH
                : json_is_string(field)  ? STRING
                                         : OTHER;
    out->number = json_number_value(field);
    out->truth = json_is_true(field);
    char *text = json_dumps(field, JSON_ENCODE_ANY | JSON_COMPACT);
    snprintf(out->text, sizeof(out->text), "%s", text ? text : "");
    free(text);
}

static void metadata_value(const zm_metadata_value *field, value *out)
{
    zm_text text;
    if (!field)
        return;
    out->kind = OTHER;
    snprintf(out->text, sizeof(out->text), "an array");
    if (field->is_array)
        return;
    if (zm_metadata_real(field, 0, &out->number)) {
        out->kind = NUMBER;
        snprintf(out->text, sizeof(out->text), "%.9g", out->number);
    } else if (zm_metadata_bool(field, 0, &out->truth)) {
        out->kind = TRUTH;
        snprintf(out->text, sizeof(out->text), "%s", out->truth ? "true" : "false");
    } else if (zm_metadata_string(field, 0, &text)) {
        out->kind = STRING;
        snprintf(out->text, sizeof(out->text), "\"%.*s\"",
                 text.length < MAX_VALUE ? (int)text.length : MAX_VALUE, text.data);
        for (char *c = out->text; *c; c++)
            *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c; /* messages are one line */
    }
}

/* GGUF has the name of the family in front of its keys. */
static value get(const zm_text_fields *fields, const char *key)
{
    value out = {MISSING, 0, false, ""};
    char full[MAX_KEY];
    if (fields->config) {
        json_value(fields->config, key, &out);
    } else {
        snprintf(full, sizeof(full), "%s.%s", fields->family, key);
        metadata_value(zm_model_find_value(fields->model, full), &out);
    }
    return out;
}

static zm_status fail_type(const zm_text_fields *fields, const char *key, const value *v,
                           const char *expected)
{
    return zm_fail(fields->log, ZM_ERROR_BAD_FORMAT, "%s: %s is %s, expected %s", fields->what, key,
                   v->text, expected);
}

zm_status zm_text_field_u32(const zm_text_fields *fields, const char *key, uint32_t least,
                            uint32_t most, uint32_t *out, bool *found)
{
    value v = get(fields, key);
    char expected[64];
    *found = v.kind != MISSING;
    if (!*found)
        return ZM_OK;
    snprintf(expected, sizeof(expected), "a whole number in %u to %u", least, most);
    if (v.kind != NUMBER || !(v.number >= least && v.number <= most) || floor(v.number) != v.number)
        return fail_type(fields, key, &v, expected);
    *out = (uint32_t)v.number;
    return ZM_OK;
}

zm_status zm_text_field_real(const zm_text_fields *fields, const char *key, double least,
                             double most, double *out, bool *found)
{
    value v = get(fields, key);
    char expected[64];
    *found = v.kind != MISSING;
    if (!*found)
        return ZM_OK;
    snprintf(expected, sizeof(expected), "a number in %g to %g", least, most);
    if (v.kind != NUMBER || !(v.number >= least && v.number <= most))
        return fail_type(fields, key, &v, expected);
    *out = v.number;
    return ZM_OK;
}

zm_status zm_text_field_bool(const zm_text_fields *fields, const char *key, bool *out, bool *found)
{
    value v = get(fields, key);
    *found = v.kind != MISSING;
    if (!*found)
        return ZM_OK;
    if (v.kind != TRUTH)
        return fail_type(fields, key, &v, "true or false");
    *out = v.truth;
    return ZM_OK;
}

zm_status zm_text_field_string(const zm_text_fields *fields, const char *key, char *out,
                               size_t size, bool *found)
{
    value v = get(fields, key);
    *found = v.kind != MISSING;
    if (!*found)
        return ZM_OK;
    if (v.kind != STRING)
        return fail_type(fields, key, &v, "a string");
    snprintf(out, size, "%.*s", (int)strlen(v.text) - 2, v.text + 1); /* without its quotes */
    return ZM_OK;
}

zm_status zm_text_field_check(const zm_text_fields *fields, const zm_text_fixed *fixed)
{
    value v = get(fields, fixed->key);
    if (v.kind == MISSING || strcmp(v.text, fixed->value) == 0 ||
        (v.kind == NUMBER && v.number == strtod(fixed->value, NULL)))
        return ZM_OK;
    return zm_fail(fields->log, ZM_ERROR_UNSUPPORTED,
                   "%s: %s is %s, which is not supported for %s; only %s is%s%s", fields->what,
                   fixed->key, v.text, fields->family, fixed->value, fixed->reason ? ": " : "",
                   fixed->reason ? fixed->reason : "");
}
