/* SPDX-License-Identifier: Apache-2.0 */
/* attention for CPU devices, few query rows (decoding): one work-item owns one row (group 1) of one
 * head (group 0) and reads the cache once, from beginning to end. Layout and steps as in
 * attention.cl; four panels, or four rows of values, are in flight so that the sums do not wait for
 * each other. HEAD_DIM is a multiple of 16. */
#include "args.h"
#include "attention.clh"

#define CHUNKS (HEAD_DIM / 16)

/* scores[0..64) of four neighbouring panels. */
static void score_panels(__global const float *q, __global const float *panel, float scale,
                         float *scores)
{
    float16 acc[4];
#pragma unroll
    for (int p = 0; p < 4; p++)
        acc[p] = (float16)(0.0f);
    for (uint i = 0; i < HEAD_DIM; i++) {
#pragma unroll
        for (int p = 0; p < 4; p++)
            acc[p] = fma((float16)(q[i]), vload16(p * HEAD_DIM + i, panel), acc[p]);
    }
#pragma unroll
    for (int p = 0; p < 4; p++)
        vstore16(acc[p] * scale, p, scores);
}

static void score_panel(__global const float *q, __global const float *panel, float scale,
                        float *scores)
{
    float16 even = (float16)(0.0f), odd = (float16)(0.0f);
    for (uint i = 0; i < HEAD_DIM; i += 2) {
        even = fma((float16)(q[i]), vload16(i, panel), even);
        odd = fma((float16)(q[i + 1]), vload16(i + 1, panel), odd);
    }
    vstore16((even + odd) * scale, 0, scores);
}

/* out = out * factor + weights x values. */
static void gather(const float *weights, __global const float *values, uint keys, float factor,
                   float16 out[CHUNKS])
{
    float16 odd[CHUNKS];
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        out[c] *= factor;
        odd[c] = (float16)(0.0f);
    }
    uint j = 0;
    for (; j + 2 <= keys; j += 2, values += 2 * HEAD_DIM) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            out[c] = fma((float16)(weights[j]), vload16(c, values), out[c]);
            odd[c] = fma((float16)(weights[j + 1]), vload16(CHUNKS + c, values), odd[c]);
        }
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        if (j < keys)
            out[c] = fma((float16)(weights[j]), vload16(c, values), out[c]);
        out[c] += odd[c];
    }
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
attention_row(__global const float *q, __global const float *k_cache,
              __global const float *v_cache, __global const float *slopes, __global float *dst,
              struct zm_attention_args a)
{
    uint head = get_group_id(0);
    uint row = get_group_id(1);
    uint kv_head = head / (a.heads / a.kv_heads);
    uint length = a.flags & ZM_FLAG_CAUSAL ? a.kv_length - a.rows + row + 1 : a.kv_length;
    q += a.q_offset + (size_t)row * a.q_stride + head * HEAD_DIM;
    dst += a.dst_offset + (size_t)row * a.dst_stride + head * HEAD_DIM;
    k_cache += a.k_cache_offset + (size_t)kv_head * a.head_stride;
    v_cache += a.v_cache_offset + (size_t)kv_head * a.head_stride;

    float scores[KEYS];
    float16 out[CHUNKS];
    float max = -INFINITY, sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        out[c] = (float16)(0.0f);
    for (uint key = 0; key < length; key += KEYS) {
        uint keys = min((uint)KEYS, length - key);
        __global const float *panel = k_cache + (size_t)key * HEAD_DIM;
        uint j = 0;
        for (; j + 4 * PANEL <= keys; j += 4 * PANEL)
            score_panels(q, panel + (size_t)j * HEAD_DIM, a.scale, scores + j);
        for (; j < keys; j += PANEL)
            score_panel(q, panel + (size_t)j * HEAD_DIM, a.scale, scores + j);
        float factor = soften(scores, keys, j, &max, &sum);
        gather(scores, v_cache + (size_t)key * HEAD_DIM, keys, factor, out);
    }
#pragma unroll
    for (int c = 0; c < CHUNKS; c++)
        vstore16(out[c] / sum, c, dst);
}
