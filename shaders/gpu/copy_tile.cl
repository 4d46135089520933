/* SPDX-License-Identifier: Apache-2.0 */
/* copy for GPUs, a transpose: dst is contiguous along dimension 3, x along dimension 2.
 *
 *   x     [3][2]                    local memory                  dst   [2][3]
 *   TILE rows along 3, each         [TILE][TILE + 1]: the         TILE rows along 2, each
 *   TILE neighbours along 2         pad spreads a column          TILE neighbours along 3
 *                                   over the banks
 *
 * Groups 0 and 1 count tiles along dimensions 3 and 2, group 2 the matrices of dimensions 0, 1. A
 * work-group is TILE items wide and LINES high. */
#include "args.h"
#include "copy.clh"

#ifndef TILE
#define TILE 16
#endif
#ifndef LINES
#define LINES 4
#endif

__kernel __attribute__((reqd_work_group_size(TILE, LINES, 1))) void
copy_tile(__global const source_t *x, __global target_t *dst, struct zm_copy_args a)
{
    __local moved_t tile[TILE][TILE + 1];
    uint across = get_local_id(0), line = get_local_id(1);
    uint first3 = (uint)get_group_id(0) * TILE, first2 = (uint)get_group_id(1) * TILE;
    uint matrix = get_group_id(2);
    uint i0 = matrix / a.shape[1], i1 = matrix % a.shape[1];
    size_t from = a.x_offset + (size_t)i0 * a.x_stride[0] + (size_t)i1 * a.x_stride[1];
    size_t to = a.dst_offset + (size_t)i0 * a.dst_stride[0] + (size_t)i1 * a.dst_stride[1];

    for (uint j = line; j < TILE; j += LINES) {
        uint i3 = first3 + j, i2 = first2 + across;
        if (i3 < a.shape[3] && i2 < a.shape[2])
            tile[j][across] = TAKE(x, from + i2 + (size_t)i3 * a.x_stride[3]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint j = line; j < TILE; j += LINES) {
        uint i2 = first2 + j, i3 = first3 + across;
        if (i3 < a.shape[3] && i2 < a.shape[2])
            PUT(tile[across][j], dst, to + i3 + (size_t)i2 * a.dst_stride[2]);
    }
}
