/* SPDX-License-Identifier: Apache-2.0 */
/* conv1d over time for CPU devices: a matmul whose row t begins at x[t * stride - padding] and is
 * kernel_size * channels long, because rows of x are packed and time-major.
 *
 *   x:        | row 0 | row 1 | row 2 | row 3 | ...        one row = channels values
 *   dst 1:            [ kernel_size rows      ]            no copy, only another stride
 *
 * Rows of dst that reach over an end of x see zeros there; they are done one at a time. Weight
 * [n][kernel_size * channels], packed in panels of 32 outputs as for matmul. A work-item owns one
 * panel (group 0) and row_block rows of dst (group 1). */
#include "args.h"
#include "kernel.clh"
#include "matmul_tile.clh"

TILE_PRODUCT(product, tile_x_t, __global const weight_t, LOAD_WEIGHT16)

/* One row of dst that reaches over an end, summed as a tile sums it. The zeros there count: times
 * an infinite weight they are NaN. */
static void edge_row(__global const act_t *x, __global const weight_t *weight, uint row,
                     const struct zm_conv1d_args *a, float *sums)
{
    uint length = a->kernel_size * a->channels, c = 0;
    int time = (int)(row * a->stride) - (int)a->padding;
    for (uint k0 = 0; k0 < length; k0 += K_BLOCK) {
        float16 acc[2] = {(float16)(0.0f), (float16)(0.0f)};
        for (uint k = k0; k < min(k0 + K_BLOCK, length); k++, weight += PANEL) {
            bool there = time >= 0 && time < (int)a->rows;
            float v = there ? LOAD_ACT(x, (size_t)time * a->channels + c) : 0.0f;
            acc[0] = fma((float16)(v), LOAD_WEIGHT16(weight, 0), acc[0]);
            acc[1] = fma((float16)(v), LOAD_WEIGHT16(weight, 16), acc[1]);
            c = c + 1 < a->channels ? c + 1 : 0;
            time += c == 0;
        }
        keep_sum(acc[0], k0 == 0, sums);
        keep_sum(acc[1], k0 == 0, sums + 16);
    }
}

/* ROWS rows of dst from row on, all within x. */
static void inner_tile(__global const act_t *x, __global const weight_t *weight, uint row,
                       const struct zm_conv1d_args *a, float *sums)
{
    float copy[X_COPY];
    uint length = a->kernel_size * a->channels;
    size_t stride = (size_t)a->stride * a->channels;
    x -= (size_t)a->padding * a->channels;
    for (uint k0 = 0; k0 < length; k0 += K_BLOCK, weight += K_BLOCK * PANEL) {
        uint k = min((uint)K_BLOCK, length - k0);
        tile_x_t *rows[ROWS];
        tile_rows(x + k0, stride, row, a->dst_rows - 1, k, copy, rows);
        struct ahead ahead =
            rows_ahead(x + row * stride + k0 + K_BLOCK, stride, (size_t)weight + PAGE);
        product(ROWS, rows, weight, k, ahead, k0 == 0, sums);
    }
}

/* dst = activation(sums + bias) for one row of a panel. */
static void finish_row(const float *sums, const float16 bias[2], uint activation,
                       __global act_t *dst, uint count)
{
    store16(activate16(vload16(0, sums) + bias[0], activation), dst, count);
    if (count > 16)
        store16(activate16(vload16(1, sums) + bias[1], activation), dst + 16, count - 16);
}

KERNEL(conv1d, __global const act_t *x, __global const weight_t *weight,
       __global const param_t *bias, __global act_t *dst, struct zm_conv1d_args a)
{
    uint column = GROUP(0) * PANEL;
    uint count = min((uint)PANEL, a.n - column);
    uint row = GROUP(1) * a.row_block;
    uint end = min(row + a.row_block, a.dst_rows);
    float16 lanes[2];
    load_lanes(a.flags & ZM_FLAG_BIAS ? bias + a.bias_offset + column : 0, count, lanes);
    x += a.x_offset;
    weight += a.weight_offset + (size_t)column * a.kernel_size * a.channels;
    dst += a.dst_offset + column;
    while (row < end) {
        float sums[ROWS * PANEL];
        int begin = (int)(row * a.stride) - (int)a.padding;
        int tile_end = begin + (int)((ROWS - 1) * a.stride + a.kernel_size);
        bool inner = begin >= 0 && tile_end <= (int)a.rows && row + ROWS <= end;
        if (inner)
            inner_tile(x, weight, row, &a, sums);
        else
            edge_row(x, weight, row, &a, sums);
        for (uint r = 0; r < (inner ? ROWS : 1); r++, row++)
            finish_row(sums + r * PANEL, lanes, a.activation, dst + (size_t)row * a.dst_stride,
                       count);
    }
}
