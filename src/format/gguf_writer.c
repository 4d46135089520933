/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/gguf.h"
#include "format/gguf_types.h"
#include "format/metadata.h"

/* A header that is being made. Out of memory is remembered, and said at the end. */
typedef struct header {
    void *bytes;
    size_t size, capacity;
    bool failed;
} header;

static void put(header *h, const void *data, size_t size)
{
    size_t end = h->size + size;
    if (size == 0 || h->failed)
        return;
    h->failed = end < size || !zm_array_reserve(&h->bytes, &h->capacity, end, 1);
    if (h->failed)
        return;
    memcpy((char *)h->bytes + h->size, data, size);
    h->size = end;
}

static void put_integer(header *h, uint64_t value, int size)
{
    uint8_t bytes[8];
    for (int i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i & 0xff);
    put(h, bytes, (size_t)size);
}

static void put_text(header *h, const char *text, size_t length)
{
    put_integer(h, length, 8);
    put(h, text, length);
}

static zm_status check_elements(const char *path, const char *key, const zm_metadata_value *value,
                                int depth, const zm_log *log)
{
    const bool is_text = value->type == ZM_METADATA_STRING;
    const bool is_nested = value->type == ZM_METADATA_ARRAY;
    const void *elements = is_text ? (const void *)value->texts
                                   : (is_nested ? (const void *)value->arrays : value->numbers);
    if (!is_text && !is_nested && zm_metadata_type_size(value->type) == 0)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: %s has no type", path, key);
    if ((!value->is_array && (value->count != 1 || is_nested)) || (value->count > 0 && !elements))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: %s has no value", path, key);
    if (is_nested && depth == ZM_GGUF_DEPTH)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: %s has arrays more than %d deep", path,
                       key, ZM_GGUF_DEPTH);
    zm_status status = ZM_OK;
    for (uint64_t i = 0; i < value->count && status == ZM_OK; i++) {
        if (value->type == ZM_METADATA_BOOL && ((const uint8_t *)value->numbers)[i] > 1)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: %s is no bool", path, key);
        if (is_nested && !value->arrays[i].is_array)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: %s has no arrays", path, key);
        if (is_nested)
            status = check_elements(path, key, &value->arrays[i], depth + 1, log);
    }
    return status;
}

static zm_status check_value(const char *path, const zm_metadata_value *value, const zm_log *log)
{
    if (!value->key || !zm_gguf_name_valid(value->key, strlen(value->key)))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: a key of the metadata is not valid",
                       path);
    return check_elements(path, value->key, value, 1, log);
}

/* An array has its type, its count, and its elements. */
static void put_elements(header *h, const zm_metadata_value *value)
{
    put_integer(h, zm_gguf_value_type_id(value->type), 4);
    if (value->is_array)
        put_integer(h, value->count, 8);
    if (value->numbers)
        put(h, value->numbers, (size_t)value->count * zm_metadata_type_size(value->type));
    for (uint64_t i = 0; value->type == ZM_METADATA_STRING && i < value->count; i++)
        put_text(h, value->texts[i].data, value->texts[i].length);
    for (uint64_t i = 0; value->type == ZM_METADATA_ARRAY && i < value->count; i++)
        put_elements(h, &value->arrays[i]);
}

static void put_value(header *h, const zm_metadata_value *value)
{
    put_text(h, value->key, strlen(value->key));
    if (value->is_array)
        put_integer(h, zm_gguf_value_type_id(ZM_METADATA_ARRAY), 4);
    put_elements(h, value);
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* ZM_OK when no two of the names are equal; sorts them. */
static zm_status check_names(const char *path, const char **names, size_t count, const zm_log *log)
{
    if (count > 0)
        qsort(names, count, sizeof(*names), compare_texts);
    for (size_t i = 1; i < count; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: there are two %s", path, names[i]);
    return ZM_OK;
}

/* names has room for count. */
static zm_status put_values(header *h, const char *path, const zm_metadata_value *values,
                            size_t count, const char **names, const zm_log *log)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < count && status == ZM_OK; i++) {
        status = check_value(path, &values[i], log);
        names[i] = values[i].key;
        if (status == ZM_OK)
            put_value(h, &values[i]);
    }
    return status == ZM_OK ? check_names(path, names, count, log) : status;
}

