/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for CPU devices: the index of the largest element of a row, the lowest one of a tie.
 *
 *   | CHUNK elements | CHUNK | ... | rest |
 *
 * A work-item owns some whole rows. It looks for the first chunk with the largest value (comparing
 * with NaN is false, so NaN never wins), then for the first place in it that holds the value. */
#include "args.h"
#include "kernel.clh"
#include "types.clh"
#include "vector.clh"

#define CHUNK 1024

/* The largest of n values; -inf when there is none but NaN. */
static float chunk_max(__global const act_t *x, uint n)
{
    float16 most[4];
#pragma unroll
    for (uint j = 0; j < 4; j++)
        most[j] = (float16)(-INFINITY);
    uint i = 0;
    for (; i + 64 <= n; i += 64)
#pragma unroll
        for (uint j = 0; j < 4; j++) {
            float16 v = LOAD_ACT16(x, i + 16 * j);
            most[j] = select(most[j], v, v > most[j]);
        }
    float rest = -INFINITY;
    for (; i < n; i++) {
        float v = LOAD_ACT(x, i);
        rest = v > rest ? v : rest;
    }
    return fmax(horizontal_max(fmax(fmax(most[0], most[1]), fmax(most[2], most[3]))), rest);
}

static uint row_argmax(__global const act_t *x, uint n)
{
    float most = -INFINITY;
    uint i = 0; /* where the search begins: all of the row while there is nothing over -inf */
    for (uint begin = 0; begin < n; begin += min((uint)CHUNK, n - begin)) {
        float m = chunk_max(x + begin, min((uint)CHUNK, n - begin));
        if (m > most) {
            most = m;
            i = begin;
        }
    }
    while (i < n && LOAD_ACT(x, i) != most)
        i++;
    return i < n ? i : 0; /* a row of only NaN */
}

KERNEL(argmax, __global const act_t *x, __global int *dst, struct zm_argmax_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++)
        dst[a.dst_offset + row] = (int)row_argmax(x + a.x_offset + (size_t)row * a.x_stride, a.n);
}
