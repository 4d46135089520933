/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/safetensors.h"
#include "format/safetensors_types.h"

struct zm_safetensors_writer {
    zm_writer file;
    uint64_t declared; /* bytes of the data section */
    uint64_t written;
};

/* The entry of one tensor that begins at *offset; NULL when it cannot be written. */
static json_t *describe_tensor(const zm_model_tensor *declared, uint64_t *offset)
{
    zm_model_tensor tensor = *declared;
    const char *type = zm_safetensors_type_name(tensor.dtype);
    uint64_t end;
    if (!type || tensor.rank > 4 || !zm_safetensors_measure(&tensor) ||
        !zm_add_u64(*offset, tensor.bytes, &end) || end > INT64_MAX)
        return NULL;
    json_t *shape = json_array();
    for (uint32_t i = 0; i < tensor.rank; i++) {
        if (tensor.shape[i] > INT64_MAX) {
            json_decref(shape);
            return NULL;
        }
        json_array_append_new(shape, json_integer((json_int_t)tensor.shape[i]));
    }
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", type, "shape", shape, "data_offsets",
                              (json_int_t)*offset, (json_int_t)end);
    *offset = end;
    return entry;
}

static zm_status describe_tensors(const char *path, json_t *header, const zm_model_tensor *tensors,
                                  size_t count, const zm_log *log, uint64_t *declared)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = tensors[i].name;
        if (!name || !zm_safetensors_name_valid(name))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: tensor %zu has no valid name", path,
                           i);
        if (json_object_get(header, name))
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: two tensors are called %s", path,
                           name);
        json_t *entry = describe_tensor(&tensors[i], declared);
        if (!entry)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                           "%s: tensor %s: its type, rank or size cannot be written", path, name);
        if (json_object_set_new(header, name, entry) != 0)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                           "%s: tensor %zu: its name is not valid UTF-8", path, i);
    }
    return ZM_OK;
}

static zm_status describe_metadata(const char *path, json_t *header, const zm_metadata *metadata,
                                   size_t count, const zm_log *log)
{
    if (count == 0)
        return ZM_OK;
    json_t *object = json_object();
    bool made = object != NULL;
    for (size_t i = 0; i < count && made; i++)
        made = json_object_set_new(object, metadata[i].key, json_string(metadata[i].value)) == 0;
    if (!made) {
        json_decref(object);
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "%s: metadata that is not valid UTF-8",
                       path);
    }
    json_object_set_new(header, ZM_SAFETENSORS_METADATA, object);
    return ZM_OK;
}

/* Length, JSON, and blanks up to a multiple of 8, so that the data is aligned. */
static zm_status write_header(zm_writer *file, const json_t *header)
{
    char *text = json_dumps(header, JSON_COMPACT);
    if (!text)
        return zm_fail(&file->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its header",
                       file->path);
    size_t size = strlen(text), padding = (8 - size % 8) % 8;
    uint8_t length[ZM_SAFETENSORS_LENGTH_SIZE];
    for (unsigned i = 0; i < ZM_SAFETENSORS_LENGTH_SIZE; i++)
        length[i] = (uint8_t)((uint64_t)(size + padding) >> 8 * i);
    zm_status status = ZM_OK;
    if (size + padding > ZM_SAFETENSORS_MAX_HEADER)
        status = zm_fail(&file->log, ZM_ERROR_UNSUPPORTED, "%s: its header would be over %u bytes",
                         file->path, ZM_SAFETENSORS_MAX_HEADER);
    if (status == ZM_OK)
        status = zm_writer_write(file, length, sizeof(length));
    if (status == ZM_OK)
        status = zm_writer_write(file, text, size);
    if (status == ZM_OK)
        status = zm_writer_write(file, "       ", padding);
    free(text);
    return status;
}

zm_status zm_safetensors_writer_open(const char *path, const zm_model_tensor *tensors,
                                     size_t tensor_count, const zm_metadata *metadata,
                                     size_t metadata_count, const zm_log *log,
                                     zm_safetensors_writer **out)
{
    zm_safetensors_writer *writer = zm_calloc(1, sizeof(*writer));
    json_t *header = json_object();
    zm_status status = ZM_OK;
    if (writer)
        writer->file.fd = -1;
    if (!writer || !header)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    if (status == ZM_OK)
        status = describe_metadata(path, header, metadata, metadata_count, log);
    if (status == ZM_OK)
        status = describe_tensors(path, header, tensors, tensor_count, log, &writer->declared);
    if (status == ZM_OK)
        status = zm_writer_open(&writer->file, path, log);
    if (status == ZM_OK)
        status = write_header(&writer->file, header);
    json_decref(header);
    if (status != ZM_OK) {
        zm_safetensors_writer_discard(&writer);
        return status;
    }
    *out = writer;
    return ZM_OK;
}

zm_status zm_safetensors_writer_write(zm_safetensors_writer *writer, const void *data,
                                      uint64_t size)
{
    if (size > writer->declared - writer->written)
        return zm_fail(&writer->file.log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: more data than the tensors that were declared", writer->file.path);
    zm_status status = zm_writer_write(&writer->file, data, size);
    if (status == ZM_OK)
        writer->written += size;
    return status;
}

zm_status zm_safetensors_writer_commit(zm_safetensors_writer **writer)
{
    zm_safetensors_writer *w = *writer;
    zm_status status = ZM_OK;
    if (w->written != w->declared)
        status = zm_fail(&w->file.log, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: %llu bytes of data were written, %llu declared", w->file.path,
                         (unsigned long long)w->written, (unsigned long long)w->declared);
    else
        status = zm_writer_commit(&w->file);
    zm_safetensors_writer_discard(writer);
    return status;
}

void zm_safetensors_writer_discard(zm_safetensors_writer **writer)
{
    if (!writer || !*writer)
        return;
    zm_writer_discard(&(*writer)->file);
    free(*writer);
    *writer = NULL;
}
