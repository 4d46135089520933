/* SPDX-License-Identifier: Apache-2.0 */
/* matmul of a single row for CPU devices: dst = activation(scale(x w^T) + bias) + residual, m = 1
 * (see epilogue.clh).
 *
 *   panel of 32 weight rows   | k = 0: 32 | k = 1: 32 | k = 2: 32 | k = 3: 32 | k = 4 ...
 *   sums                            0           1           2           3           0
 *
 * One work-item (group 0) reads the panels of row_block groups of 32 outputs from beginning to end,
 * as memory likes it best. Four steps of k go to separate sums, so that the adds of one do not wait
 * for those of the other, and what lies a page ahead is asked for. Where tiles have 16 columns, the
 * sums of two steps are 8 vectors, as many as the units need; those of four would fill all
 * registers, and asking is slower there than what the processor fetches by itself. Quantised
 * weights are read as they are, 32 steps of k at a time (blocks.clh). */
#include "args.h"
#include "kernel.clh"
#if COLUMNS == 16
#define ROWS 2
#define PANEL_SOON(panel)
#else
#define ROWS 4
#define PANEL_SOON(panel)                                                                      \
    _Pragma("unroll") for (int line = 0; line < ROWS * PANEL * sizeof(weight_t); line += LINE) \
        READ_SOON((size_t)panel + PAGE + line, 1);
#endif
#include "epilogue.clh"

#if OCTETS
static void panel_product(__global const act_t *x, __global const weight_t *panel, uint k,
                          float *sums)
{
    float16 sum[2] = {0.0f, 0.0f};
    for (uint i = 0; i < k; i += RANGE_STEPS) {
        float copy[RANGE_STEPS];
        float16 v = LOAD_ACT16(x, i);
        size_t soon = (size_t)block_at(panel, i) + i % BLOCK * (STEP_BYTES / BLOCK) + PAGE;
#pragma unroll
        for (int line = 0; line < STEP_BYTES / BLOCK * RANGE_STEPS; line += LINE)
            READ_SOON(soon + line, 1);
        KEEP16(v, copy, 0);
#if RANGE_STEPS == 32
        float16 next = LOAD_ACT16(x, i + 16);
        KEEP16(next, copy, 16);
        v += next;
#endif
        float4 total = (v.lo.lo + v.lo.hi) + (v.hi.lo + v.hi.hi);
        range_product(copy, (total.x + total.y) + (total.z + total.w), panel, i, sum);
    }
    KEEP16(sum[0], sums, 0);
    KEEP16(sum[1], sums, 16);
}
#elif BLOCKS
static void panel_product(__global const act_t *x, __global const weight_t *panel, uint k,
                          float *sums)
{
    float16 sum[2] = {0.0f, 0.0f};
    for (uint i = 0; i < k; i += BLOCK, panel += STEP_BYTES) {
#pragma unroll
        for (int line = 0; line < STEP_BYTES; line += LINE)
            READ_SOON((size_t)panel + PAGE + line, 1);
        float16 steps[2] = {LOAD_ACT16(x, i), LOAD_ACT16(x, i + 16)};
        step_product(steps, panel, sum);
    }
    KEEP16(sum[0], sums, 0);
    KEEP16(sum[1], sums, 16);
}
#else
static void panel_product(__global const act_t *x, __global const weight_t *panel, uint k,
                          float *sums)
{
    float16 sum[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        sum[r][0] = sum[r][1] = (float16)(0.0f);
    uint i = 0;
    for (; i + ROWS <= k; i += ROWS, panel += ROWS * PANEL) {
        PANEL_SOON(panel)
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float16 v = (float16)(LOAD_ACT(x, i + r));
            sum[r][0] = fma(v, LOAD_WEIGHT16(panel, r * PANEL), sum[r][0]);
            sum[r][1] = fma(v, LOAD_WEIGHT16(panel, r * PANEL + 16), sum[r][1]);
        }
    }
    for (; i < k; i++, panel += PANEL) {
        float16 v = (float16)(LOAD_ACT(x, i));
        sum[0][0] = fma(v, LOAD_WEIGHT16(panel, 0), sum[0][0]);
        sum[0][1] = fma(v, LOAD_WEIGHT16(panel, 16), sum[0][1]);
    }
#pragma unroll
    for (int j = 0; j < 2; j++) {
        float16 all = sum[0][j] + sum[1][j];
        if (ROWS == 4)
            all += sum[ROWS - 2][j] + sum[ROWS - 1][j];
        KEEP16(all, sums, 16 * j);
    }
}
#endif

KERNEL(matvec, __global const act_t *x, __global const weight_t *weight,
       __global const param_t *bias, __global const act_t *residual, __global act_t *dst,
       __global const float *scale, __global const float *column_sums, __global float *statistics,
       __global const param_t *norm_weight, __global act_t *weighted, struct zm_matmul_args a)
{
    struct outputs o = {bias, residual, dst, scale, column_sums, statistics, norm_weight, weighted};
    struct epilogue e;
    const uint step = panel_outputs(&a), block = a.row_block * PANEL;
    add_offsets(&o, &a);
    for (uint first = GROUP(0) * block; first < a.n; first += GROUPS(0) * block)
        for (uint output = first; output < min(first + block, a.n); output += step) {
            epilogue_begin(&e, &o, &a, output);
            float sums[PANEL];
            panel_product(
                x + a.x_offset,
                weights_on(weight, a.weight_offset + (size_t)(output / step) * PANEL * a.k), a.k,
                sums);
            finish_row(&e, &a, 0, sums);
        }
}
