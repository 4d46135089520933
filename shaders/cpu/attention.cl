/* SPDX-License-Identifier: Apache-2.0 */
/* attention for CPU devices, many query rows: dst = softmax(scale q k^T) v, online softmax.
 *
 *   k cache of one head: panels of 16 keys      v cache of one head: rows
 *     [position / 16][head_dim][16]               [position][head_dim]
 *
 * A work-item owns one head (group 0) and row_block query rows (group 1), ROWS at a time. For each
 * KEYS keys it
 *   1. computes ROWS x KEYS scores, two panels (32 keys) at a time in registers,
 *   2. turns them into weights e^(score - max), rescaling what the rows have gathered so far when
 *      their maximum grows,
 *   3. adds weights x values, 32 columns of the head at a time in registers.
 * Scores of keys that a row may not see are -inf. Keys from kv_length on are read (the cache is
 * whole panels) but never counted, whatever they hold. Requires rows >= ROWS, HEAD_DIM a multiple
 * of 16. */
#include "args.h"
#include "attention.clh"

#ifndef ROWS
#define ROWS 12
#endif

/* scores[r][0..32) of two neighbouring panels of keys. */
static void score_panels(__global const float *q, size_t stride, __global const float *panel,
                         float scale, float *scores)
{
    float16 acc[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++)
        acc[r][0] = acc[r][1] = (float16)(0.0f);
    for (uint i = 0; i < HEAD_DIM; i++) {
        float16 k0 = vload16(i, panel);
        float16 k1 = vload16(HEAD_DIM + i, panel);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float16 v = (float16)(q[r * stride + i]);
            acc[r][0] = fma(v, k0, acc[r][0]);
            acc[r][1] = fma(v, k1, acc[r][1]);
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        vstore16(acc[r][0] * scale, 0, scores + r * KEYS);
        vstore16(acc[r][1] * scale, 1, scores + r * KEYS);
    }
}

/* out[r][0..32) = out * factor[r] + weights x values over the keys. */
static void gather(const float *weights, __global const float *values, uint keys,
                   const float *factor, float *out)
{
    float16 acc[ROWS][2];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        acc[r][0] = vload16(0, out + r * HEAD_DIM) * factor[r];
        acc[r][1] = vload16(1, out + r * HEAD_DIM) * factor[r];
    }
    for (uint j = 0; j < keys; j++) {
        float16 v0 = vload16(0, values);
        float16 v1 = vload16(1, values);
        values += HEAD_DIM;
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            float16 w = (float16)(weights[r * KEYS + j]);
            acc[r][0] = fma(w, v0, acc[r][0]);
            acc[r][1] = fma(w, v1, acc[r][1]);
        }
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        vstore16(acc[r][0], 0, out + r * HEAD_DIM);
        vstore16(acc[r][1], 1, out + r * HEAD_DIM);
    }
}

/* The last 16 columns where HEAD_DIM is no multiple of 32. */
static void gather_rest(const float *weights, __global const float *values, uint keys,
                        const float *factor, float *out)
{
    for (int r = 0; r < ROWS; r++) {
        float16 acc = vload16(0, out + r * HEAD_DIM) * factor[r];
        for (uint j = 0; j < keys; j++)
            acc = fma((float16)(weights[r * KEYS + j]), vload16(0, values + j * HEAD_DIM), acc);
        vstore16(acc, 0, out + r * HEAD_DIM);
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention(__global const float *q, __global const float *k_cache, __global const float *v_cache,
          __global const float *slopes, __global float *dst, struct zm_attention_args a)
{
    uint head = get_group_id(0);
    uint first = get_group_id(1) * a.row_block;
    uint end = min(first + a.row_block, a.rows);
    uint kv_head = head / (a.heads / a.kv_heads);
    q += a.q_offset + head * HEAD_DIM;
    dst += a.dst_offset + head * HEAD_DIM;
    k_cache += a.k_cache_offset + (size_t)kv_head * a.head_stride;
    v_cache += a.v_cache_offset + (size_t)kv_head * a.head_stride;

    for (uint next = first; next < end; next += ROWS) {
        uint row = min(next, a.rows - ROWS);
        __global const float *tile = q + (size_t)row * a.q_stride;
        float scores[ROWS * KEYS];
        float out[ROWS * HEAD_DIM];
        float factor[ROWS], max[ROWS], sum[ROWS];
        for (uint i = 0; i < ROWS * HEAD_DIM; i++)
            out[i] = 0.0f;
        for (int r = 0; r < ROWS; r++) {
            max[r] = -INFINITY;
            sum[r] = 0.0f;
        }
        uint hidden = a.flags & ZM_FLAG_CAUSAL ? a.rows - row - ROWS : 0;
        uint length = a.kv_length - hidden; /* keys that the last row of the tile sees */
        for (uint key = 0; key < length; key += KEYS) {
            uint keys = min((uint)KEYS, length - key);
            for (uint j = 0; j < keys; j += 2 * PANEL)
                score_panels(tile, a.q_stride, k_cache + (size_t)(key + j) * HEAD_DIM, a.scale,
                             scores + j);
            for (int r = 0; r < ROWS; r++) {
                uint seen = a.flags & ZM_FLAG_CAUSAL ? length - (ROWS - 1 - r) : length;
                uint visible = seen > key ? min(keys, seen - key) : 0;
                factor[r] = soften(scores + r * KEYS, visible, (keys + 15) / 16 * 16, &max[r],
                                   &sum[r]);
            }
            __global const float *values = v_cache + (size_t)key * HEAD_DIM;
            for (uint d = 0; d + 32 <= HEAD_DIM; d += 32)
                gather(scores, values + d, keys, factor, out + d);
            if (HEAD_DIM % 32)
                gather_rest(scores, values + HEAD_DIM / 32 * 32, keys, factor,
                            out + HEAD_DIM / 32 * 32);
        }
        for (int r = 0; r < ROWS; r++) {
            if (row + r < next || row + r >= end)
                continue;
            __global float *y = dst + (size_t)(row + r) * a.dst_stride;
            for (uint d = 0; d < HEAD_DIM; d += 16)
                vstore16(vload16(0, out + r * HEAD_DIM + d) / sum[r], 0, y + d);
        }
    }
}
