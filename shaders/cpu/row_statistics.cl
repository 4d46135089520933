/* SPDX-License-Identifier: Apache-2.0 */
/* row_statistics for CPU devices: for each row and each group of columns the sum of squares and the
 * sum. A later matmul makes the norm of the row from them. x * weight on demand, also by itself.
 *
 *   x           | group 0 | group 1 | ... | rest  |
 *   statistics  | ss, s   | ss, s   | ... | ss, s |       sum of squares, sum
 *
 * A work-item owns some whole rows. */
#include "args.h"
#include "kernel.clh"
#include "types.clh"
#include "vector.clh"

static float2 group_sums(__global const act_t *x, uint count)
{
    float16 squares = (float16)(0.0f), sum = (float16)(0.0f);
    float2 rest = (float2)(0.0f);
    uint i = 0;
    for (; i + 16 <= count; i += 16) {
        float16 v = LOAD_ACT16(x, i);
        squares = fma(v, v, squares);
        sum += v;
    }
    for (; i < count; i++) {
        float v = LOAD_ACT(x, i);
        rest += (float2)(v * v, v);
    }
    return rest + (float2)(horizontal_sum(squares), horizontal_sum(sum));
}

static void keep_statistics(__global const act_t *x, __global float *statistics, uint d, uint group)
{
    for (uint i = 0; i < d; i += min(group, d - i), statistics += 2)
        vstore2(group_sums(x + i, min(group, d - i)), 0, statistics);
}

static void multiply_row(__global const act_t *x, __global const param_t *weight,
                         __global act_t *weighted, uint d)
{
    uint i = 0;
    for (; i + 16 <= d; i += 16)
        STORE_ACT16(LOAD_ACT16(x, i) * LOAD_PARAM16(weight, i), weighted, i);
    for (; i < d; i++)
        STORE_ACT(LOAD_ACT(x, i) * LOAD_PARAM(weight, i), weighted, i);
}

KERNEL(row_statistics, __global const act_t *x, __global float *statistics,
       __global const param_t *weight, __global act_t *weighted, struct zm_row_statistics_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        __global const act_t *v = x + a.x_offset + (size_t)row * a.x_stride;
        if (a.flags & ZM_FLAG_STATISTICS)
            keep_statistics(
                v, statistics + a.statistics_offset + (size_t)row * a.statistics_stride, a.d,
                a.group);
        if (a.flags & ZM_FLAG_WEIGHT)
            multiply_row(v, weight + a.weight_offset,
                         weighted + a.weighted_offset + (size_t)row * a.weighted_stride, a.d);
    }
}
