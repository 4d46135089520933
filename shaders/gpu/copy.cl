/* SPDX-License-Identifier: Apache-2.0 */
/* copy for GPUs, any strides: dst = x, element by element, converted to dst's type.
 *
 *   line (innermost dimension)   | 4 | 4 | ... | rest |
 *
 * Vectors of four elements of a line are dealt out item by item, and again from the first item on
 * until none is left. */
#include "args.h"
#include "copy.clh"

#ifndef ITEMS
#define ITEMS 64
#endif

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
copy(__global const source_t *x, __global target_t *dst, struct zm_copy_args a)
{
    uint vectors = (a.shape[3] - 1) / 4 + 1;
    size_t lines = (size_t)a.shape[0] * a.shape[1] * a.shape[2];
    bool contiguous = a.x_stride[3] == 1 && a.dst_stride[3] == 1;
    for (size_t next = get_global_id(0); next < lines * vectors; next += get_global_size(0)) {
        size_t line = next / vectors;
        uint i = (uint)(next - line * vectors) * 4;
        uint i2 = (uint)(line % a.shape[2]);
        uint i1 = (uint)(line / a.shape[2] % a.shape[1]);
        uint i0 = (uint)(line / a.shape[2] / a.shape[1]);
        size_t from = a.x_offset + (size_t)i0 * a.x_stride[0] + (size_t)i1 * a.x_stride[1] +
                      (size_t)i2 * a.x_stride[2] + (size_t)i * a.x_stride[3];
        size_t to = a.dst_offset + (size_t)i0 * a.dst_stride[0] + (size_t)i1 * a.dst_stride[1] +
                    (size_t)i2 * a.dst_stride[2] + (size_t)i * a.dst_stride[3];
        uint count = min(a.shape[3] - i, 4u);
        if (contiguous && count == 4) {
            MOVE4(x, from, dst, to);
            continue;
        }
        for (uint j = 0; j < count; j++)
            PUT(TAKE(x, from + (size_t)j * a.x_stride[3]), dst,
                to + (size_t)j * a.dst_stride[3]);
    }
}
