/* SPDX-License-Identifier: Apache-2.0 */
/* add for CPU devices: dst = x + y.
 *
 * A work-item owns some whole rows, [row][d] each with its own stride; 16 elements at a time, the
 * rest one by one. dst may be x or y: each element is read before it is written. */
#include "args.h"
#include "vector.clh"

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
add(__global const float *x, __global const float *y, __global float *dst, struct zm_add_args a)
{
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        __global const float *p = x + a.x_offset + (size_t)row * a.x_stride;
        __global const float *q = y + a.y_offset + (size_t)row * a.y_stride;
        __global float *r = dst + a.dst_offset + (size_t)row * a.dst_stride;
        uint i = 0;
        for (; i + 16 <= a.d; i += 16)
            vstore16(vload16(0, p + i) + vload16(0, q + i), 0, r + i);
        for (; i < a.d; i++)
            r[i] = p[i] + q[i];
    }
}
