/* SPDX-License-Identifier: Apache-2.0 */
/* attention for GPUs, many query rows: dst = softmax(score(q k^T)) v, online softmax.
 *
 *   work-group (kv head, tile, sequence):  ROWS packed rows (attention.clh), KEYS keys at a time
 *
 *              KEYS                      head_dim
 *           +--------+                 +------------+
 *      ROWS | scores |   x   values =  |  results   |     team t of LANES items owns ROWS_EACH rows
 *           +--------+                 +------------+     lane l owns columns l, l + LANES, ...
 *
 * For each tile of keys the group
 *   1. brings CHUNK columns of the keys at a time into local memory and multiplies: an item has
 *      ROWS_EACH rows x KEYS / LANES keys in registers;
 *   2. turns scores into weights e^(score - max) in local memory, SHARE items to a row;
 *   3. brings VALUES rows of the values at a time into the same memory and adds weights x values:
 *      an item has ROWS_EACH rows x some vectors of four columns in registers.
 * Tiles that no row sees are skipped. Scores of keys that a row doesn't see are -inf, and their
 * values are left out, not weighed with 0: they may be NaN. Nothing from kv_length on is read. */
#include "args.h"
#include "attention.clh"

#ifndef ROWS_EACH
#define ROWS_EACH 4
#endif
#ifndef KEYS
#define KEYS 32
#endif
#ifndef CHUNK
#define CHUNK 32
#endif
#define LANES 16
#define TEAMS (ITEMS / LANES)
#define ROWS (TEAMS * ROWS_EACH)
#define KEYS_EACH (KEYS / LANES)
#define SHARE (LANES / ROWS_EACH)
#define CHUNK4 (CHUNK / 4)
#define KEY_STRIDE (CHUNK4 + 1) /* odd: lanes read different banks, */
#define QUERY_STRIDE (DIM4 + 1) /* and so do teams */
#define TILE (KEYS * KEY_STRIDE > DIM4 ? KEYS * KEY_STRIDE : DIM4)
#define VALUES (TILE / DIM4 < KEYS ? TILE / DIM4 : KEYS)
#define COLUMNS ((DIM4 + LANES - 1) / LANES) /* vectors of four of an item */

struct memory {
    float4 queries[ROWS * QUERY_STRIDE];
    float4 tile[TILE]; /* [KEYS][KEY_STRIDE] of keys, [VALUES][DIM4] of values */
    float scores[ROWS][KEYS + 1];
    float factor[ROWS]; /* for what was gathered before */
    float partial[ITEMS];
};

/* A tile of keys: first, and one past the last that any row sees. */
struct span {
    uint first, end;
};

static inline void load_queries(__global const act_t *q, uint kv_head, uint packed0,
                                const struct zm_attention_args *a, __local struct memory *m)
{
    uint share = shared_heads(a);
    for (uint i = get_local_id(0); i < ROWS * DIM4; i += ITEMS) {
        uint packed = packed0 + i / DIM4;
        uint row = packed / share, head = kv_head * share + packed % share;
        float4 v = (float4)(0.0f);
        if (row < a->rows)
            v = load_query4(q + (size_t)row * a->q_stride + (size_t)head * HEAD_DIM, i % DIM4);
        m->queries[i / DIM4 * QUERY_STRIDE + i % DIM4] = v;
    }
    /* dst may be q: all has been read before anything is written. */
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
}

static inline void load_keys(__global const kv_t *keys, struct span span, uint c0,
                             __local struct memory *m)
{
    for (uint i = get_local_id(0); i < KEYS * CHUNK4; i += ITEMS) {
        uint key = i / CHUNK4, c = i % CHUNK4;
        float4 v = (float4)(0.0f);
        if (span.first + key < span.end && c0 + c < DIM4)
            v = load_cache4(keys, span.first + key, c0 + c);
        m->tile[key * KEY_STRIDE + c] = v;
    }
}

