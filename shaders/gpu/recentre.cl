/* SPDX-License-Identifier: Apache-2.0 */
/* recentre for GPUs: dst = v - mean(v) per row, v = x + y or v = x.
 *
 * A work-group takes one row; row.clh draws how its items share it. */
#include "args.h"
#include "source_sum.clh"
#include "row.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
recentre(__global const act_t *x, __global const act_t *y, __global act_t *dst,
         struct zm_add_args a)
{
    __local float scratch[ITEMS];
    __local float2 scratch2[ITEMS];
    size_t row = get_group_id(0);
    struct row r;
    r.d = a.d;
    r.source.x = x + a.x_offset + row * a.x_stride;
    r.source.residual = a.flags & ZM_FLAG_RESIDUAL ? y + a.y_offset + row * a.y_stride : 0;
    row_begin(&r);
    float2 mean = row_mean(&r, scratch, scratch2);
    dst += a.dst_offset + row * a.dst_stride;
#pragma unroll
    for (uint step = 0; step < ROW_STEPS(&r); step++)
        store_row4((ROW_VALUE(&r, step) - mean.x) - mean.y, dst, row_place(step), r.d);
}
