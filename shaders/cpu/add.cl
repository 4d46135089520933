/* SPDX-License-Identifier: Apache-2.0 */
/* add for CPU devices: dst = x + y.
 *
 *   x, y, dst: [row][d], each with its own stride
 *
 * A work-item owns some whole rows; 16 elements at a time, the rest one by one. dst may be x or y:
 * each element is read before it is written. */
#include "args.h"
#include "kernel.clh"
#include "types.clh"
#include "vector.clh"

KERNEL(add, __global const act_t *x, __global const act_t *y, __global act_t *dst,
       struct zm_add_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        __global const act_t *p = x + a.x_offset + (size_t)row * a.x_stride;
        __global const act_t *q = y + a.y_offset + (size_t)row * a.y_stride;
        __global act_t *r = dst + a.dst_offset + (size_t)row * a.dst_stride;
        uint i = 0;
        for (; i + 16 <= a.d; i += 16)
            STORE_ACT16(LOAD_ACT16(p, i) + LOAD_ACT16(q, i), r, i);
        for (; i < a.d; i++)
            STORE_ACT(LOAD_ACT(p, i) + LOAD_ACT(q, i), r, i);
    }
}
