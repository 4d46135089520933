/* SPDX-License-Identifier: Apache-2.0 */
#include "session/kv_cache.h"

/* Sequences of each part where a buffer has room for so many bytes: as few parts as that takes. */
static uint32_t part_sequences(uint64_t bytes, uint32_t sequences, uint64_t most)
{
    uint64_t fit = most / bytes;
    if (fit >= sequences)
        return sequences;
    uint32_t parts = (uint32_t)((sequences - 1) / fit + 1);
    return (sequences - 1) / parts + 1;
}

static zm_status create_half(zm_storage *storage, zm_stream *stream, uint64_t one,
                             uint32_t sequences, zm_tensor *out)
{
    uint64_t most = zm_device_get_info(storage->device)->limits.max_buffer_bytes;
    uint64_t elements = one * sequences;
    if (elements > UINT32_MAX)
        return zm_fail(&storage->log, ZM_ERROR_LIMIT,
                       "session: a cache of %llu elements, 2^32 or more",
                       (unsigned long long)elements);
    zm_dtype type = storage->real_type;
    zm_buffer *buffer;
    if (one * zm_dtype_size(type) > most)
        return zm_fail(&storage->log, ZM_ERROR_LIMIT,
                       "session: keys of one sequence take %llu bytes, and the largest buffer of "
                       "%s has %llu: make room for fewer positions",
                       (unsigned long long)(one * zm_dtype_size(type)),
                       zm_device_get_info(storage->device)->spec, (unsigned long long)most);
    uint64_t part = one * part_sequences(one * zm_dtype_size(type), sequences, most);
    zm_status status = zm_storage_parts(storage, elements, part, type, &buffer);
    if (status != ZM_OK)
        return status;
    *out = zm_tensor_1d(buffer, type, (uint32_t)elements);
    /* A kernel may multiply positions that are not in use by zero: they must be finite. */
    return zm_buffer_fill(stream, buffer, 0, elements * zm_dtype_size(type), 0);
}

zm_status zm_kv_cache_create(zm_storage *storage, zm_stream *stream, uint32_t heads,
                             uint32_t head_dim, uint32_t positions, uint32_t sequences,
                             zm_kv_cache *out)
{
    zm_kv_cache cache = {.sequences = sequences};
    zm_status status = zm_kv_layout_get(storage->device, storage->real_type, heads, head_dim,
                                        positions, &cache.layout);
    if (status == ZM_OK)
        status = create_half(storage, stream, cache.layout.elements, sequences, &cache.k);
    if (status == ZM_OK)
        status = create_half(storage, stream, cache.layout.elements, sequences, &cache.v);
    if (status == ZM_OK)
        *out = cache;
    return status;
}
