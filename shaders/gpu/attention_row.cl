/* SPDX-License-Identifier: Apache-2.0 */
/* attention for GPUs, few query rows: dst = softmax(score(q k^T)) v, online softmax, the keys split
 * over work-groups.
 *
 *   work-group (kv head, split, pack of a sequence):  QUERIES packed rows (attention.clh), ITEMS
 *                                                     keys at a time
 *
 *   scores    item i owns key i, which local memory brings CHUNK columns at a time
 *   weights   SHARE items to a query
 *   values    slice s of LANES items takes keys s, s + SLICES, ..., an item vectors of four
 * columns; the slices are added up at the end
 *
 * With one split that is dst, else a note for attention_merge:
 * [sequence][packed row][kv head][split], each the maximum, the sum, two floats of nothing and DIM4
 * vectors. How keys are split depends on the shape alone, so the bits are the same in every run.
 * Keys that a row doesn't see are left out as in attention.cl. */
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
#define LANES 8
#elif HEAD_DIM <= 64
#define LANES 16
#elif HEAD_DIM <= 128 || ITEMS == 32
#define LANES 32
#else
#define LANES 64
#endif
#define SLICES (ITEMS / LANES)
#define COLUMNS ((DIM4 + LANES - 1) / LANES) /* vectors of four of an item */
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
    /* dst may be q: all has been read before anything is written. */
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
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
                          const struct query *queries, float4 result[QUERIES][COLUMNS],
                          __local struct memory *m)
{
    uint lane = get_local_id(0) % LANES, slice = get_local_id(0) / LANES;
    uint count = min((uint)ITEMS, span.end - span.first);
#pragma unroll
    for (uint r = 0; r < QUERIES; r++)
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            result[r][c] *= m->factor[r];
    for (uint k = slice; k < count; k += SLICES) {
        uint key = span.first + k;
        float4 value[COLUMNS];
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            value[c] = lane + LANES * c < DIM4 ? load_cache4(values, key, lane + LANES * c)
                                               : (float4)(0.0f);
#pragma unroll
        for (uint r = 0; r < QUERIES; r++) {
            if (key < queries[r].begin || key >= queries[r].end)
                continue;
#pragma unroll
            for (uint c = 0; c < COLUMNS; c++)
                result[r][c] = fma((float4)(m->scores[r][k]), value[c], result[r][c]);
        }
    }
}

/* The sum over all items of query r. */
static inline float add_up_sums(float sum, uint r, __local struct memory *m)
{
    barrier(CLK_LOCAL_MEM_FENCE);
    m->partial[get_local_id(0)] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    float total = 0.0f;
    for (uint i = 0; i < SHARE; i++)
        total += m->partial[r * SHARE + i];
    return total;
}

/* The sum over all slices, in the items of slice 0. */
static inline float4 add_up_slices(float4 result, __local struct memory *m)
{
    uint item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    m->tile[item] = result;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint s = 1; s < SLICES; s++)
        result += m->tile[(item + s * LANES) % ITEMS];
    return result;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
attention_row(__global const act_t *q, __global const kv_t *k_cache, __global const kv_t *v_cache,
              __global const float *slopes, __global const int *lengths, __global const int *starts,
              __global act_t *dst, __global float *notes, struct zm_attention_args args)
{
    __local struct memory m;
    uint item = get_local_id(0);
    uint kv_head = get_group_id(0), split = get_group_id(1);
    uint kv_heads = get_num_groups(0), splits = get_num_groups(1);
    uint share = shared_heads(&args), packed_rows = args.rows * share;
    uint packs = (packed_rows - 1) / QUERIES + 1, sequence = (uint)get_group_id(2) / packs;
    uint packed0 = ((uint)get_group_id(2) - sequence * packs) * QUERIES;
    const struct zm_attention_args a = of_sequence(args, lengths, starts, sequence);
    uint first_row = packed0 / share, last_row = min((packed0 + QUERIES - 1) / share, a.rows - 1);
    bool any = first_row < a.rows;
    uint begin = any ? seen_begin(&a, first_row) : 0, end = any ? seen_end(&a, last_row) : 0;
    uint tiles = (end - begin + ITEMS - 1) / ITEMS;
    uint first_tile = (uint)((ulong)tiles * split / splits);
    uint end_tile = (uint)((ulong)tiles * (split + 1) / splits);
    q += a.q_offset + (size_t)a.first_row * a.q_stride;
    dst += a.dst_offset + (size_t)a.first_row * a.dst_stride;
    k_cache += a.k_cache_offset + head_begin(&a, sequence, kv_head);
    v_cache += a.v_cache_offset + head_begin(&a, sequence, kv_head);

    struct query queries[QUERIES];
    float4 result[QUERIES][COLUMNS];
#pragma unroll
    for (uint r = 0; r < QUERIES; r++) {
        queries[r] = query_of(&a, kv_head, packed0 + r, slopes);
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            result[r][c] = (float4)(0.0f);
    }
    float most = -INFINITY, sum = 0.0f;
    load_queries(q, kv_head, packed0, &a, &m);
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
        bool there = (packed0 + r) / share < a.rows;
        size_t packed = (size_t)sequence * packed_rows + packed0 + r;
        size_t place = (packed * kv_heads + kv_head) * splits + split;
        __global float *note = splits > 1 ? notes + place * NOTE : 0;
        __global act_t *out =
            dst + (size_t)queries[r].row * a.dst_stride + (size_t)queries[r].head * HEAD_DIM;
        float total = add_up_sums(sum, r, &m);
        if (note && there && item == 0)
            vstore4((float4)(m.factor[r], total, 0.0f, 0.0f), 0, note);
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++) {
            uint column = item + LANES * c;
            float4 v = add_up_slices(result[r][c], &m);
            if (!there || item >= LANES || column >= DIM4)
                continue;
            if (note)
                vstore4(v, 1 + column, note);
            else
                store_result4(v / total, out, column);
        }
    }
}
