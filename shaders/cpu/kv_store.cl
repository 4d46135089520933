/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store for CPU devices: rows of k and v go into the cache of each head.
 *
 *   k, v of one position:  | head 0: head_dim | head 1 | ...
 *
 *   k cache of one head, panels of `panel` positions      v cache of one head: rows
 *     [position / panel][head_dim][panel]                   [position][head_dim]
 *     one row of k becomes one column of a panel
 *
 * A work-item owns the rows of some whole panels, counted through the sequences, and goes head by
 * head, so that what it writes stays in the first-level cache. Where it has all 16 rows of a panel
 * of 16 it turns 16 x 16 elements at a time in registers; else each row goes element by element.
 * panel 0 means that keys are rows, too. */
#include "args.h"
#include "kernel.clh"
#include "sequence.clh"
#include "square.clh"
#include "types.clh"
#include "vector.clh"

/* 16 elements of 16 rows. */
static void store_square(__global const act_t *src, size_t stride, __global kv_t *dst)
{
    float16 square[16];
#pragma unroll
    for (int i = 0; i < 16; i++)
        square[i] = LOAD_ACT16(src, i * stride);
    turn_square(square);
#pragma unroll
    for (int i = 0; i < 16; i++)
        STORE_KV16(square[i], dst, 16 * i);
}

/* Elements first .. count-1 of each of `rows` rows become columns of a panel. */
static void store_columns(__global const act_t *src, size_t stride, uint rows, uint first,
                          uint count, __global kv_t *dst, uint panel)
{
    for (uint r = 0; r < rows; r++)
        for (uint i = first; i < count; i++)
            STORE_KV(LOAD_ACT(src, r * stride + i), dst, (size_t)i * panel + r);
}

static void store_rows(__global const act_t *src, size_t stride, uint rows, uint count,
                       __global kv_t *dst)
{
    for (uint r = 0; r < rows; r++, src += stride, dst += count) {
        uint i = 0;
        for (; i + 16 <= count; i += 16)
            STORE_KV16(LOAD_ACT16(src, i), dst, i);
        for (; i < count; i++)
            STORE_KV(LOAD_ACT(src, i), dst, i);
    }
}

/* The rows of one head that lie in one panel, from its column `column` on. */
static void store_keys(__global const act_t *src, size_t stride, uint rows, uint column,
                       __global kv_t *dst, const struct zm_kv_store_args *a)
{
    uint turned = 0;
    if (a->panel == 16 && rows == 16)
        for (; turned + 16 <= a->head_dim; turned += 16)
            store_square(src + turned, stride, dst + turned * 16);
    store_columns(src, stride, rows, turned, a->head_dim, dst + column, a->panel);
}

/* Where a sequence's row 0 goes; it may be outside the cache. */
static long first_position(const struct zm_kv_store_args *a, __global const int *positions,
                           uint sequence)
{
    long added = a->flags & ZM_FLAG_POSITION ? positions[a->positions_offset + sequence] : 0;
    return added + a->position;
}

static uint capacity(const struct zm_kv_store_args *a)
{
    return a->head_stride / a->head_dim;
}

KERNEL(kv_store, __global const act_t *k, __global const act_t *v, __global const int *positions,
       __global const int *starts, __global kv_t *k_cache, __global kv_t *v_cache,
       struct zm_kv_store_args a)
{
    uint step = a.panel ? a.panel : 1;
    uint panels = (a.rows + step - 2) / step + 1; /* that the rows of a sequence touch, at most */
    k += a.k_offset;
    v += a.v_offset;
    k_cache += a.k_cache_offset;
    v_cache += a.v_cache_offset;
    for (uint i = FIRST_ROW(a.sequences * panels); i < END_ROW(a.sequences * panels); i++) {
        uint sequence = i / panels;
        struct rows_of_sequence own = {sequence * a.rows, a.rows};
        if (a.flags & ZM_FLAG_STARTS)
            own = rows_of_sequence(starts + a.starts_offset + sequence, a.rows, a.all_rows);
        long position = first_position(&a, positions, sequence); /* of row 0 */
        long first = max(position, 0L), end = min(position + own.count, (long)capacity(&a));
        long panel = (first / step + i % panels) * step;
        long begin = max(first, panel);
        end = min(end, panel + step);
        if (begin >= end)
            continue;
        uint rows = (uint)(end - begin);
        size_t row = (size_t)own.first + (size_t)(begin - position);
        for (uint head = 0; head < a.heads; head++) {
            size_t from = (size_t)head * a.head_dim;
            size_t cache = ((size_t)sequence * a.heads + head) * a.head_stride;
            __global kv_t *keys = k_cache + cache + panel * a.head_dim;
            if (a.panel)
                store_keys(k + row * a.k_stride + from, a.k_stride, rows, (uint)(begin - panel),
                           keys, &a);
            else
                store_rows(k + row * a.k_stride + from, a.k_stride, rows, a.head_dim, keys);
            store_rows(v + row * a.v_stride + from, a.v_stride, rows, a.head_dim,
                       v_cache + cache + begin * a.head_dim);
        }
    }
}
