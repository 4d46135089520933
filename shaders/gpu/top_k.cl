/* SPDX-License-Identifier: Apache-2.0 */
/* top_k for GPUs: the k largest elements of a row, the largest first, the lowest index of a tie.
 *
 * A work-group takes one row. Every number has a rank of 64 bits, all of them different:
 *
 *   | 32 bits that order as the value does | 32 bits: index, inverted |
 *
 * Eight bits at a time, from the top, it counts the elements of each digit (those that share the
 * digits found so far) and finds the digit of the k-th. It stops when the elements with these
 * digits are as many as are wanted: after some passes of eight where values differ. Then it
 * gathers what is not below, and places each by counting those above it. Counts of integers don't
 * depend on their order, so neither do the bits of the result. */
#include "args.h"
#include "types.clh"

#ifndef ITEMS
#define ITEMS 64
#endif
#define DIGITS 256
#define COARSE 16
#define MOST 256

/* 0 for NaN, which has no rank. */
static inline ulong rank_of(float v, uint index)
{
    uint bits = v == 0.0f ? 0u : as_uint(v);
    uint key = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return isnan(v) ? 0 : (ulong)key << 32 | ~index;
}

struct search {
    uint counts[DIGITS];
    uint coarse[COARSE]; /* sums of DIGITS / COARSE counts */
    uint wanted;         /* elements still to find among those that share `digits` */
    uint found;          /* elements that share them */
    ulong digits;
};

/* Item 0: the digit of the element that is `wanted` from the top. Where there are too few, all of
 * them are wanted, and none is below. */
static inline void pick_digit(__local struct search *s)
{
    uint above = 0;
    int c = COARSE - 1;
    while (c >= 0 && above + s->coarse[c] < s->wanted)
        above += s->coarse[c--];
    if (c < 0) {
        s->wanted = s->found = above;
        s->digits = 0;
    } else {
        int digit = c * (DIGITS / COARSE) + DIGITS / COARSE - 1;
        while (above + s->counts[digit] < s->wanted)
            above += s->counts[digit--];
        s->wanted -= above;
        s->found = s->counts[digit];
        s->digits = s->digits << 8 | (uint)digit;
    }
}

/* One pass: all elements with the digits so far, by their next digit. */
static inline void count_digits(__global const act_t *x, uint n, uint pass,
                                __local struct search *s)
{
    uint item = get_local_id(0);
    uint shift = 56 - 8 * pass;
    for (uint i = item; i < DIGITS; i += ITEMS)
        s->counts[i] = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    ulong digits = s->digits;
    for (uint i = item; i < n; i += ITEMS) {
        ulong rank = rank_of(LOAD_ACT(x, i), i);
        bool shared = pass == 0 || rank >> (shift + 8) == digits;
        if (rank != 0 && shared)
            atomic_inc(&s->counts[(uint)(rank >> shift) & 0xffu]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    if (item < COARSE) {
        uint sum = 0;
        for (uint i = 0; i < DIGITS / COARSE; i++)
            sum += s->counts[item * (DIGITS / COARSE) + i];
        s->coarse[item] = sum;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
}

/* The least rank that is among the k largest; 1 when there aren't as many numbers. Ranks differ, so
 * the last digit finds one at the latest. */
static inline ulong find_least(__global const act_t *x, uint n, uint k, __local struct search *s)
{
    uint item = get_local_id(0);
    if (item == 0) {
        s->wanted = k;
        s->found = 0;
        s->digits = 0;
    }
    uint pass = 0, wanted = k, found = 0;
    ulong least = 0;
    while (pass < 8 && wanted != found) {
        barrier(CLK_LOCAL_MEM_FENCE);
        count_digits(x, n, pass, s);
        if (item == 0)
            pick_digit(s);
        barrier(CLK_LOCAL_MEM_FENCE);
        wanted = s->wanted;
        found = s->found;
        least = s->digits << (56 - 8 * pass);
        pass++;
    }
    return max(least, (ulong)1);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
top_k(__global const act_t *x, __global act_t *values, __global int *indices,
      struct zm_top_k_args a)
{
    __local struct search s;
    __local ulong ranks[MOST];
    __local uint count;
    uint item = get_local_id(0);
    size_t row = get_group_id(0);
    x += a.x_offset + row * a.x_stride;
    values += a.values_offset + row * a.values_stride;
    indices += a.indices_offset + row * a.indices_stride;

    ulong least = find_least(x, a.n, a.k, &s);
    if (item == 0)
        count = 0;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (uint i = item; i < a.n; i += ITEMS) {
        ulong rank = rank_of(LOAD_ACT(x, i), i);
        if (rank >= least)
            ranks[atomic_inc(&count)] = rank;
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    uint numbers = count;
    for (uint i = item; i < numbers; i += ITEMS) {
        uint above = 0;
        for (uint j = 0; j < numbers; j++)
            above += ranks[j] > ranks[i];
        uint index = ~(uint)ranks[i];
        STORE_ACT(LOAD_ACT(x, index), values, above);
        indices[above] = (int)index;
    }
    for (uint i = numbers + item; i < a.k; i += ITEMS) {
        STORE_ACT(-INFINITY, values, i);
        indices[i] = -1;
    }
}
