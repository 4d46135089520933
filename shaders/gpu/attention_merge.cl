/* SPDX-License-Identifier: Apache-2.0 */
/* attention for GPUs, second launch where keys were split: the notes of attention_row, in their
 * order, become dst.
 *
 *   notes [sequence][packed row][kv head][split]:  maximum, sum, two floats of nothing, head_dim
 *                                                  floats up to whole fours
 *
 * A work-group takes one packed row of a head of a sequence. */
#include "args.h"
#include "sequence.clh"
#include "types.clh"

#ifndef ITEMS
#define ITEMS 64
#endif

/* A split that has seen nothing but -inf weighs 0. */
static inline float split_weight(float most, float most_of_all)
{
    return exp(most - (most_of_all == -INFINITY ? 0.0f : most_of_all));
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
attention_merge(__global const float *notes, __global const int *starts, __global act_t *dst,
                struct zm_attention_merge_args a)
{
    uint packed = get_group_id(0), kv_head = get_group_id(1), sequence = get_group_id(2);
    uint share = a.heads / a.kv_heads;
    uint row = packed / share, head = kv_head * share + packed % share;
    uint length = 4 + (a.head_dim + 3) / 4 * 4;
    struct rows_of_sequence own = {sequence * a.rows, a.rows};
    if (a.flags & ZM_FLAG_STARTS)
        own = rows_of_sequence(starts + a.starts_offset + sequence, a.rows, a.all_rows);
    if (row >= own.count)
        return;
    size_t note0 = ((size_t)sequence * a.rows * share + packed) * a.kv_heads + kv_head;
    notes += note0 * a.splits * length;
    dst += a.dst_offset + ((size_t)own.first + row) * a.dst_stride + (size_t)head * a.head_dim;

    float most = -INFINITY, sum = 0.0f;
    for (uint s = 0; s < a.splits; s++)
        most = fmax(most, notes[(size_t)s * length]);
    for (uint s = 0; s < a.splits; s++) {
        __global const float *note = notes + (size_t)s * length;
        sum = fma(note[1], split_weight(note[0], most), sum);
    }
    for (uint i = get_local_id(0); i < a.head_dim; i += ITEMS) {
        float result = 0.0f;
        for (uint s = 0; s < a.splits; s++) {
            __global const float *note = notes + (size_t)s * length;
            result = fma(note[4 + i], split_weight(note[0], most), result);
        }
        STORE_ACT(result / sum, dst, i);
    }
}
