/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weight_target.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

/* Rows, with those that fill up the last panel. */
static uint32_t rows_of_all(const zm_weight_target *target)
{
    return (uint32_t)(target->layout.elements / target->tensor.shape[1]);
}

/* Rows of each part but the last. */
static uint32_t part_rows(const zm_weight_target *target)
{
    return target->layout.part_rows ? target->layout.part_rows : rows_of_all(target);
}

static uint32_t rows_of(const zm_weight_target *target, uint32_t part)
{
    uint32_t before = part * part_rows(target), left = rows_of_all(target) - before;
    return left < part_rows(target) ? left : part_rows(target);
}

static uint32_t parts_of(const zm_weight_target *target)
{
    return (rows_of_all(target) - 1) / part_rows(target) + 1;
}

static uint64_t bytes_of(const zm_weight_target *target, uint64_t rows)
{
    return zm_dtype_bytes(target->tensor.dtype, rows * target->tensor.shape[1]);
}

/* The last panel, or row, is cleared where not all of its rows will be packed; what else there is
 * will be written, and memory that is touched only once is worth it. */
static void clear_pads(const zm_weight_target *target)
{
    uint32_t last = parts_of(target) - 1, end = target->layout.panel ? target->layout.panel : 1;
    uint32_t packed = target->tensor.shape[0] - target->zero_rows;
    if (rows_of_all(target) > packed)
        memset((char *)target->memory[last] + bytes_of(target, rows_of(target, last) - end), 0,
               bytes_of(target, end));
}

zm_status zm_weight_target_make(zm_weight_target *target, zm_storage *storage, zm_stream *stream)
{
    uint32_t parts = parts_of(target);
    uint64_t part = (uint64_t)part_rows(target) * target->tensor.shape[1];
    zm_status status = zm_storage_parts(storage, target->layout.elements, part,
                                        target->tensor.dtype, &target->tensor.buffer);
    if (status == ZM_OK)
        target->memory = zm_calloc(parts, sizeof(*target->memory));
    if (status == ZM_OK && !target->memory)
        return zm_fail(&storage->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    for (uint32_t i = 0; status == ZM_OK && i < parts; i++) {
        uint64_t bytes = bytes_of(target, rows_of(target, i));
        status = zm_buffer_map(stream, target->tensor.buffer,
                               i * bytes_of(target, part_rows(target)), bytes, &target->memory[i]);
    }
    if (status == ZM_OK)
        clear_pads(target);
    return status;
}

zm_status zm_weight_target_finish(zm_weight_target *target, zm_stream *stream)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; target->memory && i < parts_of(target) && target->memory[i]; i++) {
        zm_status unmapped = zm_buffer_unmap(stream, target->tensor.buffer, target->memory[i]);
        status = status != ZM_OK ? status : unmapped;
    }
    free(target->memory);
    target->memory = NULL;
    return status;
}

/* Rows in order, some of them in one part and some in the next. */
static zm_status pack_rows(const zm_weight_target *target, uint64_t row, const char *values,
                           uint64_t rows)
{
    uint32_t k = target->tensor.shape[1];
    zm_dtype type = target->tensor.dtype;
    zm_status status = ZM_OK;
    for (uint64_t count; status == ZM_OK && rows > 0; rows -= count, row += count) {
        uint32_t part = (uint32_t)(row / part_rows(target)), n = rows_of(target, part);
        uint32_t first = (uint32_t)(row % part_rows(target));
        const zm_weight_layout layout = {.panel = target->layout.panel,
                                         .elements = (uint64_t)n * k};
        count = n - first < rows ? n - first : rows;
        status = zm_weight_pack(target->memory[part], type, &layout, n, first, values, type,
                                (uint32_t)count, k);
        values += zm_dtype_bytes(type, count * k);
    }
    return status;
}

zm_status zm_weight_target_pack(const zm_weight_target *target, uint64_t row, const void *values,
                                uint64_t rows)
{
    if (!target->gated)
        return pack_rows(target, row, values, rows);
    uint32_t n = target->tensor.shape[0], panel = target->layout.panel;
    uint64_t half = panel ? panel / 2 : 1, up = row >= n / 2 ? 1 : 0;
    zm_status status = ZM_OK;
    for (uint64_t i = 0, count; i < rows && status == ZM_OK; i += count) {
        uint64_t at = row + i - up * (n / 2);
        count = half - at % half;
        count = count < rows - i ? count : rows - i;
        status = pack_rows(target, at / half * 2 * half + up * half + at % half,
                           (const char *)values + bytes_of(target, i), count);
    }
    return status;
}

void zm_weight_target_expect(const zm_weight_target *target, uint64_t row, uint64_t rows)
{
    uint64_t panel = target->layout.panel ? target->layout.panel : 1;
    if (target->gated && row >= target->tensor.shape[0] / 2)
        return; /* where the others are */
    uint64_t first = target->gated ? 2 * row : row, end = first + (target->gated ? 2 * rows : rows);
    uint64_t part = first / part_rows(target), before = part * part_rows(target);
    first = (first - before) / panel * panel;
    end = (end - before + panel - 1) / panel * panel;
    if (end <= rows_of(target, (uint32_t)part))
        zm_pages_touch((char *)target->memory[part] + bytes_of(target, first),
                       bytes_of(target, end - first));
}
