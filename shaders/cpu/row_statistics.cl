/* SPDX-License-Identifier: Apache-2.0 */
/* row_statistics for CPU devices: for each row and each group of columns the sum of squares and the
 * sum. A later matmul makes the norm of the row from them (statistics.clh draws the layout).
 *
 * A work-item owns some whole rows. */
#include "args.h"
#include "types.clh"
#include "vector.clh"
#include "statistics.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
row_statistics(__global const act_t *x, __global float *statistics,
               struct zm_row_statistics_args a)
{
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        __global const act_t *v = x + a.x_offset + (size_t)row * a.x_stride;
        __global float *s = statistics + a.statistics_offset + (size_t)row * a.statistics_stride;
        for (uint i = 0; i < a.d; i += min(a.group, a.d - i), s += 2)
            vstore2(group_sums(v + i, min(a.group, a.d - i)), 0, s);
    }
}
