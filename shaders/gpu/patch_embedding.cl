/* SPDX-License-Identifier: Apache-2.0 */
/* patch_embedding for GPUs: a matmul whose row is one patch of an image, read where it lies.
 *
 *   x [channels][height][width]      k counts (channel, line, column) within the patch, the
 *   +----+----+----+                 fastest last; row r is patch (r / across, r % across)
 *   |    | r  |    |  patch lines
 *   +----+----+----+                 dst = x w^T + bias + position
 *
 * Weights in panels of 64. Groups (row tile, column tile). */
#define PARAM_RESIDUAL
#include "args.h"
#include "matmul_store.clh"

#define ARGS struct zm_patch_embedding_args

static uint depth_of(const ARGS *a)
{
    return a->channels * a->patch * a->patch;
}

static float4 load_x(__global const act_t *x, const ARGS *a, uint row, uint k, bool whole)
{
    uint across = a->width / a->patch, area = a->patch * a->patch;
    uint channel = k / area, line = k % area / a->patch, column = k % a->patch;
    uint count = left_of(depth_of(a), k);
    size_t top = (size_t)(row / across) * a->patch, left = (size_t)(row % across) * a->patch;
    float v[4];
#pragma unroll
    for (uint j = 0; j < 4; j++) {
        size_t y = (size_t)channel * a->height + top + line;
        v[j] = j < count ? LOAD_ACT(x, y * a->width + left + column) : 0.0f;
        column++;
        line += column == a->patch;
        column = column == a->patch ? 0 : column;
        channel += line == a->patch;
        line = line == a->patch ? 0 : line;
    }
    return vload4(0, v);
}

#include "matmul_tile.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
patch_embedding(__global const act_t *x, __global const weight_t *weight,
                __global const param_t *bias, __global const residual_t *position,
                __global act_t *dst, struct zm_patch_embedding_args a)
{
    __local float4 memory[TILE_VECTORS];
    __local float2 scales[MWG];
    uint row = get_group_id(0) * MWG, slot = get_group_id(1) * NWG;
    const struct zm_matmul_args m = {
        .m = a.height / a.patch * (a.width / a.patch),
        .n = a.n,
        .dst_stride = a.dst_stride,
        .residual_stride = a.position_stride,
        .flags = (a.flags & ZM_FLAG_BIAS) | (a.flags & ZM_FLAG_POSITION ? ZM_FLAG_RESIDUAL : 0),
    };
    const epilogue e = {
        .bias = bias + a.bias_offset,
        .residual = position + a.position_offset,
        .dst = dst + a.dst_offset,
    };
    float4 acc[MWI][2];
    keep_row_scales(&e, &m, row, MWG, ITEMS, scales);
    tile_product(x + a.x_offset, weight + a.weight_offset, &a, &m, row, slot, memory, acc);
    tile_store(&e, &m, row, slot, scales, memory, acc);
}
