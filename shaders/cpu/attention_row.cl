/* SPDX-License-Identifier: Apache-2.0 */
/* attention for CPU devices, few query rows (decoding): one work-item owns one row (group 1) of one
 * head (group 0) of a sequence (group 2) and reads what it sees of the cache once, from beginning
 * to end.
 *
 *   k cache of one head: panels of 16 keys      v cache of one head: rows
 *     [position / 16][head_dim][16]               [position][head_dim]
 *
 * Steps as in attention.cl; four panels, or two rows of values, are in flight so that the sums do
 * not wait for each other. HEAD_DIM is a multiple of 16. */
#include "args.h"
#include "attention.clh"
#include "kernel.clh"

#define CHUNKS (HEAD_DIM / 16)

/* scores[0..64) of four neighbouring panels. */
static void score_panels(const float *q, __global const kv_t *panel, float scale, float *scores)
{
    float16 acc[4];
#pragma unroll
    for (int p = 0; p < 4; p++)
        acc[p] = (float16)(0.0f);
    for (uint i = 0; i < HEAD_DIM; i++) {
#pragma unroll
        for (int p = 0; p < 4; p++)
            acc[p] = fma((float16)(q[i]), LOAD_KV16(panel, (p * HEAD_DIM + i) * PANEL), acc[p]);
    }
#pragma unroll
    for (int p = 0; p < 4; p++)
        KEEP16(acc[p] * scale, scores, p * 16);
}

static void score_panel(const float *q, __global const kv_t *panel, float scale, float *scores)
{
    float16 even = (float16)(0.0f), odd = (float16)(0.0f);
    for (uint i = 0; i < HEAD_DIM; i += 2) {
        even = fma((float16)(q[i]), LOAD_KV16(panel, i * PANEL), even);
        odd = fma((float16)(q[i + 1]), LOAD_KV16(panel, (i + 1) * PANEL), odd);
    }
    KEEP16((even + odd) * scale, scores, 0);
}

/* out = out * factor + weights x values, keys begin .. end-1. */
static void gather(const float *weights, __global const kv_t *values, uint begin, uint end,
                   float factor, float16 out[CHUNKS])
{
    float16 odd[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        out[c] *= factor;
        odd[c] = (float16)(0.0f);
    }
    uint j = begin;
    values += (size_t)begin * HEAD_DIM;
    for (; j + 2 <= end; j += 2, values += 2 * HEAD_DIM) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            out[c] = fma((float16)(weights[j]), LOAD_KV16(values, c * 16), out[c]);
            odd[c] = fma((float16)(weights[j + 1]), LOAD_KV16(values, HEAD_DIM + c * 16), odd[c]);
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (j < end)
            out[c] = fma((float16)(weights[j]), LOAD_KV16(values, c * 16), out[c]);
        out[c] += odd[c];
    }
}

/* Scores of the panels that hold keys key .. key+keys-1; key begins a panel. */
static void score_keys(const float *q, __global const kv_t *panel, uint keys, float scale,
                       float *scores)
{
    uint j = 0;
    for (; j + 4 * PANEL <= keys; j += 4 * PANEL)
        score_panels(q, panel + (size_t)j * HEAD_DIM, scale, scores + j);
    for (; j < keys; j += PANEL)
        score_panel(q, panel + (size_t)j * HEAD_DIM, scale, scores + j);
}

KERNEL(attention_row, __global const act_t *q, __global const kv_t *k_cache,
       __global const kv_t *v_cache, __global const float *slopes, __global const int *lengths,
       __global const int *starts, __global act_t *dst, struct zm_attention_args args)
{
    uint head = GROUP(0), row = GROUP(1), sequence = GROUP(2);
    const struct zm_attention_args a = of_sequence(args, lengths, starts, sequence);
    if (row >= a.rows)
        return;
    size_t cache = head_begin(&a, sequence, head), line = (size_t)a.first_row + row;
    uint first = first_key(&a, row), length = end_key(&a, row);
    q += a.q_offset + line * a.q_stride + head * HEAD_DIM;
    dst += a.dst_offset + line * a.dst_stride + head * HEAD_DIM;
    k_cache += a.k_cache_offset + cache;
    v_cache += a.v_cache_offset + cache;

    float query[HEAD_DIM], scores[KEYS];
    float16 out[CHUNKS];
    float max = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        KEEP16(LOAD_ACT16(q, c * 16), query, c * 16);
        out[c] = (float16)(0.0f);
    }
    for (uint key = first / PANEL * PANEL; key < length; key += KEYS) {
        uint keys = min((uint)KEYS, length - key), begin = in_block(first, key, keys);
        score_keys(query, k_cache + (size_t)key * HEAD_DIM, keys, a.scale, scores);
        if (a.soft_cap != 0.0f || (a.flags & ZM_FLAG_SLOPES))
            adjust(scores, keys, a.soft_cap, head_slope(slopes, &a, head),
                   key_distance(&a, row, key));
        float factor = soften(scores, begin, keys, keys, &max, &sum);
        gather(scores, v_cache + (size_t)key * HEAD_DIM, begin, keys, factor, out);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        STORE_ACT16(out[c] / sum, dst, c * 16);
}
