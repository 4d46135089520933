/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/source.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "convert/reformat.h"

#define PREFIX "zeromean."
#define SPLIT "split."
#define FILE_TYPE "general.file_type"

enum { PIECE = 1 << 18 };

static zm_status hash_map(const zm_map *map, zm_sha256 *hash, zm_convert_progress *progress)
{
    for (uint64_t done = 0; done < map->size;) {
        uint64_t count = map->size - done < PIECE ? map->size - done : PIECE;
        zm_sha256_update(hash, map->data + done, (size_t)count);
        zm_map_drop(map, map->data + done, count);
        done += count;
        if (!zm_convert_progress_advance(progress, count))
            return ZM_ERROR_CANCELLED;
    }
    return ZM_OK;
}

/* Shards, or parts of a GGUF file. */
static size_t map_count(const zm_model *model)
{
    return model->gguf ? model->gguf->part_count : model->file_count;
}

static const zm_map *map_get(const zm_model *model, size_t i)
{
    return model->gguf ? &model->gguf->parts[i].map : &model->files[i]->map;
}

static uint64_t bytes_of(const zm_model *model)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < map_count(model); i++)
        bytes += map_get(model, i)->size;
    return bytes;
}

zm_status zm_source_hash(const zm_model *model, zm_convert_progress *progress,
                         zm_convert_report *report)
{
    zm_sha256 hash;
    zm_status status = ZM_OK;
    report->input_bytes = bytes_of(model);
    if (!zm_convert_progress_begin(progress, "reading", report->input_bytes))
        return ZM_ERROR_CANCELLED;
    zm_sha256_init(&hash);
    for (size_t i = 0; i < map_count(model) && status == ZM_OK; i++)
        status = hash_map(map_get(model, i), &hash, progress);
    zm_sha256_finish(&hash, report->source_sha256);
    return status;
}

static bool has_key(const zm_metadata *metadata, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(metadata[i].key, key) == 0)
            return true;
    return false;
}

static bool is_ours(const char *key)
{
    return strncmp(key, PREFIX, strlen(PREFIX)) == 0;
}

static zm_status open_safetensors(const zm_model *model, const char *path,
                                  const zm_model_tensor *tensors, size_t tensor_count,
                                  const zm_metadata *extra, size_t extra_count, const zm_log *log,
                                  zm_tensor_writer **out)
{
    size_t most = extra_count, used = 0;
    for (size_t f = 0; f < model->file_count; f++)
        most += model->files[f]->metadata_count;
    zm_metadata *metadata = zm_calloc(most, sizeof(*metadata));
    if (!metadata)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory for the metadata");
    for (size_t f = 0; f < model->file_count; f++) {
        const zm_safetensors *file = model->files[f];
        size_t earlier = used; /* keys of one file differ anyway */
        for (size_t i = 0; i < file->metadata_count; i++)
            if (!is_ours(file->metadata[i].key) &&
                !has_key(metadata, earlier, file->metadata[i].key))
                metadata[used++] = file->metadata[i];
    }
    for (size_t i = 0; i < extra_count; i++)
        metadata[used++] = extra[i];
    zm_status status =
        zm_safetensors_writer_open(path, tensors, tensor_count, metadata, used, log, out);
    free(metadata);
    return status;
}

static zm_dtype main_type(const zm_model_tensor *tensors, size_t count)
{
    uint64_t elements[ZM_DTYPE_COUNT] = {0};
    for (size_t i = 0; i < count; i++)
        elements[tensors[i].dtype] += tensors[i].elements;
    return zm_reformat_main_type(elements);
}

/* All parts become one file. */
static zm_status open_gguf(const zm_model *model, const char *path, const zm_model_tensor *tensors,
                           size_t tensor_count, const zm_metadata *extra, size_t extra_count,
                           const zm_log *log, zm_tensor_writer **out)
{
    const zm_gguf_part *part = &model->gguf->parts[0];
    const zm_dtype type = main_type(tensors, tensor_count);
    const bool same_type = type == main_type(model->tensors, model->tensor_count);
    const uint32_t number = zm_reformat_file_type(type);
    uint8_t bytes[4];
    for (unsigned i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    size_t used = 0;
    zm_metadata_value *values = zm_calloc(part->value_count + extra_count + 1, sizeof(*values));
    zm_text *texts = zm_calloc(extra_count, sizeof(*texts));
    zm_status status = ZM_OK;
    if (!values || !texts)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory for the metadata");
    for (size_t i = 0; i < part->value_count && status == ZM_OK; i++)
        if (!is_ours(part->values[i].key) &&
            strncmp(part->values[i].key, SPLIT, strlen(SPLIT)) != 0 &&
            (same_type || strcmp(part->values[i].key, FILE_TYPE) != 0))
            values[used++] = part->values[i];
    if (!same_type && status == ZM_OK)
        values[used++] = (zm_metadata_value){
            .key = FILE_TYPE, .type = ZM_METADATA_U32, .count = 1, .numbers = bytes};
    for (size_t i = 0; i < extra_count && status == ZM_OK; i++) {
        texts[i] = (zm_text){extra[i].value, strlen(extra[i].value)};
        values[used++] = (zm_metadata_value){
            .key = extra[i].key, .type = ZM_METADATA_STRING, .count = 1, .texts = &texts[i]};
    }
    if (status == ZM_OK)
        status = zm_gguf_writer_open(path, tensors, tensor_count, values, used, log, out);
    free(values);
    free(texts);
    return status;
}

zm_status zm_source_writer_open(const zm_model *model, const char *path,
                                const zm_model_tensor *tensors, size_t tensor_count,
                                const zm_metadata *extra, size_t extra_count, const zm_log *log,
                                zm_tensor_writer **out)
{
    return (model->gguf ? open_gguf : open_safetensors)(model, path, tensors, tensor_count, extra,
                                                        extra_count, log, out);
}
