/* SPDX-License-Identifier: Apache-2.0 */
/* matmul for CPU devices: dst = activation(scale(x w^T) + bias) + residual (see epilogue.clh).
 *
 *                 group 0: 32 outputs, a panel of weights [k][32] (two when gated)
 *                 +--------+--------+----
 *   group 1:      | tile   |
 *   row_block     | tile   |            a tile is ROWS x 32 and stays in registers;
 *   rows of x     | tile   |            K_BLOCK steps of the panel stay in the first-level cache
 *                 +--------+            for the block, the rows in the second for the next panels
 *
 * Narrow weights are unpacked once per block when several tiles share them, quantised ones always.
 * Requires row_block <=
 * ROW_BLOCK. */
#include "args.h"
#include "epilogue.clh"
#include "kernel.clh"

#if !BLOCKS
TILE_PRODUCT(product_stored, tile_x_t, __global const weight_t, LOAD_WEIGHT16)
#endif
TILE_PRODUCT(product_unpacked, tile_x_t, const float, LOAD16_1)

/* The tile at row `next`, at some step of k: the tile after it reads the rows below, or the first
 * ones of the next block. */
static struct ahead ahead_of(__global const act_t *x, __global const weight_t *block, uint first,
                             uint next, uint end, size_t stride)
{
    uint tile = (next - first) / ROWS;
    bool is_last = next + ROWS >= end;
    if (is_last && tile == 0)
        return rows_ahead(x, 0, (size_t)block + PAGE);
    size_t below = (next + ROWS) * stride, again = first * stride + K_BLOCK;
    return rows_ahead(x + (is_last ? again : below), stride, weights_ahead(block, tile));
}

static void panel_rows(__global const act_t *x, __global const weight_t *panel,
                       const struct epilogue *e, const struct zm_matmul_args *a, uint first)
{
    uint end = min(first + a->row_block, a->m);
    bool unpacks = BLOCKS || (WEIGHT_TYPE != 1 && end - first > ROWS);
    float unpacked[K_BLOCK * PANEL], copy[X_COPY];
    float sums[(ROW_BLOCK + ROWS) * PANEL];
    for (uint k0 = 0; k0 < a->k; k0 += K_BLOCK, panel = weights_on(panel, K_BLOCK * PANEL)) {
        uint k = min((uint)K_BLOCK, a->k - k0);
        if (unpacks)
            unpack(panel, k, unpacked);
        float *sum = sums;
        for (uint next = first, rows; next < end; next += rows, sum += rows * PANEL) {
            tile_x_t *row[ROWS];
            rows = tile_height(end - next);
            tile_rows(x + k0, a->x_stride, next, a->m - 1, k, copy, row);
            struct ahead ahead = ahead_of(x + k0, panel, first, next, end, a->x_stride);
            if (unpacks)
                product_unpacked(rows, row, unpacked, k, ahead, k0 == 0, sum);
#if !BLOCKS
            else
                product_stored(rows, row, panel, k, ahead, k0 == 0, sum);
#endif
            if (k0 + k == a->k)
                finish_rows(e, a, next, min(next + rows, end), sum);
        }
    }
}

KERNEL(matmul, __global const act_t *x, __global const weight_t *weight,
       __global const param_t *bias, __global const act_t *residual, __global act_t *dst,
       __global const float *scale, __global const float *column_sums, __global float *statistics,
       __global const param_t *norm_weight, __global act_t *weighted, struct zm_matmul_args a)
{
    struct outputs o = {bias, residual, dst, scale, column_sums, statistics, norm_weight, weighted};
    struct epilogue e;
    const uint step = panel_outputs(&a);
    add_offsets(&o, &a);
    for (uint group = GROUP(0) * PANEL; group < a.n; group += GROUPS(0) * PANEL)
        for (uint output = group; output < min(group + PANEL, a.n); output += step) {
            epilogue_begin(&e, &o, &a, output);
            panel_rows(x + a.x_offset,
                       weights_on(weight, a.weight_offset + (size_t)(output / step) * PANEL * a.k),
                       &e, &a, GROUP(1) * a.row_block);
        }
}
