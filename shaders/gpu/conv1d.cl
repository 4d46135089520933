/* SPDX-License-Identifier: Apache-2.0 */
/* conv1d over time for GPUs: a matmul whose row t begins at x[t * stride - padding] and is
 * kernel_size * channels long, because rows of x are packed and time-major.
 *
 *   x:        | row 0 | row 1 | row 2 | row 3 | ...        one row = channels values
 *   dst 1:            [ kernel_size rows      ]            no copy, only another stride
 *
 * What lies before or after x reads as zeros. Weights in panels of 64. Groups (row tile, column
 * tile). */
#include "args.h"
#include "matmul_store.clh"

#define ARGS struct zm_conv1d_args

static uint depth_of(const ARGS *a)
{
    return a->kernel_size * a->channels;
}

static float4 load_x(__global const act_t *x, const ARGS *a, uint row, uint k, bool whole)
{
    long i = ((long)row * a->stride - a->padding) * a->channels + k;
    long size = (long)a->rows * a->channels;
    uint count = left_of(depth_of(a), k);
    if (count == 4 && i >= 0 && i + 4 <= size)
        return LOAD_ACT4(x, i);
    float v[4];
#pragma unroll
    for (uint j = 0; j < 4; j++)
        v[j] = j < count && i + j >= 0 && i + j < size ? LOAD_ACT(x, i + j) : 0.0f;
    return vload4(0, v);
}

#include "matmul_tile.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
conv1d(__global const act_t *x, __global const weight_t *weight, __global const param_t *bias,
       __global act_t *dst, struct zm_conv1d_args a)
{
    __local float4 memory[TILE_VECTORS];
    __local float2 scales[MWG];
    uint row = get_group_id(0) * MWG, slot = get_group_id(1) * NWG;
    const struct zm_matmul_args m = {
        .m = a.dst_rows,
        .n = a.n,
        .dst_stride = a.dst_stride,
        .flags = a.flags & ZM_FLAG_BIAS,
        .kinds = ZM_KIND_SET(ZM_KIND_ACTIVATION, a.activation),
    };
    const epilogue e = {.bias = bias + a.bias_offset, .dst = dst + a.dst_offset};
    float4 acc[MWI][2];
    keep_row_scales(&e, &m, row, MWG, ITEMS, scales);
    tile_product(x + a.x_offset, weight + a.weight_offset, &a, &m, row, slot, memory, acc);
    tile_store(&e, &m, row, slot, scales, memory, acc);
}
