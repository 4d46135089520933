/* SPDX-License-Identifier: Apache-2.0 */
/* attention for GPUs, few query rows: dst = softmax(score(q k^T)) v, online softmax, the keys split
 * over work-groups.
 *
 *   work-group (kv head, split, pack):  QUERIES packed rows (attention.clh), ITEMS keys at a time
 *
 *   scores    item i owns key i, which local memory brings CHUNK columns at a time
 *   weights   SHARE items to a query
 *   values    slice s of COLUMNS items takes keys s, s + SLICES, ..., one vector of four columns to
 *             an item; the slices are added up at the end
 *
 * With one split that is dst, else a note for attention_merge: [pack][query][split], each the
 * maximum, the sum, two floats of nothing and DIM4 vectors. How keys are split depends on the shape
 * alone, so the bits are the same in every run. Keys that a row doesn't see are left out as in
 * attention.cl. DIM4 <= ITEMS. */
#include "args.h"
#include "attention.clh"

#ifndef QUERIES
#define QUERIES 1
#endif
#ifndef CHUNK
#define CHUNK 32
#endif
/* Items across the columns of a head: a power of two. */
#if HEAD_DIM <= 32
#define COLUMNS 8
#elif HEAD_DIM <= 64
#define COLUMNS 16
#elif HEAD_DIM <= 128
#define COLUMNS 32
#else
#define COLUMNS 64
#endif
#define SLICES (ITEMS / COLUMNS)
#define SHARE (ITEMS / QUERIES)
#define CHUNK4 (CHUNK / 4)
#define KEY_STRIDE (CHUNK4 + 1)
#define NOTE (4 + 4 * DIM4) /* floats of a note */

struct memory {
    float4 queries[QUERIES * DIM4];
    float4 tile[ITEMS * KEY_STRIDE];
    float scores[QUERIES][ITEMS];
    float factor[QUERIES];
    float partial[ITEMS];
};

struct span {
    uint first, end;
};

static inline void load_queries(__global const act_t *q, uint kv_head, uint packed0,
                                const struct zm_attention_args *a, __local struct memory *m)
{
    uint share = shared_heads(a);
    for (uint i = get_local_id(0); i < QUERIES * DIM4; i += ITEMS) {
        uint packed = packed0 + i / DIM4;
        uint row = packed / share, head = kv_head * share + packed % share;
        float4 v = (float4)(0.0f);
        if (row < a->rows)
            v = load_query4(q + (size_t)row * a->q_stride + (size_t)head * HEAD_DIM, i % DIM4);
        m->queries[i] = v;
    }
}

static inline void load_keys(__global const kv_t *keys, struct span span, uint c0,
                             __local struct memory *m)
{
    for (uint i = get_local_id(0); i < ITEMS * CHUNK4; i += ITEMS) {
        uint key = i / CHUNK4, c = i % CHUNK4;
        float4 v = (float4)(0.0f);
        if (span.first + key < span.end && c0 + c < DIM4)
            v = load_cache4(keys, span.first + key, c0 + c);
        m->tile[key * KEY_STRIDE + c] = v;
    }
}

static inline void multiply(__global const kv_t *keys, struct span span,
                            const struct query *queries, const struct zm_attention_args *a,
                            __local struct memory *m)
{
    uint item = get_local_id(0);
    float sum[QUERIES];
#pragma unroll
    for (uint r = 0; r < QUERIES; r++)
        sum[r] = 0.0f;
    for (uint c0 = 0; c0 < DIM4; c0 += CHUNK4) {
        barrier(CLK_LOCAL_MEM_FENCE);
        load_keys(keys, span, c0, m);
        barrier(CLK_LOCAL_MEM_FENCE);
        uint count = min((uint)CHUNK4, DIM4 - c0);
        for (uint c = 0; c < count; c++) {
            float4 key = m->tile[item * KEY_STRIDE + c];
#pragma unroll
            for (uint r = 0; r < QUERIES; r++)
                sum[r] = dot4(m->queries[r * DIM4 + c0 + c], key, sum[r]);
        }
    }
#pragma unroll
    for (uint r = 0; r < QUERIES; r++)
        m->scores[r][item] = score_of(a, &queries[r], span.first + item, sum[r]);
}

