/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store for CPU devices: rows of k and v go into the cache of each head.
 *
 *   k, v of one position:  | head 0: head_dim | head 1 | ...
 *
 *   k cache of one head, panels of `panel` positions      v cache of one head: rows
 *     [position / panel][head_dim][panel]                   [position][head_dim]
 *     one row of k becomes one column of a panel
 *
 * A work-item owns some whole rows. The rows of a panel lie next to each other, so its lines are
 * still in the first-level cache when the next column comes. panel 0 means rows for k, too. */
#include "args.h"
#include "vector.clh"

static void store_row(__global const float *src, uint count, __global float *dst)
{
    uint i = 0;
    for (; i + 16 <= count; i += 16)
        vstore16(vload16(0, src + i), 0, dst + i);
    for (; i < count; i++)
        dst[i] = src[i];
}

static void store_column(__global const float *src, uint count, __global float *dst, uint panel)
{
    for (uint i = 0; i < count; i++)
        dst[(size_t)i * panel] = src[i];
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
kv_store(__global const float *k, __global const float *v, __global float *k_cache,
         __global float *v_cache, struct zm_kv_store_args a)
{
    k += a.k_offset;
    v += a.v_offset;
    k_cache += a.k_cache_offset;
    v_cache += a.v_cache_offset;
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        size_t position = a.position + row;
        size_t begin = position * a.head_dim;
        size_t column = begin;
        if (a.panel)
            column = position / a.panel * a.panel * a.head_dim + position % a.panel;
        for (uint head = 0; head < a.heads; head++) {
            size_t from = head * a.head_dim;
            size_t to = (size_t)head * a.head_stride;
            __global const float *key = k + (size_t)row * a.k_stride + from;
            if (a.panel)
                store_column(key, a.head_dim, k_cache + to + column, a.panel);
            else
                store_row(key, a.head_dim, k_cache + to + begin);
            store_row(v + (size_t)row * a.v_stride + from, a.head_dim, v_cache + to + begin);
        }
    }
}
