/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata of a GGUF file. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/gguf_reader.h"
#include "format/gguf_types.h"
#include "format/metadata.h"

/* Keys come from the file and may be long: messages show their beginning. */
#define KEY "%.200s"
/* What an entry takes at least: a key of one character, a type, a byte. */
#define LEAST_ENTRY (8u + 1u + 4u + 1u)
/* An array in an array: the type of its elements, their count. */
#define LEAST_ARRAY (4u + 8u)

/* A copy with a NUL behind it, so that it can be handed out as a C string as well. */
static zm_status read_string(zm_gguf_reader *r, zm_metadata_value *value)
{
    zm_text text;
    zm_status status = zm_gguf_text(r, value->key, &text);
    if (status != ZM_OK)
        return status;
    zm_text *copy = zm_calloc(1, sizeof(*copy));
    char *data = zm_calloc(text.length + 1, 1);
    if (!copy || !data) {
        free(copy);
        free(data);
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its metadata",
                       r->part->path);
    }
    if (text.length > 0)
        memcpy(data, text.data, text.length);
    *copy = (zm_text){data, text.length};
    value->texts = copy;
    return ZM_OK;
}

/* Where each of them begins: tokenizers look strings up by number. */
static zm_status read_strings(zm_gguf_reader *r, zm_metadata_value *value)
{
    if (value->count > zm_gguf_left(r) / 8)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: " KEY " claims %" PRIu64 " strings, the file ends before: truncated? "
                       "fetch it again",
                       r->part->path, value->key, value->count);
    zm_text *texts = zm_calloc((size_t)value->count, sizeof(*texts));
    if (!texts)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %" PRIu64 " strings",
                       r->part->path, value->count);
    value->texts = texts;
    zm_status status = ZM_OK;
    for (uint64_t i = 0; i < value->count && status == ZM_OK; i++)
        status = zm_gguf_text(r, value->key, &texts[i]);
    return status;
}

static zm_status check_bools(const zm_gguf_reader *r, const zm_metadata_value *value)
{
    const uint8_t *bytes = value->numbers;
    for (uint64_t i = 0; i < value->count; i++)
        if (bytes[i] > 1)
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: " KEY " is a bool of value %u",
                           r->part->path, value->key, bytes[i]);
    return ZM_OK;
}

static zm_status read_numbers(zm_gguf_reader *r, zm_metadata_value *value)
{
    uint64_t size;
    const uint8_t *bytes = NULL;
    if (!zm_mul_u64(value->count, zm_metadata_type_size(value->type), &size))
        size = UINT64_MAX;
    zm_status status = zm_gguf_take(r, size, value->key, &bytes);
    value->numbers = bytes;
    if (status == ZM_OK && value->type == ZM_METADATA_BOOL)
        status = check_bools(r, value);
    return status;
}

static zm_status read_type(zm_gguf_reader *r, const zm_metadata_value *value, zm_metadata_type *out)
{
    uint32_t id = 0;
    zm_status status = zm_gguf_u32(r, value->key, &id);
    *out = zm_gguf_value_type_find(id);
    if (status == ZM_OK && *out == ZM_METADATA_NONE)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: " KEY " has a value of type %u, which GGUF does not have",
                       r->part->path, value->key, id);
    return status;
}

static zm_status read_array(zm_gguf_reader *r, zm_metadata_value *value, int depth);

static zm_status read_arrays(zm_gguf_reader *r, zm_metadata_value *value, int depth)
{
    if (depth == ZM_GGUF_DEPTH)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: " KEY " has arrays in arrays, more than %d deep", r->part->path,
                       value->key, ZM_GGUF_DEPTH);
    if (value->count > zm_gguf_left(r) / LEAST_ARRAY)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: " KEY " claims %" PRIu64 " arrays, the file ends before: truncated? "
                       "fetch it again",
                       r->part->path, value->key, value->count);
    zm_metadata_value *arrays = zm_calloc((size_t)value->count, sizeof(*arrays));
    if (!arrays)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its metadata",
                       r->part->path);
    value->arrays = arrays;
    zm_status status = ZM_OK;
    for (uint64_t i = 0; i < value->count && status == ZM_OK; i++) {
        arrays[i].key = value->key;
        status = read_array(r, &arrays[i], depth + 1);
    }
    return status;
}

static zm_status read_array(zm_gguf_reader *r, zm_metadata_value *value, int depth)
{
    value->is_array = true;
    zm_status status = read_type(r, value, &value->type);
    if (status == ZM_OK)
        status = zm_gguf_u64(r, value->key, &value->count);
    if (status != ZM_OK)
        return status;
    if (value->type == ZM_METADATA_ARRAY)
        return read_arrays(r, value, depth);
    return value->type == ZM_METADATA_STRING ? read_strings(r, value) : read_numbers(r, value);
}

static zm_status read_value(zm_gguf_reader *r, zm_metadata_value *value)
{
    zm_status status = read_type(r, value, &value->type);
    if (status != ZM_OK)
        return status;
    if (value->type == ZM_METADATA_ARRAY)
        return read_array(r, value, 1);
    value->count = 1;
    return value->type == ZM_METADATA_STRING ? read_string(r, value) : read_numbers(r, value);
}

zm_status zm_gguf_read_values(zm_gguf_reader *r, uint64_t count)
{
    zm_gguf_part *part = r->part;
    size_t capacity = 0;
    if (count > zm_gguf_left(r) / LEAST_ENTRY)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: claims %" PRIu64 " entries of metadata, the file ends before: "
                       "truncated? fetch it again",
                       part->path, count);
    for (uint64_t i = 0; i < count; i++) {
        char *key = NULL;
        void *grown = part->values;
        zm_status status = zm_gguf_name(r, "a key of the metadata", &key);
        if (status != ZM_OK)
            return status;
        if (!zm_array_reserve(&grown, &capacity, part->value_count + 1, sizeof(*part->values))) {
            free(key);
            return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its metadata",
                           part->path);
        }
        part->values = grown;
        zm_metadata_value *value = &part->values[part->value_count++];
        *value = (zm_metadata_value){.key = key};
        status = read_value(r, value);
        if (status != ZM_OK)
            return status;
    }
    const char *twice = zm_metadata_sort(part->values, part->value_count);
    return twice ? zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: the metadata has " KEY " twice",
                           part->path, twice)
                 : ZM_OK;
}

/* Without its key. On failure some of what it points to may not be there. */
static void free_value(const zm_metadata_value *value)
{
    for (uint64_t i = 0; value->arrays && i < value->count; i++)
        free_value(&value->arrays[i]);
    free((void *)(uintptr_t)value->arrays);
    if (value->texts && !value->is_array)
        free((void *)(uintptr_t)value->texts[0].data);
    free((void *)(uintptr_t)value->texts);
}

void zm_gguf_free_values(zm_gguf_part *part)
{
    for (size_t i = 0; i < part->value_count; i++) {
        free_value(&part->values[i]);
        free((void *)(uintptr_t)part->values[i].key);
    }
    free(part->values);
    part->values = NULL;
    part->value_count = 0;
}
