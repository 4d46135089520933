/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store for GPUs: rows of k and v go into the cache of each head, as the cache's type.
 *
 *   k, v of one position:  | head 0: head_dim | head 1 | ...
 *
 *   cache of one head: rows [position][head_dim]; keys may lie in panels, too:
 *     [position / panel][head_dim][panel]
 *
 * Vectors of four elements of a head are dealt out item by item, and again from the first item on
 * until none is left. */
#include "args.h"
#include "sequence.clh"
#include "vector.clh"

#ifndef ITEMS
#define ITEMS 64
#endif

static inline void store_kv4(float4 v, __global kv_t *dst, uint count)
{
    if (count >= 4) {
        STORE_KV4(v, dst, 0);
        return;
    }
    STORE_KV(v.x, dst, 0);
    if (count > 1)
        STORE_KV(v.y, dst, 1);
    if (count > 2)
        STORE_KV(v.z, dst, 2);
}

/* Element i of a row becomes one of a column of the panel. */
static inline void store_column4(float4 v, __global kv_t *dst, uint panel, uint count)
{
    STORE_KV(v.x, dst, 0);
    if (count > 1)
        STORE_KV(v.y, dst, panel);
    if (count > 2)
        STORE_KV(v.z, dst, 2 * (size_t)panel);
    if (count > 3)
        STORE_KV(v.w, dst, 3 * (size_t)panel);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
kv_store(__global const act_t *k, __global const act_t *v, __global const int *positions,
         __global const int *starts, __global kv_t *k_cache, __global kv_t *v_cache,
         struct zm_kv_store_args a)
{
    uint vectors = (a.head_dim - 1) / 4 + 1; /* of a head */
    uint row_vectors = a.heads * vectors, capacity = a.head_stride / a.head_dim;
    size_t count = (size_t)a.sequences * a.rows * row_vectors;
    k += a.k_offset;
    v += a.v_offset;
    k_cache += a.k_cache_offset;
    v_cache += a.v_cache_offset;
    for (size_t next = get_global_id(0); next < count; next += get_global_size(0)) {
        uint item = (uint)(next / row_vectors);
        uint rest = (uint)(next - (size_t)item * row_vectors);
        uint head = rest / vectors;
        uint i = (rest - head * vectors) * 4;
        uint sequence = item / a.rows, row = item - sequence * a.rows;
        struct rows_of_sequence own = {sequence * a.rows, a.rows};
        if (a.flags & ZM_FLAG_STARTS)
            own = rows_of_sequence(starts + a.starts_offset + sequence, a.rows, a.all_rows);
        long place = (long)a.position + row;
        if (a.flags & ZM_FLAG_POSITION)
            place += positions[a.positions_offset + sequence];
        if (row >= own.count || place < 0 || place >= capacity)
            continue;
        row += own.first;
        uint position = (uint)place;
        size_t from = (size_t)head * a.head_dim;
        size_t cache = ((size_t)sequence * a.heads + head) * a.head_stride;
        float4 key = load_row4(k + (size_t)row * a.k_stride + from, i, a.head_dim);
        float4 value = load_row4(v + (size_t)row * a.v_stride + from, i, a.head_dim);
        size_t at = cache + (size_t)position * a.head_dim + i;
        store_kv4(value, v_cache + at, a.head_dim - i);
        if (a.panel == 0) {
            store_kv4(key, k_cache + at, a.head_dim - i);
        } else {
            uint column = position % a.panel;
            size_t first = (size_t)(position - column) * a.head_dim + (size_t)i * a.panel + column;
            store_column4(key, k_cache + cache + first, a.panel, a.head_dim - i);
        }
    }
}
