/* SPDX-License-Identifier: Apache-2.0 */
#include "pack.h"

#include <stdlib.h>
#include <string.h>

#include "common/half.h"
#include "common/quant.h"
#include "fill.h"

bool op_is_packed(const zm_tensor *tensor)
{
    return tensor->panel == OP_PACKED || tensor->panel == OP_GATED;
}

/* Only weights have pads. */
static zm_weight_layout layout_of(const zm_tensor *tensor, uint32_t panel)
{
    uint64_t rows = tensor->shape[0], k = tensor->rank == 2 ? tensor->shape[1] : 1;
    if (panel && tensor->rank == 2) {
        rows = (rows + panel - 1) / panel * panel;
    }
    return (zm_weight_layout){.panel = panel, .elements = rows * k};
}

/* Vectors have no panel of their own. */
zm_status op_packed_resolve(const zm_device *device, zm_tensor *tensor, op_memory *memory)
{
    uint32_t k = tensor->rank == 2 ? tensor->shape[1] : 1;
    zm_weight_layout layout;
    zm_status status = zm_weight_layout_get(device, tensor->shape[0], k, tensor->dtype, &layout);
    if (status == ZM_OK) {
        tensor->panel = tensor->rank == 2 ? layout.panel : 0;
        memory->panel = layout.panel;
        memory->count = tensor->offset + layout_of(tensor, layout.panel).elements;
    }
    return status;
}

static zm_status pack_gated(const zm_tensor *tensor, op_memory *memory, const unsigned char *rows)
{
    uint32_t n = tensor->shape[0] / 2, k = tensor->rank == 2 ? tensor->shape[1] : 1;
    size_t line = zm_dtype_bytes(memory->dtype, k);
    unsigned char *to = memory->before + zm_dtype_bytes(memory->dtype, tensor->offset);
    unsigned char *gate = malloc(n * line), *up = malloc(n * line);
    zm_weight_layout layout = layout_of(tensor, memory->panel);
    zm_status status = gate && up ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < n && status == ZM_OK; ++i) {
        memcpy(gate + i * line, rows + 2 * i * line, line);
        memcpy(up + i * line, rows + (2 * i + 1) * line, line);
    }
    if (status == ZM_OK && tensor->rank == 2) {
        status = zm_gated_weight_pack(to, memory->dtype, &layout, gate, up, memory->dtype, n, k);
    } else if (status == ZM_OK) {
        status = zm_gated_bias_pack(to, memory->dtype, &layout, gate, up, memory->dtype, n);
    }
    free(gate);
    free(up);
    return status;
}

/* Of a type that nothing is encoded to: any bits, and halves of about 1/64 as scales. */
static void invent_blocks(zm_dtype dtype, size_t count, unsigned char *rows)
{
    static const struct {
        size_t place, count;
    } halves[ZM_DTYPE_COUNT] = {[ZM_Q5_0] = {0, 1},
                                [ZM_Q5_1] = {0, 2},
                                [ZM_Q2_K] = {80, 2},
                                [ZM_Q3_K] = {108, 1},
                                [ZM_Q5_K] = {0, 2}};
    size_t size = zm_dtype_block_size(dtype);
    op_random random = {count};
    for (size_t i = 0; i < zm_dtype_bytes(dtype, count); ++i) {
        size_t at = i % size - halves[dtype].place;
        rows[i] = (unsigned char)op_random_below(&random, 256);
        if (at < 2 * halves[dtype].count && at % 2) { /* the exponent, and a sign */
            rows[i] = (unsigned char)(0x24 | (rows[i] & 0x83));
        }
    }
}

/* The values in the memory's type, as rows, and what that makes of them. */
static zm_status round_values(const op_memory *memory, const double *values, size_t count,
                              unsigned char *rows)
{
    if (zm_dtype_size(memory->dtype)) {
        zm_convert_reals(rows, memory->dtype, values, ZM_F64, count);
        zm_convert_reals(memory->input, ZM_F64, rows, memory->dtype, count);
        return ZM_OK;
    }
    float *reals = malloc(count * sizeof(float));
    if (!reals) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    zm_convert_reals(reals, ZM_F32, values, ZM_F64, count);
    if (zm_quant_can_encode(memory->dtype)) {
        zm_quant_encode(rows, memory->dtype, reals, count);
    } else {
        invent_blocks(memory->dtype, count, rows);
    }
    zm_quant_load(memory->input, rows, memory->dtype, 0, count);
    free(reals);
    return ZM_OK;
}

zm_status op_pack(const zm_tensor *tensor, bool gated, op_memory *memory, const double *values)
{
    uint32_t n = tensor->shape[0], k = tensor->rank == 2 ? tensor->shape[1] : 1;
    size_t count = (size_t)n * k;
    zm_weight_layout layout = layout_of(tensor, memory->panel);
    unsigned char *rows = malloc(zm_dtype_bytes(memory->dtype, count));
    unsigned char *to = memory->before + zm_dtype_bytes(memory->dtype, tensor->offset);
    if (!rows) {
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    zm_status status = round_values(memory, values, count, rows);
    memset(to, 0, zm_dtype_bytes(memory->dtype, layout.elements));
    if (status == ZM_OK) {
        status = gated
                     ? pack_gated(tensor, memory, rows)
                     : zm_weight_pack(to, memory->dtype, &layout, n, 0, rows, memory->dtype, n, k);
    }
    free(rows);
    return status;
}
