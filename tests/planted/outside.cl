/* SPDX-License-Identifier: Apache-2.0 */
/* An add that reads far behind the end of x: Oclgrind must see it. */
#include "args.h"
#include "vector.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
add(__global const act_t *x, __global const act_t *y, __global act_t *dst, struct zm_add_args a)
{
    if (get_global_id(0) == 0)
        STORE_ACT(LOAD_ACT(x, 1000000), dst, a.dst_offset);
}