static inline void load_values(__global const kv_t *values, struct span span, uint k0, uint count,
                               __local struct memory *m)
{
    for (uint i = get_local_id(0); i < count * DIM4; i += ITEMS) {
        uint key = span.first + k0 + i / DIM4;
        m->tile[i] = key < span.end ? load_cache4(values, key, i % DIM4) : (float4)(0.0f);
    }
}

/* Step 1: the scores of the tile. */
static inline void multiply(__global const kv_t *keys, struct span span,
                            const struct query *queries, const struct zm_attention_args *a,
                            __local struct memory *m)
{
    uint team = get_local_id(0) / LANES, lane = get_local_id(0) % LANES;
    float sum[ROWS_EACH][KEYS_EACH];
#pragma unroll
    for (uint r = 0; r < ROWS_EACH; r++)
#pragma unroll
        for (uint j = 0; j < KEYS_EACH; j++)
            sum[r][j] = 0.0f;
    for (uint c0 = 0; c0 < DIM4; c0 += CHUNK4) {
        barrier(CLK_LOCAL_MEM_FENCE);
        load_keys(keys, span, c0, m);
        barrier(CLK_LOCAL_MEM_FENCE);
        uint count = min((uint)CHUNK4, DIM4 - c0);
        for (uint c = 0; c < count; c++) {
            float4 key[KEYS_EACH];
#pragma unroll
            for (uint j = 0; j < KEYS_EACH; j++)
                key[j] = m->tile[(lane + LANES * j) * KEY_STRIDE + c];
#pragma unroll
            for (uint r = 0; r < ROWS_EACH; r++) {
                float4 q = m->queries[(team * ROWS_EACH + r) * QUERY_STRIDE + c0 + c];
#pragma unroll
                for (uint j = 0; j < KEYS_EACH; j++)
                    sum[r][j] = dot4(q, key[j], sum[r][j]);
            }
        }
    }
#pragma unroll
    for (uint r = 0; r < ROWS_EACH; r++)
#pragma unroll
        for (uint j = 0; j < KEYS_EACH; j++) {
            uint k = lane + LANES * j;
            m->scores[team * ROWS_EACH + r][k] =
                score_of(a, &queries[r], span.first + k, sum[r][j]);
        }
}

/* Step 2: weights instead of scores. most and sum belong to the item's row; sum is of its part. */
static inline void soften(float *most, float *sum, __local struct memory *m)
{
    uint item = get_local_id(0);
    uint row = item / SHARE, part = item % SHARE;
    float largest = -INFINITY;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint k = part; k < KEYS; k += SHARE)
        largest = fmax(largest, m->scores[row][k]);
    m->partial[item] = largest;
    barrier(CLK_LOCAL_MEM_FENCE);
    float before = *most;
    for (uint i = 0; i < SHARE; i++)
        *most = fmax(*most, m->partial[row * SHARE + i]);
    float factor = weight_of(before, *most);
    float total = 0.0f;
    for (uint k = part; k < KEYS; k += SHARE) {
        float weight = weight_of(m->scores[row][k], *most);
        m->scores[row][k] = weight;
        total += weight;
    }
    *sum = fma(*sum, factor, total);
    if (part == 0)
        m->factor[row] = factor;
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* Adds VALUES values; whole: every row sees all of them. */
static inline void add_values(uint key0, uint k0, uint count, bool whole,
                              const struct query *queries, float4 result[ROWS_EACH][COLUMNS],
                              __local struct memory *m)
{
    uint team = get_local_id(0) / LANES, lane = get_local_id(0) % LANES;
    for (uint k = 0; k < count; k++) {
        uint key = key0 + k0 + k;
        float4 value[COLUMNS];
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            value[c] =
                lane + LANES * c < DIM4 ? m->tile[k * DIM4 + lane + LANES * c] : (float4)(0.0f);
#pragma unroll
        for (uint r = 0; r < ROWS_EACH; r++) {
            if (!whole && (key < queries[r].begin || key >= queries[r].end))
                continue;
            float weight = m->scores[team * ROWS_EACH + r][k0 + k];
#pragma unroll
            for (uint c = 0; c < COLUMNS; c++)
                result[r][c] = fma((float4)(weight), value[c], result[r][c]);
        }
    }
}

