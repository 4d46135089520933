/* SPDX-License-Identifier: Apache-2.0 */
/* A buffer that is made of several, since the device has none that is so large. */
#include <stdlib.h>

#include "common/alloc.h"
#include "device/device.h"

void zm_buffer_parts_destroy(zm_buffer *buffer)
{
    for (uint32_t i = 0; i < buffer->part_count; i++)
        zm_buffer_destroy(&buffer->parts[i]);
    free(buffer->parts);
    free(buffer);
}

static zm_status parts_fill(zm_buffer *whole, bool host_visible)
{
    zm_buffer_params part = {.host_visible = host_visible};
    zm_status status = ZM_OK;
    for (uint64_t at = 0; status == ZM_OK && at < whole->size; at += part.size) {
        uint64_t left = whole->size - at;
        part.size = left < whole->part_bytes ? left : whole->part_bytes;
        status = zm_buffer_create(whole->device, &part, &whole->parts[whole->part_count]);
        whole->part_count += status == ZM_OK;
    }
    return status;
}

zm_status zm_buffer_parts_create(zm_device *device, const zm_buffer_params *params, zm_buffer **out)
{
    uint64_t count = (params->size - 1) / params->part_bytes + 1;
    if (zm_wrapped_memory(params) || params->part_bytes % 4 != 0 || count > UINT32_MAX)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_buffer_create: parts of %llu bytes are to be of the buffer's own memory "
                       "and of whole words",
                       (unsigned long long)params->part_bytes);
    zm_buffer *whole = zm_calloc(1, sizeof(*whole));
    zm_buffer **parts = zm_calloc((size_t)count, sizeof(*parts));
    if (!whole || !parts) {
        free(whole);
        free(parts);
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY,
                       "zm_buffer_create: no memory for a buffer in %llu parts",
                       (unsigned long long)count);
    }
    *whole = (zm_buffer){.device = device,
                         .size = params->size,
                         .serial = atomic_fetch_add(&device->buffers, 1) + 1,
                         .part_bytes = params->part_bytes,
                         .parts = parts};
    zm_status status = parts_fill(whole, params->host_visible);
    if (status == ZM_OK)
        *out = whole;
    else
        zm_buffer_parts_destroy(whole);
    return status;
}
