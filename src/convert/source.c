/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/source.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/hash.h"
#include "format/json.h"

#define PREFIX "zeromean."
#define MAX_INDEX ((uint64_t)64 << 20)

enum { PIECE = 1 << 18 };

static zm_status add_file(zm_source *source, const char *directory, const char *name,
                          const zm_log *log)
{
    char *path = zm_path_join(directory, name);
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to open %s", name);
    zm_status status = zm_safetensors_open(path, log, &source->files[source->file_count]);
    if (!status)
        source->bytes += source->files[source->file_count++]->map.size;
    free(path);
    return status;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The values of the index's weight_map, each once, in order. Opening the model has checked them. */
static zm_status add_shards(zm_source *source, const char *directory, const json_t *index,
                            const zm_log *log)
{
    json_t *map = json_object_get(index, "weight_map"), *value;
    const char *key;
    size_t count = 0, size = json_object_size(map);
    const char **names = zm_calloc(size, sizeof(*names));
    source->files = zm_calloc(size, sizeof(*source->files));
    if (!names || !source->files) {
        free(names);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its index", directory);
    }
    json_object_foreach(map, key, value)
    {
        if (json_is_string(value))
            names[count++] = json_string_value(value);
    }
    qsort(names, count, sizeof(*names), compare_names);
    zm_status status = ZM_OK;
    for (size_t i = 0; i < count && !status; i++)
        if (i == 0 || strcmp(names[i], names[i - 1]) != 0)
            status = add_file(source, directory, names[i], log);
    free(names);
    return status;
}

zm_status zm_source_open(const char *directory, const zm_log *log, zm_source *out)
{
    zm_source source = {0};
    json_t *index = NULL;
    zm_status status = ZM_OK;
    char *single = zm_path_join(directory, "model.safetensors");
    char *sharded = zm_path_join(directory, "model.safetensors.index.json");
    if (!single || !sharded) {
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    } else if (zm_path_exists(single)) {
        source.files = zm_calloc(1, sizeof(*source.files));
        status = source.files ? add_file(&source, directory, "model.safetensors", log)
                              : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to open a file");
    } else {
        status = zm_json_read(sharded, MAX_INDEX, log, &index);
        if (!status)
            status = add_shards(&source, directory, index, log);
    }
    json_decref(index);
    free(single);
    free(sharded);
    if (status) {
        zm_source_close(&source);
        return status;
    }
    *out = source;
    return ZM_OK;
}

void zm_source_close(zm_source *source)
{
    for (size_t i = 0; i < source->file_count; i++)
        zm_safetensors_close(&source->files[i]);
    free(source->files);
    *source = (zm_source){0};
}

zm_status zm_source_hash(const zm_source *source, zm_convert_progress *progress, char hex[65])
{
    zm_sha256 hash;
    zm_sha256_init(&hash);
    for (size_t f = 0; f < source->file_count; f++) {
        const zm_map *map = &source->files[f]->map;
        for (uint64_t done = 0; done < map->size;) {
            uint64_t count = map->size - done < PIECE ? map->size - done : PIECE;
            zm_sha256_update(&hash, map->data + done, (size_t)count);
            zm_map_drop(map, map->data + done, count);
            done += count;
            if (!zm_convert_progress_advance(progress, count))
                return ZM_ERROR_CANCELLED;
        }
    }
    zm_sha256_finish(&hash, hex);
    return ZM_OK;
}

static bool has_key(const zm_metadata *metadata, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(metadata[i].key, key) == 0)
            return true;
    return false;
}

zm_status zm_source_metadata(const zm_source *source, const zm_metadata *extra, size_t extra_count,
                             const zm_log *log, zm_metadata **out, size_t *count)
{
    size_t most = extra_count, used = 0;
    for (size_t f = 0; f < source->file_count; f++)
        most += source->files[f]->metadata_count;
    zm_metadata *metadata = zm_calloc(most, sizeof(*metadata));
    if (!metadata)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory for the metadata");
    for (size_t f = 0; f < source->file_count; f++) {
        const zm_safetensors *file = source->files[f];
        size_t earlier = used; /* keys of one file differ anyway */
        for (size_t i = 0; i < file->metadata_count; i++)
            if (strncmp(file->metadata[i].key, PREFIX, strlen(PREFIX)) != 0 &&
                !has_key(metadata, earlier, file->metadata[i].key))
                metadata[used++] = file->metadata[i];
    }
    for (size_t i = 0; i < extra_count; i++)
        metadata[used++] = extra[i];
    *out = metadata;
    *count = used;
    return ZM_OK;
}
