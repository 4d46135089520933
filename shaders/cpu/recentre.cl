/* SPDX-License-Identifier: Apache-2.0 */
/* recentre for CPU devices: dst = v - mean(v) per row, v = x + y or x alone.
 *
 * A work-item owns some whole rows and takes them one after the other; row.clh draws the passes. */
#include "args.h"
#include "row.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
recentre(__global const float *x, __global const float *y, __global float *dst,
         struct zm_add_args a)
{
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        struct row r;
        r.x = x + a.x_offset + (size_t)row * a.x_stride;
        r.residual =
            a.flags & ZM_FLAG_RESIDUAL ? y + a.y_offset + (size_t)row * a.y_stride : 0;
        r.weight = r.bias = 0;
        r.value = r.dst = dst + a.dst_offset + (size_t)row * a.dst_stride;
        row_recentre(&r, a.d);
    }
}
