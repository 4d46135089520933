/* SPDX-License-Identifier: Apache-2.0 */
/* attention for CPU devices, any head_dim and any layout of the keys: the plain kernel behind
 * attention.cl and attention_row.cl.
 *
 *   k cache of one head: rows, or panels             v cache of one head: rows
 *     [position / panel][head_dim][panel]              [position][head_dim]
 *
 * A work-item owns one row (group 1) of one head (group 0) of a sequence (group 2). Keys come one
 * at a time; when a score is over the largest so far, what was gathered is scaled down to it. */
#include "args.h"
#include "attention.clh"
#include "kernel.clh"

/* step: elements from one element of the key to the next. */
static float score(const float *q, __global const kv_t *key, size_t step)
{
    float sum = 0.0f;
    for (uint i = 0; i < HEAD_DIM; i++)
        sum = fma(q[i], LOAD_KV(key, i * step), sum);
    return sum;
}

KERNEL(attention_any, __global const act_t *q, __global const kv_t *k_cache,
       __global const kv_t *v_cache, __global const float *slopes, __global const int *lengths,
       __global const int *starts, __global act_t *dst, struct zm_attention_args args)
{
    uint head = GROUP(0), row = GROUP(1), sequence = GROUP(2);
    const struct zm_attention_args a = of_sequence(args, lengths, starts, sequence);
    if (row >= a.rows)
        return;
    size_t cache = head_begin(&a, sequence, head), line = (size_t)a.first_row + row;
    uint panel = a.panel ? a.panel : 1;
    float slope = head_slope(slopes, &a, head);
    q += a.q_offset + line * a.q_stride + head * HEAD_DIM;
    dst += a.dst_offset + line * a.dst_stride + head * HEAD_DIM;
    k_cache += a.k_cache_offset + cache;
    v_cache += a.v_cache_offset + cache;

    float query[HEAD_DIM], out[HEAD_DIM];
    float max = -INFINITY, sum = 0.0f;
    for (uint i = 0; i < HEAD_DIM; i++) {
        query[i] = LOAD_ACT(q, i);
        out[i] = 0.0f;
    }
    for (uint j = first_key(&a, row); j < end_key(&a, row); j++) {
        __global const kv_t *key = k_cache + (size_t)(j / panel) * panel * HEAD_DIM + j % panel;
        float s = score(query, key, panel) * a.scale;
        if (a.soft_cap != 0.0f)
            s = a.soft_cap * tanh(s / a.soft_cap);
        if (a.flags & ZM_FLAG_SLOPES)
            s = fma(slope, (float)key_distance(&a, row, j), s);
        if (s > max) {
            float factor = exp(max - s);
            sum *= factor;
            for (uint i = 0; i < HEAD_DIM; i++)
                out[i] *= factor;
            max = s;
        }
        /* While every score is -inf their weights are 0, not NaN: a later one may be finite. */
        float weight = exp(s - (max == -INFINITY ? 0.0f : max));
        sum += weight;
        __global const kv_t *value = v_cache + (size_t)j * HEAD_DIM;
        for (uint i = 0; i < HEAD_DIM; i++)
            out[i] = fma(weight, LOAD_KV(value, i), out[i]);
    }
    for (uint i = 0; i < HEAD_DIM; i++)
        STORE_ACT(out[i] / sum, dst, i);
}
