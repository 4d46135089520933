/* SPDX-License-Identifier: Apache-2.0 */
/* matmul of a single row for CPU devices: dst = activation(x w^T + bias) + residual, m = 1.
 *
 * One work-item reads row_block whole panels [k][32] from beginning to end, as memory likes it
 * best. Four steps of k go to separate sums, so that the adds of one do not wait for those of the
 * other. */
#include "args.h"
#define ROWS 4
#include "matmul_tile.clh"

static void panel_product(__global const float *x, __global const weight_t *panel, uint k,
                          float *sums)
{
    float16 sum[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        sum[r][0] = sum[r][1] = (float16)(0.0f);
    uint i = 0;
    for (; i + ROWS <= k; i += ROWS, panel += ROWS * PANEL) {
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float16 v = (float16)(x[i + r]);
            sum[r][0] = fma(v, LOAD_WEIGHTS(2 * r, panel), sum[r][0]);
            sum[r][1] = fma(v, LOAD_WEIGHTS(2 * r + 1, panel), sum[r][1]);
        }
    }
    for (; i < k; i++, panel += PANEL) {
        sum[0][0] = fma((float16)(x[i]), LOAD_WEIGHTS(0, panel), sum[0][0]);
        sum[0][1] = fma((float16)(x[i]), LOAD_WEIGHTS(1, panel), sum[0][1]);
    }
    vstore16((sum[0][0] + sum[1][0]) + (sum[2][0] + sum[3][0]), 0, sums);
    vstore16((sum[0][1] + sum[1][1]) + (sum[2][1] + sum[3][1]), 1, sums);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
matvec(__global const float *x, __global const weight_t *weight, __global const float *bias,
       __global const float *residual, __global float *dst, __global const float *scale,
       __global const float *column_sums, __global float *statistics, struct zm_matmul_args a)
{
    uint first = get_group_id(0) * a.row_block * PANEL;
    uint end = min(first + a.row_block * PANEL, a.n);
    x += a.x_offset;
    weight += a.weight_offset;
    bias += a.bias_offset;
    residual += a.residual_offset;
    dst += a.dst_offset;
    for (uint column = first; column < end; column += PANEL) {
        float sums[PANEL];
        panel_product(x, weight + (size_t)column * a.k, a.k, sums);
        store_row(bias + column, residual + column, dst + column, sums,
                  min((uint)PANEL, a.n - column), a.flags, a.activation);
    }
}
