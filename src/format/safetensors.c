/* SPDX-License-Identifier: Apache-2.0 */
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/json.h"
#include "format/ranges.h"
#include "format/safetensors_types.h"

/* Names come from the file and may be long: messages show their beginning. */
#define NAME "%.200s"

/* What the steps of opening share. */
typedef struct reader {
    zm_safetensors *file;
    const char *path;
    const zm_log *log;
    const uint8_t *data;
    uint64_t data_size;
    zm_tensor_range *ranges;
} reader;

static zm_status read_header(reader *r, json_t **out)
{
    const zm_map *map = &r->file->map;
    if (map->size < ZM_SAFETENSORS_LENGTH_SIZE)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: %llu bytes are too few for a safetensors file; fetch it again", r->path,
                       (unsigned long long)map->size);
    uint64_t length = 0;
    for (unsigned i = 0; i < ZM_SAFETENSORS_LENGTH_SIZE; i++)
        length |= (uint64_t)map->data[i] << 8 * i;
    uint64_t rest = map->size - ZM_SAFETENSORS_LENGTH_SIZE;
    if (length > ZM_SAFETENSORS_MAX_HEADER)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: a header of %llu bytes is over the limit of %u: no safetensors "
                       "file? fetch or export it again",
                       r->path, (unsigned long long)length, ZM_SAFETENSORS_MAX_HEADER);
    if (length > rest)
        return zm_fail(
            r->log, ZM_ERROR_BAD_FORMAT,
            "%s: the header needs %llu bytes, the file has %llu: truncated? fetch it again",
            r->path, (unsigned long long)length, (unsigned long long)rest);
    const char *text = (const char *)map->data + ZM_SAFETENSORS_LENGTH_SIZE;
    if (length == 0 || text[0] != '{')
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: the header does not begin with '{': no safetensors file? fetch or "
                       "export it again",
                       r->path);
    r->data = map->data + ZM_SAFETENSORS_LENGTH_SIZE + length;
    r->data_size = rest - length;
    return zm_json_parse(text, (size_t)length, r->path, r->log, out);
}

static zm_status read_type(const reader *r, const json_t *entry, zm_model_tensor *tensor)
{
    const char *type = zm_json_string(entry, "dtype");
    if (!type)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: tensor " NAME ": dtype is not a string",
                       r->path, tensor->name);
    tensor->dtype = zm_safetensors_type_find(type);
    if (tensor->dtype == ZM_DTYPE_NONE)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor " NAME ": the element type %.40s is not supported", r->path,
                       tensor->name, zm_safetensors_name_valid(type) ? type : "?");
    return ZM_OK;
}

/* An integer >= 0; anything else is refused. */
static bool read_number(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

static zm_status read_shape(const reader *r, const json_t *entry, zm_model_tensor *tensor)
{
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: tensor " NAME ": shape is not an array",
                       r->path, tensor->name);
    size_t rank = json_array_size(shape);
    if (rank > 4)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor " NAME ": rank %zu is over the limit of 4", r->path,
                       tensor->name, rank);
    tensor->rank = (uint32_t)rank;
    for (size_t i = 0; i < rank; i++)
        if (!read_number(json_array_get(shape, i), &tensor->shape[i]))
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor " NAME ": shape[%zu] is not an integer >= 0", r->path,
                           tensor->name, i);
    if (!zm_safetensors_measure(tensor))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME ": the product of its shape overflows", r->path,
                       tensor->name);
    return ZM_OK;
}

static zm_status read_range(const reader *r, const json_t *entry, const zm_model_tensor *tensor,
                            zm_tensor_range *out)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2 ||
        !read_number(json_array_get(offsets, 0), &out->begin) ||
        !read_number(json_array_get(offsets, 1), &out->end))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME ": data_offsets are not two integers >= 0", r->path,
                       tensor->name);
    if (out->begin > out->end || out->end > r->data_size)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME ": data_offsets [%llu, %llu] are outside of the data "
                       "(%llu bytes): truncated? fetch it again",
                       r->path, tensor->name, (unsigned long long)out->begin,
                       (unsigned long long)out->end, (unsigned long long)r->data_size);
    if (out->end - out->begin != tensor->bytes)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor " NAME ": data_offsets span %llu bytes, type and shape need "
                       "%llu",
                       r->path, tensor->name, (unsigned long long)(out->end - out->begin),
                       (unsigned long long)tensor->bytes);
    return ZM_OK;
}

static zm_status read_tensor(reader *r, const char *name, const json_t *entry)
{
    zm_safetensors *file = r->file;
    if (!zm_safetensors_name_valid(name))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor %zu has a name that is empty or has control characters", r->path,
                       file->tensor_count);
    if (!json_is_object(entry))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT, "%s: tensor " NAME ": is not a JSON object",
                       r->path, name);
    zm_model_tensor *tensor = &file->tensors[file->tensor_count];
    tensor->name = zm_strdup(name);
    if (!tensor->name)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header", r->path);
    zm_tensor_range *place = &r->ranges[file->tensor_count];
    place->tensor = tensor;
    file->tensor_count++;
    zm_status status = read_type(r, entry, tensor);
    if (status == ZM_OK)
        status = read_shape(r, entry, tensor);
    if (status == ZM_OK)
        status = read_range(r, entry, tensor, place);
    return status;
}

