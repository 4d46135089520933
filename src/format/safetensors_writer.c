/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/safetensors.h"
#include "format/safetensors_types.h"

/* False: the tensor cannot be written. */
static bool measure(const zm_model_tensor *tensor, uint64_t begin, uint64_t *end)
{
    zm_model_tensor measured = *tensor;
    if (!zm_safetensors_type_name(tensor->dtype) || tensor->rank > 4 ||
        !zm_safetensors_measure(&measured) || !zm_add_u64(begin, measured.bytes, end))
        return false;
    for (uint32_t i = 0; i < tensor->rank; i++) /* an empty tensor may have any shape */
        if (tensor->shape[i] > INT64_MAX)
            return false;
    return *end <= INT64_MAX;
}

/* NULL when out of memory. */
static json_t *describe_tensor(const zm_model_tensor *tensor, uint64_t begin, uint64_t end)
{
    json_t *shape = json_array();
    bool made = shape != NULL;
    for (uint32_t i = 0; i < tensor->rank && made; i++)
        made = json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i])) == 0;
    if (!made) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", zm_safetensors_type_name(tensor->dtype),
                     "shape", shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    bool valid = string != NULL;
    json_decref(string);
    return valid;
}

static zm_status describe_tensors(const char *path, json_t *header, const zm_model_tensor *tensors,
                                  size_t count, const zm_log *log, uint64_t *sizes)
{
    uint64_t end = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = tensors[i].name;
        uint64_t begin = end;
        if (!name || !zm_safetensors_name_valid(name) || !is_utf8(name))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: tensor %zu has no valid name", path,
                           i);
        if (json_object_get(header, name))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: two tensors are called %s", path,
                           name);
        if (!measure(&tensors[i], begin, &end))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                           "%s: tensor %s: its type, rank or size cannot be written", path, name);
        if (json_object_set_new(header, name, describe_tensor(&tensors[i], begin, end)) != 0)
            return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", path);
        sizes[i] = end - begin;
    }
    return ZM_OK;
}

static zm_status describe_metadata(const char *path, json_t *header, const zm_metadata *metadata,
                                   size_t count, const zm_log *log)
{
    if (count == 0)
        return ZM_OK;
    json_t *object = json_object();
    bool made = json_object_set_new(header, ZM_SAFETENSORS_METADATA, object) == 0;
    for (size_t i = 0; i < count && made; i++) {
        if (!is_utf8(metadata[i].key) || !is_utf8(metadata[i].value))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: metadata that is not valid UTF-8",
                           path);
        made = json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)) == 0;
    }
    return made ? ZM_OK
                : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", path);
}

/* Length, JSON, and blanks up to a multiple of 8, so that the data is aligned. Two passes of
 * json_dumpb: json_dumps may leave parts out when memory runs short. */
static zm_status write_header(zm_tensor_writer *writer, const char *path, const json_t *header,
                              const zm_log *log)
{
    size_t size = json_dumpb(header, NULL, 0, JSON_COMPACT);
    size_t padded = (size + 7) / 8 * 8;
    if (size > 0 && padded > ZM_SAFETENSORS_MAX_HEADER)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: its header would be over %u bytes", path,
                       ZM_SAFETENSORS_MAX_HEADER);
    char *text = malloc(padded + ZM_SAFETENSORS_LENGTH_SIZE);
    zm_status status = ZM_OK;
    if (text) {
        char *json = text + ZM_SAFETENSORS_LENGTH_SIZE;
        for (unsigned i = 0; i < ZM_SAFETENSORS_LENGTH_SIZE; i++)
            text[i] = (char)((uint64_t)padded >> 8 * i & 0xff);
        memset(json, ' ', padded);
        if (size == 0 || json_dumpb(header, json, size, JSON_COMPACT) != size)
            status = ZM_ERROR_OUT_OF_MEMORY;
    }
    if (!text || status != ZM_OK)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", path);
    else
        status = zm_tensor_writer_header(writer, text, padded + ZM_SAFETENSORS_LENGTH_SIZE);
    free(text);
    return status;
}

zm_status zm_safetensors_writer_open(const char *path, const zm_model_tensor *tensors,
                                     size_t tensor_count, const zm_metadata *metadata,
                                     size_t metadata_count, const zm_log *log,
                                     zm_tensor_writer **out)
{
    zm_tensor_writer *writer = NULL;
    json_t *header = json_object();
    uint64_t *sizes = zm_calloc(tensor_count, sizeof(*sizes));
    zm_status status = ZM_OK;
    if (!sizes || !header)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    if (status == ZM_OK)
        status = describe_metadata(path, header, metadata, metadata_count, log);
    if (status == ZM_OK)
        status = describe_tensors(path, header, tensors, tensor_count, log, sizes);
    if (status == ZM_OK)
        status = zm_tensor_writer_open(path, sizes, tensor_count, 1, log, &writer);
    if (status == ZM_OK)
        status = write_header(writer, path, header, log);
    json_decref(header);
    free(sizes);
    if (status != ZM_OK) {
        zm_tensor_writer_discard(&writer);
        return status;
    }
    *out = writer;
    return ZM_OK;
}
