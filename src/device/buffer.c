/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "device/device.h"

static zm_status check_range(const zm_stream *stream, const zm_buffer *buffer, uint64_t offset,
                             uint64_t size, const char *call)
{
    if (!stream || !buffer)
        return ZM_ERROR_INVALID_ARGUMENT;
    const zm_log *log = &stream->device->log;
    if (buffer->device != stream->device)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: the buffer and the stream belong to different devices", call);
    if (size > buffer->size || offset > buffer->size - size)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: %llu bytes at offset %llu are outside the buffer of %llu bytes", call,
                       (unsigned long long)size, (unsigned long long)offset,
                       (unsigned long long)buffer->size);
    return ZM_OK;
}

/* The first part of a range that lies in one allocation. */
typedef struct piece {
    zm_buffer *buffer;
    uint64_t offset, size;
} piece;

static piece piece_at(zm_buffer *buffer, uint64_t offset, uint64_t size)
{
    if (!buffer->part_bytes)
        return (piece){buffer, offset, size};
    uint64_t at = offset % buffer->part_bytes, left = buffer->part_bytes - at;
    return (piece){buffer->parts[offset / buffer->part_bytes], at, size < left ? size : left};
}

/* The same for a range that is to be written, or mapped for that. */
static zm_status check_output(const zm_stream *stream, const zm_buffer *buffer, uint64_t offset,
                              uint64_t size, const char *call)
{
    zm_status status = check_range(stream, buffer, offset, size, call);
    if (status == ZM_OK && buffer->read_only)
        status = zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: the buffer is read-only", call);
    return status;
}

static zm_status fail_null(const zm_stream *stream, const char *call)
{
    return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT, "%s: a pointer is NULL", call);
}

void *zm_wrapped_memory(const zm_buffer_params *params)
{
    return params->constants ? (void *)(uintptr_t)params->constants : params->host_memory;
}

zm_status zm_buffer_create(zm_device *device, const zm_buffer_params *params, zm_buffer **out)
{
    if (!device || !params || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    const zm_device_info *info = &device->info;
    if (params->size == 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_create: a buffer of 0 bytes");
    if (params->part_bytes && params->part_bytes < params->size)
        return zm_buffer_parts_create(device, params, out);
    if (params->size > info->limits.max_buffer_bytes)
        return zm_fail(&device->log, ZM_ERROR_LIMIT,
                       "zm_buffer_create: %llu bytes are over the limit of %llu of %s; split it",
                       (unsigned long long)params->size,
                       (unsigned long long)info->limits.max_buffer_bytes, info->spec);
    if (params->host_memory && params->constants)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_create: host_memory and constants cannot be one buffer");
    uint32_t alignment = info->limits.wrap_alignment;
    if (alignment && (uintptr_t)zm_wrapped_memory(params) % alignment)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_create: host memory must be aligned to %u bytes on %s", alignment,
                       info->spec);
    zm_status status = device->fns->buffer_create(device, params, out);
    if (status == ZM_OK) {
        (*out)->serial = atomic_fetch_add(&device->buffers, 1) + 1;
        (*out)->read_only = params->constants != NULL;
    }
    return status;
}

void zm_buffer_destroy(zm_buffer **buffer)
{
    if (!buffer || !*buffer)
        return;
    if ((*buffer)->part_bytes)
        zm_buffer_parts_destroy(*buffer);
    else
        (*buffer)->device->fns->buffer_destroy(*buffer);
    *buffer = NULL;
}

uint64_t zm_buffer_size(const zm_buffer *buffer)
{
    return buffer ? buffer->size : 0;
}

zm_device *zm_buffer_get_device(const zm_buffer *buffer)
{
    return buffer ? buffer->device : NULL;
}

zm_status zm_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset, const void *src,
                          uint64_t size)
{
    zm_status status = check_output(stream, buffer, offset, size, "zm_buffer_write");
    if (status != ZM_OK || size == 0)
        return status;
    if (!src)
        return fail_null(stream, "zm_buffer_write");
    for (uint64_t done = 0; status == ZM_OK && done < size;) {
        piece p = piece_at(buffer, offset + done, size - done);
        status = stream->device->fns->buffer_write(stream, p.buffer, p.offset,
                                                   (const char *)src + done, p.size);
        done += p.size;
    }
    return status;
}

