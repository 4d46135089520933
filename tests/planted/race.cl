/* SPDX-License-Identifier: Apache-2.0 */
/* An add whose work-items also write the first element without an order: Oclgrind must see it. */
#include "args.h"
#include "vector.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
add(__global const act_t *x, __global const act_t *y, __global act_t *dst, struct zm_add_args a)
{
    STORE_ACT((float)get_local_id(0), dst, a.dst_offset);
}
