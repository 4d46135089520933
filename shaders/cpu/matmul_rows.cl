/* SPDX-License-Identifier: Apache-2.0 */
/* matmul for CPU devices with weights as plain rows, also a batch of them:
 * dst = activation(scale(x w^T) + bias) + residual (see epilogue.clh).
 *
 *   weight rows [n][k]                        panel in private memory [K_BLOCK][32]
 *   output 0:  | 16 x 16 | 16 x 16 | ...      | 16 x 16 | 16 x 16 |      lanes = outputs
 *   output 16: | 16 x 16 | 16 x 16 | ...      | 16 x 16 | 16 x 16 |
 *
 * A work-item owns 32 outputs (group 0) of row_block rows (group 1) of one matrix (group 2). It
 * turns K_BLOCK steps of 32 weight rows into a panel, 16 x 16 elements at a time in registers, and
 * goes on as matmul.cl. When gated, gate and up rows alternate; a panel is 16 of each. Requires
 * row_block <= ROW_BLOCK. */
#include "args.h"
#include "epilogue.clh"
#include "kernel.clh"
#include "square.clh"

TILE_PRODUCT(product, tile_x_t, const float, LOAD16_1)

/* 16 weight rows, `step` apart, of which `rows` are there, become 16 lanes of the panel. */
static void turn_rows(__global const weight_t *weight, size_t step, uint rows, uint k, float *panel)
{
    uint i = 0;
    for (; rows == 16 && i + 16 <= k; i += 16) {
        float16 square[16];
#pragma unroll
        for (int r = 0; r < 16; r++)
            square[r] = LOAD_WEIGHT16(weight + r * step, i);
        turn_square(square);
#pragma unroll
        for (int r = 0; r < 16; r++)
            KEEP16(square[r], panel, (i + r) * PANEL);
    }
    for (; i < k; i++)
        for (uint r = 0; r < 16; r++)
            panel[i * PANEL + r] = r < rows ? LOAD_WEIGHT(weight, r * step + i) : 0.0f;
}

/* k steps of the panel; weight points to its first row at the first of them. */
static void turn_panel(__global const weight_t *weight, const struct zm_matmul_args *a, uint count,
                       uint k, float *panel)
{
    size_t stride = a->weight_stride;
    if (is_gated(a)) {
        turn_rows(weight, 2 * stride, count, k, panel);
        turn_rows(weight + stride, 2 * stride, count, k, panel + 16);
    } else {
        turn_rows(weight, stride, min(count, 16u), k, panel);
        turn_rows(count > 16 ? weight + 16 * stride : weight, stride, max(count, 16u) - 16, k,
                  panel + 16);
    }
}

static void panel_rows(__global const act_t *x, __global const weight_t *weight,
                       const struct epilogue *e, const struct zm_matmul_args *a, uint first)
{
    uint end = min(first + a->row_block, a->m);
    float panel[K_BLOCK * PANEL], copy[X_COPY];
    float sums[(ROW_BLOCK + ROWS) * PANEL];
    for (uint k0 = 0; k0 < a->k; k0 += K_BLOCK) {
        uint k = min((uint)K_BLOCK, a->k - k0);
        turn_panel(weight + k0, a, e->count, k, panel);
        float *sum = sums;
        for (uint next = first, rows; next < end; next += rows, sum += rows * PANEL) {
            tile_x_t *row[ROWS];
            rows = tile_height(end - next);
            tile_rows(x + k0, a->x_stride, next, a->m - 1, k, copy, row);
            struct ahead ahead = rows_ahead(x + k0 + (next + ROWS) * (size_t)a->x_stride,
                                            a->x_stride, (size_t)panel);
            product(rows, row, panel, k, ahead, k0 == 0, sum);
            if (k0 + k == a->k)
                finish_rows(e, a, next, min(next + rows, end), sum);
        }
    }
}

KERNEL(matmul_rows, __global const act_t *x, __global const weight_t *weight,
       __global const param_t *bias, __global const act_t *residual, __global act_t *dst,
       __global const float *scale, __global const float *column_sums, __global float *statistics,
       __global const param_t *norm_weight, __global act_t *weighted, struct zm_matmul_args a)
{
    size_t matrix = GROUP(2);
    struct outputs o = {bias, residual, dst, scale, column_sums, statistics, norm_weight, weighted};
    struct epilogue e;
    add_offsets(&o, &a);
    o.dst += matrix * a.dst_batch;
    if (o.residual)
        o.residual += matrix * a.residual_batch;
    x += a.x_offset + matrix * a.x_batch;
    weight += a.weight_offset + matrix * a.weight_batch;
    const uint step = panel_outputs(&a), rows = is_gated(&a) ? 2 : 1;
    for (uint group = GROUP(0) * PANEL; group < a.n; group += GROUPS(0) * PANEL)
        for (uint output = group; output < min(group + PANEL, a.n); output += step) {
            epilogue_begin(&e, &o, &a, output);
            panel_rows(x, weight + (size_t)output * rows * a.weight_stride, &e, &a,
                       GROUP(1) * a.row_block);
        }
}
