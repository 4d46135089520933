/* SPDX-License-Identifier: Apache-2.0 */
/* matmul for CPU devices: dst = activation(x w^T + bias) + residual.
 *
 *                 group 0: panel of 32 outputs
 *                 +--------+--------+----
 *   group 1:      | tile   |
 *   row_block     | tile   |            a tile is ROWS x 32 and stays in registers;
 *   rows of x     | tile   |            K_BLOCK steps of the panel stay in the first-level cache
 *                 +--------+            for the block, the rows in the second for the next panels
 *
 * Narrow weights are unpacked once per block when enough rows share them. Requires m >= ROWS and
 * row_block <= ROW_BLOCK. The last tile of the matrix starts earlier when m is no multiple of ROWS
 * and stores only its new rows. */
#include "args.h"
#include "matmul_tile.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matmul(__global const float *x, __global const weight_t *weight, __global const float *bias,
       __global const float *residual, __global float *dst, __global const float *scale,
       __global const float *column_sums, __global float *statistics, struct zm_matmul_args a)
{
    uint column = get_group_id(0) * PANEL;
    uint first = get_group_id(1) * a.row_block;
    uint end = min(first + a.row_block, a.m);
    uint count = min((uint)PANEL, a.n - column);
    bool unpacks = WEIGHT_TYPE != 1 && end - first > 2 * ROWS;
    float unpacked[K_BLOCK * PANEL];
    float sums[(ROW_BLOCK + ROWS) * PANEL];
    x += a.x_offset;
    weight += a.weight_offset + (size_t)column * a.k;
    bias += a.bias_offset + column;
    residual += a.residual_offset + column;
    dst += a.dst_offset + column;

    for (uint k0 = 0; k0 < a.k; k0 += K_BLOCK) {
        uint k = min((uint)K_BLOCK, a.k - k0);
        if (unpacks)
            unpack(weight, k, unpacked);
        float *sum = sums;
        for (uint next = first; next < end; next += ROWS, sum += ROWS * PANEL) {
            uint row = min(next, a.m - ROWS);
            __global const float *tile = x + (size_t)row * a.x_stride + k0;
            float16 acc[ROWS][2];
            clear_sums(acc);
            if (unpacks)
                product_unpacked(tile, a.x_stride, unpacked, k, acc);
            else
                product_stored(tile, a.x_stride, weight, k, acc);
            keep_sums(acc, k0 == 0, sum);
            for (uint y = next; k0 + k == a.k && y < min(next + ROWS, end); y++)
                store_row(bias, residual + (size_t)y * a.residual_stride,
                          dst + (size_t)y * a.dst_stride, sum + (y - row) * PANEL, count, a.flags,
                          a.activation);
        }
        weight += (size_t)k * PANEL;
    }
}