static zm_status check_tensor(const char *path, const zm_model_tensor *tensor, size_t number,
                              uint32_t *type, uint64_t *bytes, const zm_log *log)
{
    const char *reason = NULL;
    zm_model_tensor measured = *tensor;
    if (!tensor->name || !zm_gguf_name_valid(tensor->name, strlen(tensor->name)))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: tensor %zu has no valid name", path,
                       number);
    if (!zm_gguf_type_id(tensor->dtype, type))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: tensor %s: GGUF files have no tensors of type %s", path, tensor->name,
                       zm_dtype_name(tensor->dtype));
    reason = tensor->rank > 4 ? "its rank is over 4" : zm_gguf_measure(&measured);
    *bytes = measured.bytes;
    return reason ? zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: tensor %s: %s", path, tensor->name,
                            reason)
                  : ZM_OK;
}

/* names and sizes have room for count. */
static zm_status put_tensors(header *h, const char *path, const zm_model_tensor *tensors,
                             size_t count, uint32_t alignment, const char **names, uint64_t *sizes,
                             const zm_log *log)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const zm_model_tensor *tensor = &tensors[i];
        uint32_t type = 0;
        zm_status status = check_tensor(path, tensor, i, &type, &sizes[i], log);
        if (status != ZM_OK)
            return status;
        names[i] = tensor->name;
        put_text(h, tensor->name, strlen(tensor->name));
        put_integer(h, tensor->rank, 4);
        for (uint32_t k = tensor->rank; k-- > 0;)
            put_integer(h, tensor->shape[k], 8);
        put_integer(h, type, 4);
        put_integer(h, offset, 8);
        if (!zm_add_u64(offset, sizes[i], &offset) || !zm_gguf_align(offset, alignment, &offset) ||
            offset > INT64_MAX)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: tensor %s: too much data", path,
                           tensor->name);
    }
    return check_names(path, names, count, log);
}

static zm_status put_header(header *h, const char *path, const zm_model_tensor *tensors,
                            const zm_metadata_value *values, size_t value_count, const zm_log *log,
                            uint64_t *sizes, size_t count, uint32_t *alignment)
{
    const char **names = zm_calloc(count > value_count ? count : value_count, sizeof(*names));
    if (!names)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    put(h, ZM_GGUF_MAGIC, 4);
    put_integer(h, ZM_GGUF_VERSION, 4);
    put_integer(h, count, 8);
    put_integer(h, value_count, 8);
    zm_status status = put_values(h, path, values, value_count, names, log);
    if (status == ZM_OK && !zm_gguf_alignment(values, value_count, alignment))
        status = zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: " ZM_GGUF_ALIGNMENT_KEY " is no power of two from 8 to 65536", path);
    if (status == ZM_OK)
        status = put_tensors(h, path, tensors, count, *alignment, names, sizes, log);
    while (status == ZM_OK && !h->failed && h->size % *alignment != 0)
        put_integer(h, 0, 1);
    if (status == ZM_OK && h->failed)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", path);
    free(names);
    return status;
}

zm_status zm_gguf_writer_open(const char *path, const zm_model_tensor *tensors, size_t tensor_count,
                              const zm_metadata_value *values, size_t value_count,
                              const zm_log *log, zm_tensor_writer **out)
{
    header h = {0};
    uint32_t alignment = 0;
    zm_tensor_writer *writer = NULL;
    uint64_t *sizes = zm_calloc(tensor_count, sizeof(*sizes));
    zm_status status =
        sizes ? ZM_OK : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    if (status == ZM_OK)
        status = put_header(&h, path, tensors, values, value_count, log, sizes, tensor_count,
                            &alignment);
    if (status == ZM_OK)
        status = zm_tensor_writer_open(path, sizes, tensor_count, alignment, log, &writer);
    if (status == ZM_OK)
        status = zm_tensor_writer_header(writer, h.bytes, h.size);
    free(h.bytes);
    free(sizes);
    if (status != ZM_OK) {
        zm_tensor_writer_discard(&writer);
        return status;
    }
    *out = writer;
    return ZM_OK;
}
