/* SPDX-License-Identifier: Apache-2.0 */
/* chain for CPU devices: launches one after the other, in one launch of a work-item for each
 * processor. What is to be done is a table of steps, the work-groups of a launch each:
 *
 *   tickets   0 ... 17 | 18 ... 20 | 21 | 22 ...      counters: tickets taken, work-groups done
 *   step          0    |     1     |  2 | 3
 *
 * A work-item takes the next ticket, waits until all work-groups of the steps before are done, and
 * runs the kernel of that step as a function (cpu/kernel.clh). Tickets are taken in order by work-items
 * that have begun, so that the one with the earliest ticket never waits for another: nobody has to
 * begin at the same time, whoever comes late takes part from there, and one alone does all of it.
 * Work-items that have begun must go on whatever others do (limits.launch_chains). The last one
 * leaves the counters as they were.
 *
 * In front of this file is what has been made for the kernels of a chain (src/opencl): BUFFERS,
 * BUFFER_PARAMS, BUFFER_NAMES, and CASES that call kernel number i with the step's bindings. */
#include "chain.h"
#define CHAINED
#include "cpu/kernel.clh"

#define TAKEN 0
#define DONE 32 /* in another line of the cache */

static __global uchar *binding(__global uchar *const *buffers,
                               __global const struct zm_chain_step *step, uint i)
{
    uint slot = step->bindings[i / 4] >> (i % 4 * 8) & 255u;
    return slot == ZM_CHAIN_ABSENT ? 0 : buffers[slot];
}

static void run(__global const struct zm_chain_step *step, __global uchar *const *buffers,
                uint index)
{
    struct place p;
    const struct place *place = &p;
    for (uint i = 0; i < 3; i++) {
        p.groups[i] = step->groups[i];
        p.group[i] = index % step->groups[i];
        index /= step->groups[i];
    }
    switch (step->part) {
        CASES
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
chain(BUFFER_PARAMS, __global const struct zm_chain_step *steps, __global atomic_uint *counters,
      uint count)
{
    __global uchar *const buffers[BUFFERS] = {BUFFER_NAMES};
    uint all = steps[count].first, at = 0;
    for (;;) {
        uint ticket = atomic_fetch_add_explicit(counters + TAKEN, 1u, memory_order_relaxed,
                                                memory_scope_device);
        if (ticket >= all) {
            if (ticket == all + (uint)get_num_groups(0) - 1) {
                atomic_store_explicit(counters + TAKEN, 0u, memory_order_relaxed,
                                      memory_scope_device);
                atomic_store_explicit(counters + DONE, 0u, memory_order_relaxed,
                                      memory_scope_device);
            }
            return;
        }
        while (ticket >= steps[at + 1].first)
            at++;
        while (atomic_load_explicit(counters + DONE, memory_order_acquire, memory_scope_device) <
               steps[at].first)
            ;
        run(steps + at, buffers, ticket - steps[at].first);
        atomic_fetch_add_explicit(counters + DONE, 1u, memory_order_release, memory_scope_device);
    }
}
