/* SPDX-License-Identifier: Apache-2.0 */
/* row_statistics for GPUs: of each group of columns of a row the sum of squares and the sum.
 *
 *   row         | group 0 | group 1 | ... | rest |            `group` columns each
 *   statistics  | s2 | s1 | s2 | s1 | ...
 *
 * A team of TEAM items takes one group of a row: vectors of four side by side, then a tree within
 * the team. The order is the same in every run. x * weight on demand, also by itself. */
#include "args.h"
#include "vector.clh"

#ifndef ITEMS
#define ITEMS 64
#endif
#define TEAM 16

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
row_statistics(__global const act_t *x, __global float *statistics,
               __global const param_t *weight, __global act_t *weighted,
               struct zm_row_statistics_args a)
{
    __local float2 scratch[ITEMS];
    uint item = get_local_id(0);
    uint lane = item % TEAM;
    uint groups = (a.d - 1) / a.group + 1;
    uint group = (uint)get_group_id(1) * (ITEMS / TEAM) + item / TEAM;
    size_t row = get_group_id(0);
    float4 sum = (float4)(0.0f), squares = (float4)(0.0f);
    if (group < groups) {
        uint begin = group * a.group;
        uint end = a.d - begin < a.group ? a.d : begin + a.group;
        __global const act_t *columns = x + a.x_offset + row * a.x_stride;
        weight += a.weight_offset;
        weighted += a.weighted_offset + row * a.weighted_stride;
        for (uint i = begin + lane * 4; i < end; i += TEAM * 4) {
            float4 v = load_row4(columns, i, end);
            sum += v;
            squares = fma(v, v, squares);
            if (a.flags & ZM_FLAG_WEIGHT)
                store_row4(v * load_param4(weight, i, end), weighted, i, end);
        }
    }
    scratch[item] = (float2)(add_up4(squares), add_up4(sum));
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_count = TEAM / 2; half_count > 0; half_count /= 2) {
        if (lane < half_count)
            scratch[item] += scratch[item + half_count];
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    if (lane == 0 && group < groups && (a.flags & ZM_FLAG_STATISTICS)) {
        statistics += a.statistics_offset + row * a.statistics_stride + 2 * (size_t)group;
        statistics[0] = scratch[item].x;
        statistics[1] = scratch[item].y;
    }
}
