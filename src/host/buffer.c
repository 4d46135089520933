/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "host/host.h"

/* A cache line, and the widest vector of any processor so far. */
#define BUFFER_ALIGNMENT 64u

static unsigned char *bytes(zm_buffer *buffer, uint64_t offset)
{
    return ((zm_host_buffer *)buffer)->data + offset;
}

zm_status zm_host_buffer_create(zm_device *device, const zm_buffer_params *params, zm_buffer **out)
{
    zm_host_buffer *buffer = zm_calloc(1, sizeof(*buffer));
    if (!buffer)
        goto out_of_memory;
    buffer->base.device = device;
    buffer->base.size = params->size;
    void *wrapped = zm_wrapped_memory(params);
    buffer->wrapped = wrapped != NULL;
    size_t rounded =
        ((size_t)params->size + BUFFER_ALIGNMENT - 1) & ~(size_t)(BUFFER_ALIGNMENT - 1);
    buffer->data = buffer->wrapped ? wrapped : aligned_alloc(BUFFER_ALIGNMENT, rounded);
    if (!buffer->data)
        goto out_of_memory;
    *out = &buffer->base;
    return ZM_OK;
out_of_memory:
    free(buffer);
    return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory for %llu bytes",
                   device->info.spec, (unsigned long long)params->size);
}

void zm_host_buffer_destroy(zm_buffer *buffer)
{
    zm_host_buffer *host = (zm_host_buffer *)buffer;
    if (!host->wrapped)
        free(host->data);
    free(host);
}

zm_status zm_host_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                               const void *src, uint64_t size)
{
    (void)stream;
    memcpy(bytes(buffer, offset), src, (size_t)size);
    return ZM_OK;
}

zm_status zm_host_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                              uint64_t size)
{
    (void)stream;
    memcpy(dst, bytes(buffer, offset), (size_t)size);
    return ZM_OK;
}

zm_status zm_host_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset,
                              zm_buffer *src, uint64_t src_offset, uint64_t size)
{
    (void)stream;
    memcpy(bytes(dst, dst_offset), bytes(src, src_offset), (size_t)size);
    return ZM_OK;
}

zm_status zm_host_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                              uint32_t pattern)
{
    (void)stream;
    unsigned char *data = bytes(buffer, offset);
    for (uint64_t i = 0; i < size; i += sizeof(pattern))
        memcpy(data + i, &pattern, sizeof(pattern));
    return ZM_OK;
}

zm_status zm_host_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                             void **out)
{
    (void)stream;
    (void)size;
    *out = bytes(buffer, offset);
    return ZM_OK;
}

zm_status zm_host_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer)
{
    (void)stream;
    (void)buffer;
    (void)pointer;
    return ZM_OK;
}
