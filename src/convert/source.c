/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/source.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/hash.h"

#define PREFIX "zeromean."

enum { PIECE = 1 << 18 };

zm_status zm_source_hash(const zm_model *model, zm_convert_progress *progress, char hex[65])
{
    zm_sha256 hash;
    zm_sha256_init(&hash);
    for (size_t f = 0; f < model->file_count; f++) {
        const zm_map *map = &model->files[f]->map;
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

zm_status zm_source_metadata(const zm_model *model, const zm_metadata *extra, size_t extra_count,
                             const zm_log *log, zm_metadata **out, size_t *count)
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
