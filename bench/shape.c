/* SPDX-License-Identifier: Apache-2.0 */
#include "shape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SIZE 16777216u

static const shape_op *find(const char *op)
{
    for (size_t i = 0; i < shape_matrix_op_count; i++)
        if (strcmp(shape_matrix_ops[i].name, op) == 0)
            return &shape_matrix_ops[i];
    for (size_t i = 0; i < shape_row_op_count; i++)
        if (strcmp(shape_row_ops[i].name, op) == 0)
            return &shape_row_ops[i];
    return NULL;
}

static bool read_number(const char *text, size_t length, uint32_t *out)
{
    char digits[12], *end;
    if (length == 0 || length >= sizeof(digits) || text[0] < '0' || text[0] > '9')
        return false;
    memcpy(digits, text, length);
    digits[length] = '\0';
    unsigned long value = strtoul(digits, &end, 10);
    *out = (uint32_t)value;
    return *end == '\0' && value >= 1 && value <= MAX_SIZE;
}

static bool read_item(const char *text, size_t length, shape_item *out)
{
    const char *equals = memchr(text, '=', length);
    size_t key = equals ? (size_t)(equals - text) : length;
    if (key == 0 || key >= sizeof(out->key))
        return false;
    memcpy(out->key, text, key);
    out->key[key] = '\0';
    out->value = 1;
    return !equals || read_number(equals + 1, length - key - 1, &out->value);
}

static bool is_there_before(const shape *s, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (strcmp(s->items[i].key, s->items[index].key) == 0)
            return true;
    return false;
}

zm_status shape_parse(const char *text, shape *s, shape_reason *reason)
{
    while (*text) {
        size_t length = strcspn(text, ",");
        if (s->count == SHAPE_MAX_ITEMS || !read_item(text, length, &s->items[s->count])) {
            snprintf(reason->text, sizeof(reason->text),
                     "'%.*s' is no KEY=NUMBER (1 to %u) and no flag", (int)length, text, MAX_SIZE);
            return ZM_ERROR_INVALID_ARGUMENT;
        }
        if (is_there_before(s, s->count)) {
            snprintf(reason->text, sizeof(reason->text), "'%s' is there twice",
                     s->items[s->count].key);
            return ZM_ERROR_INVALID_ARGUMENT;
        }
        s->count++;
        text += length + (text[length] == ',');
    }
    return ZM_OK;
}

static zm_status check_keys(const shape *s, const shape_op *op, shape_reason *reason)
{
    for (size_t i = 0; i < s->count; i++) {
        if (s->items[i].used)
            continue;
        snprintf(reason->text, sizeof(reason->text), "%s has no '%s'; it has %s", op->name,
                 s->items[i].key, op->keys);
        return ZM_ERROR_INVALID_ARGUMENT;
    }
    return ZM_OK;
}

zm_status shape_to_case(const char *op, const char *text, zm_dtype type, zm_dtype weight_type,
                        op_case *out, shape_reason *reason)
{
    shape s = {.weight_type = weight_type ? weight_type : ZM_F32};
    const shape_op *known = find(op);
    if (!known) {
        snprintf(reason->text, sizeof(reason->text), "no shapes are known for %s", op);
        return ZM_ERROR_UNSUPPORTED;
    }
    zm_status status = shape_parse(text, &s, reason);
    if (status != ZM_OK)
        return status;
    memset(out, 0, sizeof(*out));
    out->activation = type;
    bool fits = known->build(&s, out);
    status = check_keys(&s, known, reason);
    if (status == ZM_OK && !fits) {
        snprintf(reason->text, sizeof(reason->text), "%s: the sizes of '%s' don't fit together", op,
                 text);
        status = ZM_ERROR_INVALID_ARGUMENT;
    }
    return status;
}

size_t shape_list(const char *op, const char *const **texts)
{
    const shape_op *known = find(op);
    size_t count = 0;
    *texts = known ? known->texts : NULL;
    while (known && known->texts[count])
        count++;
    return count;
}

const char *shape_keys(const char *op)
{
    const shape_op *known = find(op);
    return known ? known->keys : NULL;
}

static shape_item *item(shape *s, const char *key)
{
    for (size_t i = 0; i < s->count; i++) {
        if (strcmp(s->items[i].key, key) == 0) {
            s->items[i].used = true;
            return &s->items[i];
        }
    }
    return NULL;
}

uint32_t shape_get(shape *s, const char *key, uint32_t otherwise)
{
    const shape_item *found = item(s, key);
    return found ? found->value : otherwise;
}

bool shape_flag(shape *s, const char *key)
{
    return item(s, key) != NULL;
}

zm_activation shape_activation(shape *s)
{
    static const struct {
        const char *flag;
        zm_activation kind;
    } kinds[] = {{"gelu", ZM_ACTIVATION_GELU},
                 {"gelu_tanh", ZM_ACTIVATION_GELU_TANH},
                 {"silu", ZM_ACTIVATION_SILU},
                 {"relu", ZM_ACTIVATION_RELU},
                 {"quick_gelu", ZM_ACTIVATION_QUICK_GELU}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (shape_flag(s, kinds[i].flag))
            return kinds[i].kind;
    return ZM_ACTIVATION_NONE;
}
