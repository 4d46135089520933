/* SPDX-License-Identifier: Apache-2.0 */
/* Weights and vectors for a second device: read, put in rows, packed again. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "common/log.h"
#include "common/quant.h"
#include "graph/pipeline.h"
#include "ops/view.h"
#include "ops/weight_blocks.h"

/* Matrices of any rank as rows. */
typedef struct rows {
    uint32_t n, k;
    uint64_t step; /* elements from one to the next; of a weight in panels: within a panel 1 */
    uint32_t panel;
} rows;

static rows rows_of(const zm_tensor *tensor)
{
    rows r = {1, tensor->shape[tensor->rank - 1], 0, tensor->panel};
    for (uint32_t i = 0; i + 1 < tensor->rank; i++)
        r.n *= tensor->shape[i];
    r.step = tensor->rank == 2 ? zm_tensor_stride(tensor, 0) : r.k;
    return r;
}

/* Elements that it lies in. */
static uint64_t rows_span(const rows *r)
{
    uint64_t elements = (r->n - 1) * r->step + r->k;
    if (r->panel && !zm_weight_elements(r->panel, r->n, r->k, &elements))
        return 0;
    return elements;
}

static void rows_gather(const rows *r, zm_dtype dtype, const char *from, char *to)
{
    size_t size = zm_dtype_size(dtype), row = zm_dtype_bytes(dtype, r->k);
    for (uint32_t i = 0; i < r->n; i++) {
        if (!r->panel) {
            memcpy(to + i * row, from + zm_dtype_bytes(dtype, i * r->step), row);
            continue;
        }
        if (size == 0) {
            uint64_t panel = (uint64_t)(i / r->panel) * r->panel * r->k;
            zm_blocks_unpack(to + i * row, dtype, r->panel, i % r->panel,
                             from + zm_dtype_bytes(dtype, panel), 1, r->k);
            continue;
        }
        const char *panel = from + (size_t)(i / r->panel) * r->panel * r->k * size;
        for (uint32_t c = 0; c < r->k; c++)
            memcpy(to + ((size_t)i * r->k + c) * size,
                   panel + ((size_t)c * r->panel + i % r->panel) * size, size);
    }
}

/* Quantised elements as float32. */
static zm_status decode(const rows *r, void **plain, zm_dtype *type)
{
    uint64_t count = (uint64_t)r->n * r->k;
    float *values = zm_calloc(count, sizeof(float));
    if (!values)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_quant_decode(values, *plain, *type, count);
    free(*plain);
    *plain = values;
    *type = ZM_F32;
    return ZM_OK;
}

/* Its elements in rows, of its own type. Free with free(). */
static zm_status rows_read(zm_stream *stream, const zm_tensor *tensor, const rows *r, void **out)
{
    zm_dtype dtype = tensor->dtype;
    uint64_t bytes = zm_dtype_bytes(dtype, rows_span(r));
    void *raw = zm_calloc(1, bytes), *plain = zm_calloc(r->n, zm_dtype_bytes(dtype, r->k));
    zm_status status = raw && plain ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK)
        status = zm_buffer_read(stream, tensor->buffer, zm_dtype_bytes(dtype, tensor->offset), raw,
                                bytes);
    if (status == ZM_OK) {
        rows_gather(r, dtype, raw, plain);
        *out = plain;
        plain = NULL;
    }
    free(raw);
    free(plain);
    return status;
}

static zm_status copy_write(zm_stream *stream, const zm_weight_layout *layout, const rows *r,
                            const void *plain, zm_dtype from, zm_tensor *dst)
{
    uint64_t bytes = zm_dtype_bytes(dst->dtype, layout->elements);
    void *packed = zm_calloc(1, bytes);
    zm_status status = packed ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK && layout->panel)
        status = zm_weight_pack(packed, dst->dtype, layout, r->n, 0, plain, from, r->n, r->k);
    else if (status == ZM_OK && from == dst->dtype)
        memcpy(packed, plain, bytes);
    else if (status == ZM_OK)
        zm_convert_reals(packed, dst->dtype, plain, from, layout->elements);
    if (status == ZM_OK)
        status = zm_buffer_write(stream, dst->buffer, 0, packed, bytes);
    free(packed);
    return status;
}

zm_status zm_constant_copy(zm_stream *from, const zm_tensor *src, zm_operand_type type,
                           zm_stream *to, zm_dtype dtype, zm_buffer **buffer, zm_tensor *dst)
{
    zm_device *device = to->device;
    const rows r = rows_of(src);
    zm_weight_layout layout = {.elements = (uint64_t)r.n * r.k};
    zm_buffer_params params = {.host_visible = device->info.limits.unified_memory};
    void *plain = NULL;
    zm_status status = ZM_OK;
    if (type == ZM_OPERAND_WEIGHT && src->rank == 2)
        status = zm_weight_layout_get(device, r.n, r.k, dtype, &layout);
    params.size = zm_dtype_bytes(dtype, layout.elements);
    params.part_bytes = zm_dtype_bytes(dtype, (uint64_t)layout.part_rows * r.k);
    if (status == ZM_OK && !*buffer)
        status = zm_buffer_create(device, &params, buffer);
    if (status != ZM_OK)
        return status;
    *dst = (zm_tensor){.buffer = *buffer, .dtype = dtype, .rank = src->rank, .panel = layout.panel};
    memcpy(dst->shape, src->shape, sizeof(dst->shape));
    status = rows_read(from, src, &r, &plain);
    zm_dtype read = src->dtype;
    if (status == ZM_OK && read != dtype && zm_dtype_block_length(read) > 1)
        status = decode(&r, &plain, &read);
    if (status == ZM_OK)
        status = copy_write(to, &layout, &r, plain, read, dst);
    free(plain);
    return status != ZM_ERROR_OUT_OF_MEMORY ? status
                                            : zm_fail(&device->log, status, "graph: out of memory");
}
