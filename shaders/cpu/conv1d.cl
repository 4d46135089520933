/* SPDX-License-Identifier: Apache-2.0 */
/* conv1d over time for CPU devices: a matmul whose row t begins at x[t * stride - padding] and is
 * kernel_size * channels long, because rows of x are packed and time-major.
 *
 *   x:        | row 0 | row 1 | row 2 | row 3 | ...        one row = channels values
 *   dst 1:            [ kernel_size rows      ]            no copy, only another stride
 *
 * Rows of dst that reach over an end of x see fewer rows; they are done one at a time with what is
 * there. Weight [n][kernel_size * channels], packed in panels of 32 outputs as for matmul. */
#include "args.h"
#include "matmul_tile.clh"

/* One row of dst that reaches over an end. */
static void edge_row(__global const float *x, __global const weight_t *weight, uint row,
                     const struct zm_conv1d_args *a, float *sums)
{
    int begin = (int)(row * a->stride) - (int)a->padding;
    int skipped = max(0, -begin);
    int last = min((int)a->kernel_size, (int)a->rows - begin);
    float16 low = (float16)(0.0f), high = (float16)(0.0f);
    for (int j = skipped; j < last; j++) {
        __global const float *v = x + (size_t)(begin + j) * a->channels;
        __global const weight_t *w = weight + (size_t)j * a->channels * PANEL;
        for (uint c = 0; c < a->channels; c++, w += PANEL) {
            low = fma((float16)(v[c]), LOAD_WEIGHTS(0, w), low);
            high = fma((float16)(v[c]), LOAD_WEIGHTS(1, w), high);
        }
    }
    vstore16(low, 0, sums);
    vstore16(high, 1, sums);
}

/* ROWS rows of dst from row on, all within x. */
static void inner_tile(__global const float *x, __global const weight_t *weight,
                       uint row, const struct zm_conv1d_args *a, float *sums)
{
    float16 acc[ROWS][2];
    clear_sums(acc);
    product_stored(x + ((size_t)row * a->stride - a->padding) * a->channels,
                   (size_t)a->stride * a->channels, weight, a->kernel_size * a->channels, acc);
    keep_sums(acc, true, sums);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
conv1d(__global const float *x, __global const weight_t *weight, __global const float *bias,
       __global float *dst, struct zm_conv1d_args a)
{
    uint column = get_group_id(0) * PANEL;
    uint count = min((uint)PANEL, a.n - column);
    uint row = get_group_id(1) * a.row_block;
    uint end = min(row + a.row_block, a.dst_rows);
    x += a.x_offset;
    weight += a.weight_offset + (size_t)column * a.kernel_size * a.channels;
    bias += a.bias_offset + column;
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
            store_row(bias, bias, dst + (size_t)row * a.dst_stride, sums + r * PANEL, count,
                      a.flags, a.activation);
    }
}