static zm_status read_metadata(reader *r, json_t *object)
{
    zm_safetensors *file = r->file;
    if (!json_is_object(object))
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: " ZM_SAFETENSORS_METADATA " is not a JSON object", r->path);
    file->metadata = zm_calloc(json_object_size(object), sizeof(*file->metadata));
    if (!file->metadata)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its metadata", r->path);
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        if (!json_is_string(value))
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                           "%s: " ZM_SAFETENSORS_METADATA " holds something that is not a string",
                           r->path);
        zm_metadata *entry = &file->metadata[file->metadata_count++];
        entry->key = zm_strdup(key);
        entry->value = zm_strdup(json_string_value(value));
        if (!entry->key || !entry->value)
            return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its metadata",
                           r->path);
    }
    return ZM_OK;
}

static zm_status read_entries(reader *r, json_t *header)
{
    size_t count = json_object_size(header);
    r->file->tensors = zm_calloc(count, sizeof(*r->file->tensors));
    r->ranges = zm_calloc(count, sizeof(*r->ranges));
    if (!r->file->tensors || !r->ranges)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %zu tensors", r->path,
                       count);
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        zm_status status = strcmp(name, ZM_SAFETENSORS_METADATA) == 0 ? read_metadata(r, entry)
                                                                      : read_tensor(r, name, entry);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* The tensors must cover the data section, each byte once. */
static zm_status check_ranges(reader *r)
{
    const zm_safetensors *file = r->file;
    zm_ranges_sort(r->ranges, file->tensor_count);
    uint64_t end = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const char *name = r->ranges[i].tensor->name;
        if (r->ranges[i].begin < end)
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor " NAME " overlaps the one before it; export it again",
                           r->path, name);
        if (r->ranges[i].begin > end)
            return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                           "%s: a hole of %llu bytes before tensor " NAME "; export it again",
                           r->path, (unsigned long long)(r->ranges[i].begin - end), name);
        end = r->ranges[i].end;
    }
    if (end != r->data_size)
        return zm_fail(r->log, ZM_ERROR_BAD_FORMAT,
                       "%s: %llu bytes behind the last tensor; fetch it again", r->path,
                       (unsigned long long)(r->data_size - end));
    return ZM_OK;
}

static bool is_aligned(const reader *r)
{
    for (size_t i = 0; i < r->file->tensor_count; i++) {
        const zm_model_tensor *tensor = r->ranges[i].tensor;
        uintptr_t address = (uintptr_t)r->data + (uintptr_t)r->ranges[i].begin;
        if (address % zm_dtype_size(tensor->dtype) != 0)
            return false;
    }
    return true;
}

/* Old files do not pad their header, and mixed types may break the alignment inside: the tensors
 * then move, each to a multiple of 8. */
static zm_status copy_aligned(reader *r)
{
    zm_safetensors *file = r->file;
    uint64_t size = r->data_size + 8 * (uint64_t)file->tensor_count;
    uint8_t *copy = size <= SIZE_MAX ? zm_aligned_calloc(64, (size_t)size) : NULL;
    if (!copy)
        return zm_fail(r->log, ZM_ERROR_OUT_OF_MEMORY,
                       "%s: no memory for a copy of %llu bytes, needed because its tensors are "
                       "not aligned",
                       r->path, (unsigned long long)r->data_size);
    file->aligned = copy;
    for (size_t i = 0; i < file->tensor_count; i++) {
        zm_model_tensor *tensor = r->ranges[i].tensor;
        if (tensor->bytes > 0)
            memcpy(copy, r->data + r->ranges[i].begin, (size_t)tensor->bytes);
        tensor->data = copy;
        copy += (tensor->bytes + 7) / 8 * 8;
    }
    return ZM_OK;
}

static int compare_names(const void *left, const void *right)
{
    const zm_model_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static zm_status place_tensors(reader *r)
{
    zm_safetensors *file = r->file;
    zm_status status = ZM_OK;
    if (is_aligned(r)) {
        for (size_t i = 0; i < file->tensor_count; i++)
            r->ranges[i].tensor->data = r->data + r->ranges[i].begin;
    } else {
        status = copy_aligned(r);
    }
    qsort(file->tensors, file->tensor_count, sizeof(*file->tensors), compare_names);
    return status;
}

zm_status zm_safetensors_open(const char *path, const zm_log *log, zm_safetensors **out)
{
    reader r = {.path = path, .log = log};
    json_t *header = NULL;
    zm_status status = ZM_OK;
    r.file = zm_calloc(1, sizeof(*r.file));
    if (r.file)
        r.file->path = zm_strdup(path);
    if (!r.file || !r.file->path)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    if (status == ZM_OK)
        status = zm_map_open(path, log, &r.file->map);
    if (status == ZM_OK)
        status = read_header(&r, &header);
    if (status == ZM_OK)
        status = read_entries(&r, header);
    if (status == ZM_OK)
        status = check_ranges(&r);
    if (status == ZM_OK)
        status = place_tensors(&r);
    json_decref(header);
    free(r.ranges);
    if (status != ZM_OK) {
        zm_safetensors_close(&r.file);
        return status;
    }
    *out = r.file;
    return ZM_OK;
}

void zm_safetensors_close(zm_safetensors **file)
{
    if (!file || !*file)
        return;
    zm_safetensors *f = *file;
    for (size_t i = 0; i < f->tensor_count; i++)
        free((void *)(uintptr_t)f->tensors[i].name);
    for (size_t i = 0; i < f->metadata_count; i++) {
        free(f->metadata[i].key);
        free(f->metadata[i].value);
    }
    free(f->tensors);
    free(f->metadata);
    free(f->aligned);
    free(f->path);
    zm_map_close(&f->map);
    free(f);
    *file = NULL;
}
