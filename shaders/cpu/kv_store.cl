/* SPDX-License-Identifier: Apache-2.0 */
/* kv_store for CPU devices: rows of k and v go into the cache of each head.
 *
 *   k, v of one position:  | head 0: head_dim | head 1 | ...
 *
 *   k cache of one head, panels of `panel` positions      v cache of one head: rows
 *     [position / panel][head_dim][panel]                   [position][head_dim]
 *     one row of k becomes one column of a panel
 *
 * A work-item owns the rows of some whole panels and goes head by head, so that what it writes
 * stays in the first-level cache. Where it has all 16 rows of a panel of 16 it turns 16 x 16
 * elements at a time in registers; else each row goes element by element. panel 0 means that keys
 * are rows, too. */
#include "args.h"
#include "vector.clh"

static float16 zip_low(float16 a, float16 b)
{
    return (float16)(a.s0, b.s0, a.s1, b.s1, a.s2, b.s2, a.s3, b.s3, a.s4, b.s4, a.s5, b.s5, a.s6,
                     b.s6, a.s7, b.s7);
}

static float16 zip_high(float16 a, float16 b)
{
    return (float16)(a.s8, b.s8, a.s9, b.s9, a.sa, b.sa, a.sb, b.sb, a.sc, b.sc, a.sd, b.sd, a.se,
                     b.se, a.sf, b.sf);
}

/* Element (row, column) lies at 16 row + column. Zipping the halves of the square shifts the eight
 * bits of that number round by one; after four times rows and columns have changed places. */
static void turn_square(__global const float *src, size_t stride, __global float *dst)
{
    float16 square[16], zipped[16];
#pragma unroll
    for (int i = 0; i < 16; i++)
        square[i] = vload16(0, src + i * stride);
#pragma unroll
    for (int round = 0; round < 4; round++) {
#pragma unroll
        for (int i = 0; i < 8; i++) {
            zipped[2 * i] = zip_low(square[i], square[i + 8]);
            zipped[2 * i + 1] = zip_high(square[i], square[i + 8]);
        }
#pragma unroll
        for (int i = 0; i < 16; i++)
            square[i] = zipped[i];
    }
#pragma unroll
    for (int i = 0; i < 16; i++)
        vstore16(square[i], i, dst);
}

/* Elements first .. count-1 of each of `rows` rows become columns of a panel. */
static void store_columns(__global const float *src, size_t stride, uint rows, uint first,
                          uint count, __global float *dst, uint panel)
{
    for (uint r = 0; r < rows; r++)
        for (uint i = first; i < count; i++)
            dst[(size_t)i * panel + r] = src[r * stride + i];
}

static void store_rows(__global const float *src, size_t stride, uint rows, uint count,
                       __global float *dst)
{
    for (uint r = 0; r < rows; r++, src += stride, dst += count) {
        uint i = 0;
        for (; i + 16 <= count; i += 16)
            vstore16(vload16(0, src + i), 0, dst + i);
        for (; i < count; i++)
            dst[i] = src[i];
    }
}

/* The rows of one head that lie in one panel, from its column `column` on. */
static void store_keys(__global const float *src, size_t stride, uint rows, uint column,
                       __global float *dst, const struct zm_kv_store_args *a)
{
    uint turned = 0;
    if (a->panel == 16 && rows == 16)
        for (; turned + 16 <= a->head_dim; turned += 16)
            turn_square(src + turned, stride, dst + turned * 16);
    store_columns(src, stride, rows, turned, a->head_dim, dst + column, a->panel);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
kv_store(__global const float *k, __global const float *v, __global float *k_cache,
         __global float *v_cache, struct zm_kv_store_args a)
{
    uint step = a.panel ? a.panel : 1;
    uint first = a.position / step;
    uint panels = (a.position + a.rows - 1) / step - first + 1;
    k += a.k_offset;
    v += a.v_offset;
    k_cache += a.k_cache_offset;
    v_cache += a.v_cache_offset;
    for (uint p = first + first_row(panels); p < first + end_row(panels); p++) {
        uint begin = max(a.position, p * step);
        uint rows = min(a.position + a.rows, (p + 1) * step) - begin;
        size_t k_row = (size_t)(begin - a.position) * a.k_stride;
        size_t v_row = (size_t)(begin - a.position) * a.v_stride;
        for (uint head = 0; head < a.heads; head++) {
            size_t from = (size_t)head * a.head_dim;
            size_t cache = (size_t)head * a.head_stride;
            __global float *keys = k_cache + cache + (size_t)p * step * a.head_dim;
            if (a.panel)
                store_keys(k + k_row + from, a.k_stride, rows, begin - p * step, keys, &a);
            else
                store_rows(k + k_row + from, a.k_stride, rows, a.head_dim, keys);
            store_rows(v + v_row + from, a.v_stride, rows, a.head_dim,
                       v_cache + cache + (size_t)begin * a.head_dim);
        }
    }
}
