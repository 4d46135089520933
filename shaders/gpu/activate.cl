/* SPDX-License-Identifier: Apache-2.0 */
/* activate for GPUs: dst = activation(x + bias) * y.
 *
 *   row   | 4 | 4 | ... | rest |     rows * ceil(d / 4) vectors, dealt out item by item, and again
 *                                    from the first item on until none is left
 *
 * dst may be x or y: an item reads a vector before it writes the same place. */
#include "args.h"
#include "math.clh"
#include "vector.clh"

#ifndef ITEMS
#define ITEMS 64
#endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
activate(__global const act_t *x, __global const param_t *bias, __global const act_t *y,
         __global act_t *dst, struct zm_activate_args a)
{
    uint vectors = (a.d - 1) / 4 + 1; /* of a row */
    size_t count = (size_t)a.rows * vectors;
    x += a.x_offset;
    bias += a.bias_offset;
    y += a.y_offset;
    dst += a.dst_offset;
    for (size_t next = get_global_id(0); next < count; next += get_global_size(0)) {
        size_t row = next / vectors;
        uint i = (uint)(next - row * vectors) * 4;
        float4 v = load_row4(x + row * a.x_stride, i, a.d);
        if (a.flags & ZM_FLAG_BIAS)
            v += load_param4(bias, i, a.d);
        v = activate4(v, a.activation);
        if (a.flags & ZM_FLAG_FACTOR)
            v *= load_row4(y + row * a.y_stride, i, a.d);
        store_row4(v, dst + row * a.dst_stride, i, a.d);
    }
}
