/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for GPUs: the index of the largest element of a row, the lowest one of a tie.
 *
 *   row   | chunk of work-group (row, 0) | chunk of (row, 1) | ... |
 *
 * Each item keeps the best of every ITEMS-th element of the chunk; a tree finds the best of them.
 * With one chunk that is the result, else a note for argmax_merge: [rows][chunks]. NaN is never
 * kept; a chunk of nothing but NaN gives NOTHING. */
#include "args.h"
#include "types.clh"
#include "best.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
argmax(__global const act_t *x, __global int *dst, __global struct best *notes,
       struct zm_argmax_args a)
{
    __local float values[ITEMS];
    __local uint indices[ITEMS];
    uint chunks = get_num_groups(1);
    uint chunk = get_group_id(1);
    size_t row = get_group_id(0);
    uint length = (a.n - 1) / chunks + 1;
    uint begin = min(chunk * length, a.n);
    uint end = min(begin + length, a.n);
    struct best mine = {-INFINITY, NOTHING};
    x += a.x_offset + row * a.x_stride;
    for (uint i = begin + (uint)get_local_id(0); i < end; i += ITEMS)
        mine = better(mine, best_of(LOAD_ACT(x, i), i));
    mine = group_best(mine, values, indices);
    if (get_local_id(0) == 0) {
        if (chunks > 1)
            notes[row * chunks + chunk] = mine;
        else
            dst[a.dst_offset + row] = mine.index == NOTHING ? 0 : (int)mine.index;
    }
}
