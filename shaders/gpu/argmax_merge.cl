/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for GPUs, second launch: the best of the notes [rows][chunks] that argmax took. */
#include "args.h"
#include "best.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
argmax_merge(__global const struct best *notes, __global int *dst, struct zm_argmax_merge_args a)
{
    __local float values[ITEMS];
    __local uint indices[ITEMS];
    size_t row = get_group_id(0);
    struct best mine = {-INFINITY, NOTHING};
    for (uint i = get_local_id(0); i < a.chunks; i += ITEMS)
        mine = better(mine, notes[row * a.chunks + i]);
    mine = group_best(mine, values, indices);
    if (get_local_id(0) == 0)
        dst[a.dst_offset + row] = mine.index == NOTHING ? 0 : (int)mine.index;
}
