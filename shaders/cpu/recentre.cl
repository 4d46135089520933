/* SPDX-License-Identifier: Apache-2.0 */
/* recentre for CPU devices: dst = v - mean(v) per row, v = x + y or x alone.
 *
 *   x, y, dst: [row][d], each with its own stride
 *
 * A work-item owns some whole rows and takes them one after the other; row.clh draws the passes. */
#include "args.h"
#include "kernel.clh"
#include "source.clh"

KERNEL(recentre, __global const act_t *x, __global const act_t *y, __global act_t *dst,
       struct zm_add_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct row r = {{x + a.x_offset + (size_t)row * a.x_stride, 0}, 0, 0, 0, 0};
        if (a.flags & ZM_FLAG_RESIDUAL)
            r.source.residual = y + a.y_offset + (size_t)row * a.y_stride;
        r.dst = dst + a.dst_offset + (size_t)row * a.dst_stride;
        row_recentre(&r, a.d);
    }
}
