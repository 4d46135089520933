/* SPDX-License-Identifier: Apache-2.0 */
/* matmul for GPUs, weights in panels of 64: dst = activation(scale(x w^T) + bias) + residual.
 *
 * Groups (row tile, column tile): neighbours read the same panels. Only the last steps of k are
 * checked; edges of rows and outputs repeat the last ones. Statistics of a gated product need
 * NWG 128. */
#include "args.h"
#include "matmul_store.clh"

#define ARGS struct zm_matmul_args

static uint depth_of(const ARGS *a)
{
    return a->k;
}

static float4 load_x(__global const act_t *x, const ARGS *a, uint row, uint k, bool whole)
{
    return load_some(x, (size_t)row * a->x_stride + k, whole ? 4 : left_of(a->k, k));
}

#include "matmul_tile.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
matmul(__global const act_t *x, __global const weight_t *weight, __global const param_t *bias,
       __global const act_t *residual, __global act_t *dst, __global const float *scale,
       __global const float *column_sums, __global float *statistics,
       __global const param_t *norm_weight, __global act_t *weighted, struct zm_matmul_args a)
{
    __local float4 memory[TILE_VECTORS];
    __local float2 scales[MWG];
    uint row = get_group_id(0) * MWG, slot = get_group_id(1) * NWG;
    const epilogue e = {
        .bias = bias + a.bias_offset,
        .residual = residual + a.residual_offset,
        .dst = dst + a.dst_offset,
        .scale = scale + a.scale_offset,
        .column_sums = column_sums + a.column_sums_offset,
        .statistics = statistics + a.statistics_offset,
        .norm_weight = norm_weight + a.norm_weight_offset,
        .weighted = weighted + a.weighted_offset,
    };
    float4 acc[MWI][2];
    keep_row_scales(&e, &a, row, MWG, ITEMS, scales);
    tile_product(x + a.x_offset, weights_on(weight, a.weight_offset), &a, &a, row, slot, memory, acc);
    tile_store(&e, &a, row, slot, scales, memory, acc);
}
