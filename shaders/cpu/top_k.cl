/* SPDX-License-Identifier: Apache-2.0 */
/* top_k for CPU devices: the k largest of a row, the largest first; of equals the lowest index.
 *
 *   row       | 64 | 64 | 64 | ... | rest |
 *   best      | largest ... k-th largest  |      sorted, in private memory, k <= MOST
 *
 * A work-item owns some whole rows. Once it has k numbers it looks at 64 elements at a time and
 * only where one is over the k-th largest it puts in what belongs there (comparing with NaN is
 * false, so NaN never gets in). Elements come in the order of their index: one that equals the k-th
 * largest is too late. */
#include "args.h"
#include "kernel.clh"
#include "types.clh"
#include "vector.clh"

#define MOST 256

struct best {
    float values[MOST];
    int indices[MOST];
    uint count, k;
};

static void offer(struct best *b, float v, int index)
{
    bool full = b->count == b->k;
    if (full ? !(v > b->values[b->k - 1]) : v != v)
        return;
    uint i = full ? b->k - 1 : b->count++;
    for (; i > 0 && b->values[i - 1] < v; i--) {
        b->values[i] = b->values[i - 1];
        b->indices[i] = b->indices[i - 1];
    }
    b->values[i] = v;
    b->indices[i] = index;
}

/* Is one of 64 elements over the limit? */
static bool any_over(__global const act_t *x, float limit)
{
    int16 over = LOAD_ACT16(x, 0) > limit;
    for (uint j = 16; j < 64; j += 16)
        over |= LOAD_ACT16(x, j) > limit;
    return any(over);
}

static void row_best(__global const act_t *x, uint n, struct best *b)
{
    uint i = 0;
    while (i < n) {
        bool skips = b->count == b->k && i + 64 <= n && !any_over(x + i, b->values[b->k - 1]);
        uint end = min(i + 64, n);
        for (; !skips && i < end; i++)
            offer(b, LOAD_ACT(x, i), (int)i);
        i = end;
    }
}

KERNEL(top_k, __global const act_t *x, __global act_t *values, __global int *indices,
       struct zm_top_k_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct best b;
        b.count = 0;
        b.k = min(a.k, (uint)MOST);
        row_best(x + a.x_offset + (size_t)row * a.x_stride, a.n, &b);
        __global act_t *v = values + a.values_offset + (size_t)row * a.values_stride;
        __global int *index = indices + a.indices_offset + (size_t)row * a.indices_stride;
        for (uint i = 0; i < b.k; i++) {
            STORE_ACT(i < b.count ? b.values[i] : -INFINITY, v, i);
            index[i] = i < b.count ? b.indices[i] : -1;
        }
    }
}