/* Weights instead of scores. most and sum belong to the item's query; sum is of its part. */
static inline void soften(float *most, float *sum, __local struct memory *m)
{
    uint item = get_local_id(0);
    uint r = item / SHARE, part = item % SHARE;
    float largest = -INFINITY;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint k = part; k < ITEMS; k += SHARE)
        largest = fmax(largest, m->scores[r][k]);
    m->partial[item] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint half_count = SHARE / 2; half_count > 0; half_count /= 2) {
        if (part < half_count)
            m->partial[item] = fmax(m->partial[item], m->partial[item + half_count]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    float before = *most;
    *most = fmax(before, m->partial[r * SHARE]);
    float factor = weight_of(before, *most);
    float total = 0.0f;
    for (uint k = part; k < ITEMS; k += SHARE) {
        float weight = weight_of(m->scores[r][k], *most);
        m->scores[r][k] = weight;
        total += weight;
    }
    *sum = fma(*sum, factor, total);
    if (part == 0)
        m->factor[r] = factor;
    barrier(CLK_LOCAL_MEM_FENCE);
}

static inline void gather(__global const kv_t *values, struct span span,
                          const struct query *queries, float4 *result, __local struct memory *m)
{
    uint column = get_local_id(0) % COLUMNS, slice = get_local_id(0) / COLUMNS;
    uint count = min((uint)ITEMS, span.end - span.first);
#pragma unroll
    for (uint r = 0; r < QUERIES; r++)
        result[r] *= m->factor[r];
    if (column >= DIM4)
        return;
    for (uint k = slice; k < count; k += SLICES) {
        uint key = span.first + k;
        float4 value = load_cache4(values, key, column);
#pragma unroll
        for (uint r = 0; r < QUERIES; r++)
            if (key >= queries[r].begin && key < queries[r].end)
                result[r] = fma((float4)(m->scores[r][k]), value, result[r]);
    }
}

/* The sum over all items of a query, and the sum over all slices of a column in those of slice 0.
 */
static inline float add_up(float sum, uint r, float4 *result, __local struct memory *m)
{
    uint item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    m->partial[item] = sum;
    m->tile[item] = *result;
    barrier(CLK_LOCAL_MEM_FENCE);
    float total = 0.0f;
    for (uint i = 0; i < SHARE; i++)
        total += m->partial[r * SHARE + i];
    for (uint s = 1; s < SLICES; s++)
        *result += m->tile[(item + s * COLUMNS) % ITEMS];
    return total;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
attention_row(__global const act_t *q, __global const kv_t *k_cache, __global const kv_t *v_cache,
              __global const float *slopes, __global act_t *dst, __global float *notes,
              struct zm_attention_args a)
{
    __local struct memory m;
    uint item = get_local_id(0);
    uint kv_head = get_group_id(0), split = get_group_id(1);
    uint kv_heads = get_num_groups(0), splits = get_num_groups(1);
    uint share = shared_heads(&a);
    uint packed0 = (uint)get_group_id(2) * QUERIES;
    uint first_row = packed0 / share, last_row = min((packed0 + QUERIES - 1) / share, a.rows - 1);
    uint begin = seen_begin(&a, first_row), end = seen_end(&a, last_row);
    uint tiles = (end - begin + ITEMS - 1) / ITEMS;
    uint first_tile = (uint)((ulong)tiles * split / splits);
    uint end_tile = (uint)((ulong)tiles * (split + 1) / splits);
    k_cache += a.k_cache_offset + (size_t)kv_head * a.head_stride;
    v_cache += a.v_cache_offset + (size_t)kv_head * a.head_stride;

    struct query queries[QUERIES];
    float4 result[QUERIES];
#pragma unroll
    for (uint r = 0; r < QUERIES; r++) {
        queries[r] = query_of(&a, kv_head, packed0 + r, slopes);
        result[r] = (float4)(0.0f);
    }
    float most = -INFINITY, sum = 0.0f;
    load_queries(q + a.q_offset, kv_head, packed0, &a, &m);
    for (uint tile = first_tile; tile < end_tile; tile++) {
        struct span span = {begin + tile * ITEMS, end};
        multiply(k_cache, span, queries, &a, &m);
        soften(&most, &sum, &m);
        gather(v_cache, span, queries, result, &m);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item % SHARE == 0)
        m.factor[item / SHARE] = most;
#pragma unroll
    for (uint r = 0; r < QUERIES; r++) {
        float total = add_up(sum, r, &result[r], &m);
        if ((packed0 + r) / share >= a.rows)
            continue;
        if (splits > 1) {
            size_t place = ((size_t)(packed0 + r) * kv_heads + kv_head) * splits + split;
            __global float *note = notes + place * NOTE;
            if (item < DIM4)
                vstore4(result[r], 1 + item, note);
            if (item == 0)
                vstore4((float4)(m.factor[r], total, 0.0f, 0.0f), 0, note);
        } else if (item < DIM4) {
            store_result4(result[r] / total,
                          dst + a.dst_offset + (size_t)queries[r].row * a.dst_stride +
                              (size_t)queries[r].head * HEAD_DIM,
                          item);
        }
    }
}
