/* SPDX-License-Identifier: Apache-2.0 */
#include "session/storage.h"

#include <stdlib.h>

#include "common/alloc.h"

#define SMALLEST_PAGE 4096u /* of all systems */

void zm_storage_init(zm_storage *storage, zm_device *device, const zm_log *log)
{
    *storage = (zm_storage){.device = device,
                            .log = zm_log_copy(log),
                            .real_type = zm_device_get_info(device)->real_type};
}

void zm_storage_finish(zm_storage *storage)
{
    for (size_t i = 0; i < storage->count; i++)
        zm_buffer_destroy(&storage->buffers[i]);
    free(storage->buffers);
    *storage = (zm_storage){0};
}

static zm_status reserve(zm_storage *storage)
{
    void *buffers = storage->buffers;
    if (!zm_array_reserve(&buffers, &storage->capacity, storage->count + 1, sizeof(zm_buffer *)))
        return zm_fail(&storage->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    storage->buffers = buffers;
    return ZM_OK;
}

zm_status zm_storage_buffer(zm_storage *storage, uint64_t elements, zm_dtype dtype, zm_buffer **out)
{
    return zm_storage_parts(storage, elements, elements, dtype, out);
}

zm_status zm_storage_parts(zm_storage *storage, uint64_t elements, uint64_t part, zm_dtype dtype,
                           zm_buffer **out)
{
    zm_status status = reserve(storage);
    if (status != ZM_OK)
        return status;

    /* Where memory is shared, weights are packed in place: no second copy. */
    const zm_device_info *info = zm_device_get_info(storage->device);
    zm_buffer_params params = {.host_visible = info->limits.unified_memory};
    params.size = zm_dtype_bytes(dtype, elements);
    params.part_bytes = zm_dtype_bytes(dtype, part);
    if (params.size == UINT64_MAX)
        return zm_fail(&storage->log, ZM_ERROR_LIMIT, "session: a buffer of %llu elements",
                       (unsigned long long)elements);
    status = zm_buffer_create(storage->device, &params, out);
    if (status == ZM_OK)
        storage->buffers[storage->count++] = *out;
    return status;
}

/* A device may want buffers to begin at whole steps; what is before the first element in its page
 * can be read as well. */
static uint32_t step_of(const zm_storage *storage)
{
    uint32_t step = zm_device_get_info(storage->device)->limits.wrap_alignment;
    return step ? step : 1;
}

bool zm_storage_can_wrap(const zm_storage *storage, const void *memory, zm_dtype dtype)
{
    uint32_t step = step_of(storage);
    size_t element = zm_dtype_size(dtype);
    /* Blocks need no alignment, but what is before them is no whole number of them. */
    if (element == 0)
        element = step;
    return zm_device_get_info(storage->device)->limits.unified_memory &&
           SMALLEST_PAGE % step == 0 && (uintptr_t)memory % element == 0;
}

zm_status zm_storage_wrap(zm_storage *storage, const void *memory, uint64_t elements,
                          zm_dtype dtype, zm_buffer **out, uint64_t *first)
{
    zm_status status = reserve(storage);
    if (status != ZM_OK)
        return status;
    uint32_t before = (uint32_t)((uintptr_t)memory % step_of(storage));
    uint64_t bytes = zm_dtype_bytes(dtype, elements);
    const zm_buffer_params params = {.constants = (const char *)memory - before,
                                     .size = before + bytes};
    status = zm_buffer_create(storage->device, &params, out);
    if (status != ZM_OK)
        return status;
    storage->buffers[storage->count++] = *out;
    storage->wrapped_bytes += bytes;
    *first = before / zm_dtype_block_size(dtype);
    return ZM_OK;
}

zm_status zm_storage_matrix(zm_storage *storage, uint64_t rows, uint64_t cols, zm_tensor *out)
{
    uint64_t elements;
    if (rows > UINT32_MAX || cols > UINT32_MAX || !zm_mul_u64(rows, cols, &elements))
        return zm_fail(&storage->log, ZM_ERROR_LIMIT, "session: a matrix of %llu x %llu elements",
                       (unsigned long long)rows, (unsigned long long)cols);
    zm_buffer *buffer;
    zm_status status = zm_storage_buffer(storage, elements, storage->real_type, &buffer);
    if (status == ZM_OK)
        *out = zm_tensor_2d(buffer, storage->real_type, (uint32_t)rows, (uint32_t)cols);
    return status;
}