zm_status zm_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                         uint64_t size)
{
    zm_status status = check_range(stream, buffer, offset, size, "zm_buffer_read");
    if (status != ZM_OK || size == 0)
        return status;
    if (!dst)
        return fail_null(stream, "zm_buffer_read");
    for (uint64_t done = 0; status == ZM_OK && done < size;) {
        piece p = piece_at(buffer, offset + done, size - done);
        status = stream->device->fns->buffer_read(stream, p.buffer, p.offset, (char *)dst + done,
                                                  p.size);
        done += p.size;
    }
    return status;
}

zm_status zm_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset, zm_buffer *src,
                         uint64_t src_offset, uint64_t size)
{
    zm_status status = check_output(stream, dst, dst_offset, size, "zm_buffer_copy");
    if (status == ZM_OK)
        status = check_range(stream, src, src_offset, size, "zm_buffer_copy");
    if (status != ZM_OK || size == 0)
        return status;
    if (dst == src && dst_offset < src_offset + size && src_offset < dst_offset + size)
        return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_copy: the ranges overlap");
    for (uint64_t done = 0; status == ZM_OK && done < size;) {
        piece to = piece_at(dst, dst_offset + done, size - done);
        piece from = piece_at(src, src_offset + done, to.size);
        status = stream->device->fns->buffer_copy(stream, to.buffer, to.offset, from.buffer,
                                                  from.offset, from.size);
        done += from.size;
    }
    return status;
}

zm_status zm_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                         uint32_t pattern)
{
    zm_status status = check_output(stream, buffer, offset, size, "zm_buffer_fill");
    if (status != ZM_OK || size == 0)
        return status;
    if (offset % 4 || size % 4)
        return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_fill: offset and size must be multiples of 4");
    for (uint64_t done = 0; status == ZM_OK && done < size;) {
        piece p = piece_at(buffer, offset + done, size - done);
        status = stream->device->fns->buffer_fill(stream, p.buffer, p.offset, p.size, pattern);
        done += p.size;
    }
    return status;
}

zm_status zm_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                        void **out)
{
    zm_status status = check_output(stream, buffer, offset, size, "zm_buffer_map");
    if (status != ZM_OK)
        return status;
    if (!out || size == 0)
        return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_map: nothing to map");
    piece p = piece_at(buffer, offset, size);
    if (p.size < size)
        return zm_fail(
            &stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
            "zm_buffer_map: %llu bytes at offset %llu are in several parts of the buffer",
            (unsigned long long)size, (unsigned long long)offset);
    buffer = p.buffer;
    /* The address of the buffer holds the place until the pointer is known. */
    void *none = NULL;
    if (!atomic_compare_exchange_strong(&buffer->mapping, &none, (void *)buffer))
        return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_map: the buffer is mapped already");
    void *pointer = NULL;
    status = stream->device->fns->buffer_map(stream, buffer, p.offset, size, &pointer);
    atomic_store(&buffer->mapping, status == ZM_OK ? pointer : NULL);
    if (status == ZM_OK)
        *out = pointer;
    return status;
}

zm_status zm_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer)
{
    zm_status status = check_range(stream, buffer, 0, 0, "zm_buffer_unmap");
    if (status != ZM_OK)
        return status;
    for (uint32_t i = 0; pointer && i < buffer->part_count; i++)
        if (atomic_load(&buffer->parts[i]->mapping) == pointer)
            return zm_buffer_unmap(stream, buffer->parts[i], pointer);
    void *expected = pointer;
    if (!pointer || !atomic_compare_exchange_strong(&buffer->mapping, &expected, NULL))
        return zm_fail(&stream->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_unmap: the buffer is not mapped at this pointer");
    return stream->device->fns->buffer_unmap(stream, buffer, pointer);
}
