/* SPDX-License-Identifier: Apache-2.0 */
/* softmax for CPU devices: dst = e^(scale x - max) / sum over a row, max = the largest scale x.
 *
 *   x, dst    | 16 | 16 | 16 | ... | 16 | rest |       one row, n values
 *
 * A work-item owns some whole rows, three passes each: the maximum, the sum, then the quotients.
 * The exponential is taken twice, so that nothing is rounded to the type of dst in between. dst may
 * be x: only the last pass writes. NaN, +inf and a row of only -inf make the row NaN, as the
 * formula does. */
#include "args.h"
#include "kernel.clh"
#include "math.clh"
#include "types.clh"
#include "vector.clh"

#define BLOCK 256

/* e^(scale x - max) of 16 values from i on; those from n on give 0. */
static float16 row_part(__global const act_t *x, uint i, uint n, float scale, float max)
{
    float16 v;
    if (i + 16 <= n) {
        v = LOAD_ACT16(x, i);
    } else {
        float lanes[16];
        for (uint j = 0; j < 16; j++)
            lanes[j] = i + j < n ? LOAD_ACT(x, i + j) : 0.0f;
        v = vload16(0, lanes);
    }
    v = exp_nonpositive16(fma(v, (float16)(scale), (float16)(-max)));
    int16 lane = (int16)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    return i + 16 <= n ? v : select((float16)(0.0f), v, lane < (int)(n - i));
}

static float row_max(__global const act_t *x, uint n, float scale)
{
    float16 most = (float16)(-INFINITY);
    float rest = -INFINITY;
    uint i = 0;
    for (; i + 16 <= n; i += 16)
        most = fmax(most, LOAD_ACT16(x, i) * scale);
    for (; i < n; i++)
        rest = fmax(rest, LOAD_ACT(x, i) * scale);
    return fmax(horizontal_max(most), rest);
}

/* The sum of the exponentials, by blocks: the adds of a long row would round too often, so what the
 * sum of the blocks loses is carried along (Kahan 1965). */
static float row_exponentials(__global const act_t *x, uint n, float scale, float max)
{
    float16 sum = (float16)(0.0f), lost = (float16)(0.0f);
    for (uint i = 0; i < n;) {
        uint end = n - i > BLOCK ? i + BLOCK : n;
        float16 part = -lost;
        for (; i < end; i += 16)
            part += row_part(x, i, n, scale, max);
        float16 next = sum + part;
        lost = (next - sum) - part;
        sum = next;
    }
    return horizontal_sum(sum);
}

static void row_softmax(__global const act_t *x, __global act_t *dst, uint n, float scale)
{
    float max = row_max(x, n, scale);
    float sum = row_exponentials(x, n, scale, max);
    uint i = 0;
    for (; i + 16 <= n; i += 16)
        STORE_ACT16(row_part(x, i, n, scale, max) / sum, dst, i);
    float rest[16];
    if (i < n)
        KEEP16(row_part(x, i, n, scale, max) / sum, rest, 0);
    for (uint j = 0; i + j < n; j++)
        STORE_ACT(rest[j], dst, i + j);
}

KERNEL(softmax, __global const act_t *x, __global act_t *dst, struct zm_softmax_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++)
        row_softmax(x + a.x_offset + (size_t)row * a.x_stride,
                    dst + a.dst_offset + (size_t)row * a.dst_stride, a.n, a.scale);
}
