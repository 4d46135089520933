/* SPDX-License-Identifier: Apache-2.0 */
#include "format/metadata.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned size;
    bool is_signed;
} types[ZM_METADATA_TYPE_COUNT] = {
    [ZM_METADATA_NONE] = {"none", 0, false},     [ZM_METADATA_U8] = {"u8", 1, false},
    [ZM_METADATA_I8] = {"i8", 1, true},          [ZM_METADATA_U16] = {"u16", 2, false},
    [ZM_METADATA_I16] = {"i16", 2, true},        [ZM_METADATA_U32] = {"u32", 4, false},
    [ZM_METADATA_I32] = {"i32", 4, true},        [ZM_METADATA_U64] = {"u64", 8, false},
    [ZM_METADATA_I64] = {"i64", 8, true},        [ZM_METADATA_F32] = {"f32", 4, true},
    [ZM_METADATA_F64] = {"f64", 8, true},        [ZM_METADATA_BOOL] = {"bool", 1, false},
    [ZM_METADATA_STRING] = {"string", 0, false}, [ZM_METADATA_ARRAY] = {"array", 0, false},
};

static bool is_type(zm_metadata_type type)
{
    return type >= 0 && type < ZM_METADATA_TYPE_COUNT;
}

const char *zm_metadata_type_name(zm_metadata_type type)
{
    return is_type(type) ? types[type].name : "none";
}

size_t zm_metadata_type_size(zm_metadata_type type)
{
    return is_type(type) ? types[type].size : 0;
}

/* The bytes of a number, sign-extended; false when there is no such number. */
static bool bits_get(const zm_metadata_value *value, uint64_t index, uint64_t *out)
{
    if (!value || !value->numbers || index >= value->count)
        return false;
    unsigned size = types[value->type].size;
    const uint8_t *bytes = (const uint8_t *)value->numbers + index * size;
    uint64_t bits = 0;
    for (unsigned i = 0; i < size; i++)
        bits |= (uint64_t)bytes[i] << 8 * i;
    if (types[value->type].is_signed && size < 8 && bits >> (8 * size - 1))
        bits |= UINT64_MAX << 8 * size;
    *out = bits;
    return true;
}

bool zm_metadata_integer(const zm_metadata_value *value, uint64_t index, int64_t *out)
{
    uint64_t bits;
    if (!bits_get(value, index, &bits) || value->type > ZM_METADATA_I64 ||
        (value->type == ZM_METADATA_U64 && bits > INT64_MAX))
        return false;
    memcpy(out, &bits, sizeof(*out));
    return true;
}

bool zm_metadata_real(const zm_metadata_value *value, uint64_t index, double *out)
{
    uint64_t bits;
    int64_t integer;
    if (zm_metadata_integer(value, index, &integer)) {
        *out = (double)integer;
        return true;
    }
    if (!bits_get(value, index, &bits))
        return false;
    if (value->type == ZM_METADATA_F32) {
        uint32_t narrow = (uint32_t)bits;
        float single;
        memcpy(&single, &narrow, sizeof(single));
        *out = (double)single;
    } else if (value->type == ZM_METADATA_F64) {
        memcpy(out, &bits, sizeof(*out));
    } else if (value->type == ZM_METADATA_U64) {
        *out = (double)bits;
    } else {
        return false;
    }
    return true;
}

bool zm_metadata_bool(const zm_metadata_value *value, uint64_t index, bool *out)
{
    uint64_t bits;
    if (!bits_get(value, index, &bits) || value->type != ZM_METADATA_BOOL)
        return false;
    *out = bits != 0;
    return true;
}

bool zm_metadata_string(const zm_metadata_value *value, uint64_t index, zm_text *out)
{
    if (!value || !value->texts || index >= value->count)
        return false;
    *out = value->texts[index];
    return true;
}

static int compare_keys(const void *left, const void *right)
{
    const zm_metadata_value *a = left, *b = right;
    return strcmp(a->key, b->key);
}

static int compare_key(const void *key, const void *element)
{
    return strcmp(key, ((const zm_metadata_value *)element)->key);
}

const zm_metadata_value *zm_metadata_find(const zm_metadata_value *values, size_t count,
                                          const char *key)
{
    return count ? bsearch(key, values, count, sizeof(*values), compare_key) : NULL;
}

const char *zm_metadata_sort(zm_metadata_value *values, size_t count)
{
    if (count > 0)
        qsort(values, count, sizeof(*values), compare_keys);
    for (size_t i = 1; i < count; i++)
        if (strcmp(values[i - 1].key, values[i].key) == 0)
            return values[i].key;
    return NULL;
}
