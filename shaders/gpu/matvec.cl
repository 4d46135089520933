/* SPDX-License-Identifier: Apache-2.0 */
/* matmul of a few rows for GPUs, bound by the reading of weights in panels of 64.
 *
 *            panel [k][64]                   a group takes 4 * LANES slots of a panel, half of them
 *   k 0..3   | lane 0 .. LANES-1 | ...       from each half so that gate and up meet; lane = 4
 *   k 4..7   | sub 1             |           slots, and its steps of k are shared out among
 *   ...      | ...               |           SUBS sub-lanes, four on end; of quantised weights
 *                                            eight, which come out of the same words
 *
 * The sums of the sub-lanes are added pairwise in local memory, always in the same order. With
 * fewer LANES there are more groups for narrow matrices; statistics need all 16. ROWS is m or more;
 * rows past m repeat the last and are not stored. Groups (panel * (16 / LANES) + part). */
#include "args.h"
#include "matmul_store.clh"

#ifndef ROWS
#define ROWS 1
#endif
#ifndef LANES
#define LANES 16
#endif
#ifndef ITEMS
#define ITEMS 256
#endif
#define SUBS (ITEMS / LANES)
/* Steps of k of a sub-lane at a time. */
#define STEPS (BLOCKS ? 8 : 4)
#define SUM_ITEMS (SUBS > 1 ? ITEMS / 2 : LANES)

#if LANES < 2 || LANES > 16 || 16 % LANES != 0 || (SUBS & (SUBS - 1)) != 0 || SUBS < 1
#error "LANES is 2, 4, 8 or 16, ITEMS that times a power of 2"
#endif

/* The first of the four slots of a lane, within the panel. */
static uint lane_slot(uint lane, uint part)
{
    uint half_lanes = LANES / 2;
    return lane / half_lanes * HALF + (part * half_lanes + lane % half_lanes) * 4;
}

/* Adds rows of x, four steps of each, times their weights. */
static void add_products(__global const act_t *x, const struct zm_matmul_args *a, uint k,
                         const float4 w[4], float4 acc[ROWS])
{
#pragma unroll
    for (uint r = 0; r < ROWS; r++) {
        float4 v = LOAD_ACT4(x, (size_t)min(r, a->m - 1) * a->x_stride + k);
        acc[r] = MULTIPLY_ADD((float4)(v.x), w[0], acc[r]);
        acc[r] = MULTIPLY_ADD((float4)(v.y), w[1], acc[r]);
        acc[r] = MULTIPLY_ADD((float4)(v.z), w[2], acc[r]);
        acc[r] = MULTIPLY_ADD((float4)(v.w), w[3], acc[r]);
    }
}

/* One sub-lane's share of a panel: STEPS steps of every STEPS * SUBS. */
#if BLOCKS
static void lane_product(__global const act_t *x, __global const weight_t *panel, uint slot,
                         const struct zm_matmul_args *a, uint sub, float4 acc[ROWS])
{
    for (uint k = sub * STEPS; k < a->k; k += SUBS * STEPS) {
        struct octet o = octet_load(panel, slot, k);
#pragma unroll
        for (uint part = 0; part < STEPS; part += 4) {
            float4 w[4];
#pragma unroll
            for (uint j = 0; j < 4; j++)
                w[j] = octet_weight(&o, part + j);
            add_products(x, a, k + part, w, acc);
        }
    }
}
#else
static void lane_product(__global const act_t *x, __global const weight_t *panel, uint slot,
                         const struct zm_matmul_args *a, uint sub, float4 acc[ROWS])
{
    __global const weight_t *weight = panel + slot;
    uint k0 = sub * STEPS;
    for (; k0 < a->k && a->k - k0 >= STEPS; k0 += SUBS * STEPS) {
        float4 w[STEPS];
#pragma unroll
        for (uint j = 0; j < STEPS; j++)
            w[j] = LOAD_WEIGHT4(weight, (size_t)(k0 + j) * PANEL);
        add_products(x, a, k0, w, acc);
    }
    for (uint k = k0; k < a->k; k++) { /* at most three steps, of one sub-lane */
        float4 w = LOAD_WEIGHT4(weight, (size_t)k * PANEL);
#pragma unroll
        for (uint r = 0; r < ROWS; r++) {
            float v = LOAD_ACT(x, (size_t)min(r, a->m - 1) * a->x_stride + k);
            acc[r] = MULTIPLY_ADD((float4)(v), w, acc[r]);
        }
    }
}
#endif

/* Adds up the sub-lanes, the upper half to the lower one until there is one left, which leaves its
 * sums as sums[row][lane]. */
static void add_subs(float4 acc[ROWS], __local float4 *sums)
{
    uint id = get_local_id(0);
    for (uint half_items = ITEMS / 2; half_items >= LANES; half_items /= 2) {
#pragma unroll
        for (uint r = 0; r < ROWS; r++)
            if (id >= half_items && id < 2 * half_items)
                sums[r * half_items + id - half_items] = acc[r];
        barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
        for (uint r = 0; r < ROWS; r++)
            if (id < half_items)
                acc[r] += sums[r * half_items + id];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#pragma unroll
    for (uint r = 0; r < ROWS; r++)
        if (id < LANES)
            sums[r * LANES + id] = acc[r];
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* The outputs of one lane and row; returns its part of the statistics. A gated product has its
 * outputs in the lower half of the lanes. */
static float2 store_lane(const epilogue *e, const struct zm_matmul_args *a, uint panel, uint part,
                         uint row, uint lane, float2 scale, __local const float4 *sums)
{
    bool gated = (a->flags & ZM_FLAG_GATED) != 0;
    uint output = panel * (gated ? HALF : PANEL) + lane_slot(lane, part);
    if (gated && lane >= LANES / 2)
        return (float2)(0.0f, 0.0f);
    return store_outputs(e, a, row, output, scale, sums[lane],
                         sums[gated ? lane + LANES / 2 : lane]);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
matvec(__global const act_t *x, __global const weight_t *weight, __global const param_t *bias,
       __global const act_t *residual, __global act_t *dst, __global const float *scale,
       __global const float *column_sums, __global float *statistics,
       __global const param_t *norm_weight, __global act_t *weighted, struct zm_matmul_args a)
{
    __local float4 sums[ROWS * SUM_ITEMS];
    __local float2 scales[ROWS];
    __local float2 parts[ROWS * LANES];
    uint id = get_local_id(0);
    uint panel = get_group_id(0) / (16 / LANES), part = get_group_id(0) % (16 / LANES);
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
    float4 acc[ROWS];
#pragma unroll
    for (uint r = 0; r < ROWS; r++)
        acc[r] = (float4)(0.0f);
    keep_row_scales(&e, &a, 0, ROWS, ITEMS, scales);
    weight = weights_on(weight, a.weight_offset + (size_t)panel * a.k * PANEL);
    lane_product(x + a.x_offset, weight, lane_slot(id % LANES, part), &a, id / LANES, acc);
    add_subs(acc, sums);
    for (uint i = id; i < ROWS * LANES; i += ITEMS)
        parts[i] = store_lane(&e, &a, panel, part, i / LANES, i % LANES, scales[i / LANES],
                              sums + i / LANES * LANES);
    if (a.flags & ZM_FLAG_STATISTICS) {
        barrier(CLK_LOCAL_MEM_FENCE);
        for (uint r = id; r < ROWS; r += ITEMS)
            store_statistics(&e, &a, r, panel, parts + r * LANES, LANES);
    }
}
