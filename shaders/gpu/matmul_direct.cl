/* SPDX-License-Identifier: Apache-2.0 */
/* matmul for GPUs on operands as they come: weights as rows [n][k] of any stride, one matrix or a
 * batch. The same as matmul but that weights are turned on their way to local memory, and that the
 * end of k is checked with every vector.
 *
 * Groups (row tile, column tile, matrix of the batch). */
#define PANELS 0
#include "args.h"
#include "matmul_store.clh"

#define ARGS struct zm_matmul_args

static uint depth_of(const ARGS *a)
{
    return a->k;
}

static float4 load_x(__global const act_t *x, const ARGS *a, uint row, uint k, bool whole)
{
    return load_some(x, (size_t)row * a->x_stride + k, left_of(a->k, k));
}

#include "matmul_tile.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
matmul_direct(__global const act_t *x, __global const weight_t *weight,
              __global const param_t *bias, __global const act_t *residual, __global act_t *dst,
              __global const float *scale, __global const float *column_sums,
              __global float *statistics, __global const param_t *norm_weight,
              __global act_t *weighted, struct zm_matmul_args a)
{
    __local float4 memory[TILE_VECTORS];
    __local float2 scales[MWG];
    uint row = get_group_id(0) * MWG, slot = get_group_id(1) * NWG;
    size_t matrix = get_group_id(2);
    const epilogue e = {
        .bias = bias + a.bias_offset,
        .residual = residual + a.residual_offset + matrix * a.residual_batch,
        .dst = dst + a.dst_offset + matrix * a.dst_batch,
        .scale = scale + a.scale_offset,
        .column_sums = column_sums + a.column_sums_offset,
        .statistics = statistics + a.statistics_offset,
        .norm_weight = norm_weight + a.norm_weight_offset,
        .weighted = weighted + a.weighted_offset,
    };
    float4 acc[MWI][2];
    x += a.x_offset + matrix * a.x_batch;
    weight += a.weight_offset + matrix * a.weight_batch;
    keep_row_scales(&e, &a, row, MWG, ITEMS, scales);
    tile_product(x, weight, &a, &a, row, slot, memory, acc);
    tile_store(&e, &a, row, slot, scales, memory, acc);
}