/* Step 3. */
static inline void gather(__global const kv_t *values, struct span span, bool whole,
                          const struct query *queries, float4 result[ROWS_EACH][COLUMNS],
                          __local struct memory *m)
{
    uint team = get_local_id(0) / LANES;
#pragma unroll
    for (uint r = 0; r < ROWS_EACH; r++) {
        float factor = m->factor[team * ROWS_EACH + r];
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            result[r][c] *= factor;
    }
    for (uint k0 = 0; k0 < KEYS; k0 += VALUES) {
        uint count = min((uint)VALUES, KEYS - k0);
        load_values(values, span, k0, count, m);
        barrier(CLK_LOCAL_MEM_FENCE);
        add_values(span.first, k0, count, whole, queries, result, m);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
}

static inline void store_results(float sum, const struct query *queries, uint packed0,
                                 float4 result[ROWS_EACH][COLUMNS], __global act_t *dst,
                                 const struct zm_attention_args *a, __local struct memory *m)
{
    uint team = get_local_id(0) / LANES, lane = get_local_id(0) % LANES;
    m->partial[get_local_id(0)] = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
#pragma unroll
    for (uint r = 0; r < ROWS_EACH; r++) {
        uint row = team * ROWS_EACH + r;
        float total = 0.0f;
        for (uint i = 0; i < SHARE; i++)
            total += m->partial[row * SHARE + i];
        if ((packed0 + row) / shared_heads(a) >= a->rows)
            continue;
        __global act_t *out =
            dst + (size_t)queries[r].row * a->dst_stride + (size_t)queries[r].head * HEAD_DIM;
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            if (lane + LANES * c < DIM4)
                store_result4(result[r][c] / total, out, lane + LANES * c);
    }
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
attention(__global const act_t *q, __global const kv_t *k_cache, __global const kv_t *v_cache,
          __global const float *slopes, __global const int *lengths, __global const int *starts,
          __global act_t *dst, struct zm_attention_args args)
{
    __local struct memory m;
    uint kv_head = get_group_id(0), sequence = get_group_id(2);
    const struct zm_attention_args a = of_sequence(args, lengths, starts, sequence);
    /* The last tiles have the most keys where the attention is causal: they go first. */
    uint packed0 = (uint)(get_num_groups(1) - 1 - get_group_id(1)) * ROWS;
    uint first_row = packed0 / shared_heads(&a);
    bool there = first_row < a.rows;
    uint last_row = there ? min((packed0 + ROWS - 1) / shared_heads(&a), a.rows - 1) : 0;
    uint all_begin = seen_begin(&a, last_row), all_end = seen_end(&a, first_row);
    uint end = there ? seen_end(&a, last_row) : 0;
    q += a.q_offset + (size_t)a.first_row * a.q_stride;
    dst += a.dst_offset + (size_t)a.first_row * a.dst_stride;
    k_cache += a.k_cache_offset + head_begin(&a, sequence, kv_head);
    v_cache += a.v_cache_offset + head_begin(&a, sequence, kv_head);

    struct query queries[ROWS_EACH];
    float4 result[ROWS_EACH][COLUMNS];
#pragma unroll
    for (uint r = 0; r < ROWS_EACH; r++) {
        uint packed = packed0 + (uint)get_local_id(0) / LANES * ROWS_EACH + r;
        queries[r] = query_of(&a, kv_head, packed, slopes);
#pragma unroll
        for (uint c = 0; c < COLUMNS; c++)
            result[r][c] = (float4)(0.0f);
    }
    float most = -INFINITY, sum = 0.0f;
    load_queries(q, kv_head, packed0, &a, &m);
    for (uint first = seen_begin(&a, first_row); first < end; first += KEYS) {
        struct span span = {first, end};
        bool whole = first >= all_begin && first + KEYS <= all_end;
        multiply(k_cache, span, queries, &a, &m);
        soften(&most, &sum, &m);
        gather(v_cache, span, whole, queries, result, &m);
    }
    store_results(sum, queries, packed0, result, dst, &a, &m);
}
