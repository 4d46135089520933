/* SPDX-License-Identifier: Apache-2.0 */
/* rope for GPUs: turns pairs of elements of each head by position * f_i.
 *
 *   head, halves:  | a0 a1 a2 ... | b0 b1 b2 ... | rest |      rotary_dim elements in pairs
 *   head, pairs:   | a0 b0 a1 b1 a2 b2 ...       | rest |      (a_i, b_i), the rest is copied
 *
 * A slot is a pair or an element of the rest. Slots of all rows are dealt out item by item along
 * dimension 0, and again from the first item on until none is left; an item does its slot in the
 * heads of its block (group 1). The angle is formed as a number of turns in twofold precision and
 * loses its whole turns before it becomes one float. dst may be x: an item reads what it writes. */
#include "args.h"
#include "types.clh"
#include "twofold.clh"

#ifndef ITEMS
#define ITEMS 64
#endif

/* Cosine (x) and sine (y) of pair i at the position, times the magnitude. */
static inline float2 turn_of(int position, uint i, float factor, const struct zm_rope_args *a)
{
    const float2 turns_per_radian = (float2)(0.15915494f, 6.4206382e-9f); /* 1 / (2 pi) */
    float2 f = twofold_power((float2)(a->ratio_high, a->ratio_low), i);
    f = twofold_multiply(f, turns_per_radian);
    f = twofold_multiply(f, (float2)(a->frequency_scale, 0.0f));
    float2 turns = twofold_divide(twofold_multiply(twofold_int(position), f), factor);
    float part = (turns.x - rint(turns.x)) + turns.y;
    return (float2)(cospi(2.0f * part), sinpi(2.0f * part)) * a->magnitude;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
rope(__global const act_t *x, __global const int *positions, __global const float *factors,
     __global act_t *dst, struct zm_rope_args a)
{
    uint pairs = a.rotary_dim / 2;
    uint slots = pairs + (a.head_dim - a.rotary_dim);
    uint block = (a.heads - 1) / (uint)get_num_groups(1) + 1;
    uint first_head = (uint)get_group_id(1) * block;
    uint end_head = min(first_head + block, a.heads);
    bool neighbours = a.layout == ZM_ARG_ROPE_PAIRS;
    size_t count = (size_t)a.rows * slots;
    x += a.x_offset;
    dst += a.dst_offset;
    for (size_t next = get_global_id(0); next < count; next += get_global_size(0)) {
        size_t row = next / slots;
        uint slot = (uint)(next - row * slots);
        bool pair = slot < pairs;
        uint first = !pair ? slot + pairs : neighbours ? 2 * slot : slot;
        uint second = neighbours ? first + 1 : first + pairs;
        float2 turn = (float2)(0.0f);
        if (pair) {
            float factor = a.flags & ZM_FLAG_FACTORS ? factors[a.factors_offset + slot] : 1.0f;
            turn = turn_of(positions[a.positions_offset + row], slot, factor, &a);
        }
        for (uint head = first_head; head < end_head; head++) {
            __global const act_t *from = x + row * a.x_stride + (size_t)head * a.head_dim;
            __global act_t *to = dst + row * a.dst_stride + (size_t)head * a.head_dim;
            if (!pair) {
                STORE_ACT(LOAD_ACT(from, first), to, first);
                continue;
            }
            float p = LOAD_ACT(from, first), q = LOAD_ACT(from, second);
            STORE_ACT(p * turn.x - q * turn.y, to, first);
            STORE_ACT(q * turn.x + p * turn.y, to, second);
        }
    }
}
