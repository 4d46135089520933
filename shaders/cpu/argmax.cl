/* SPDX-License-Identifier: Apache-2.0 */
/* argmax for CPU devices: the index of the largest element of a row, the lowest one of a tie.
 *
 * A work-item owns some whole rows and goes over each twice: first for the largest value (a
 * comparison with NaN is false, so NaN never wins), then for the first place where it stands. A row
 * of only NaN has no such place and gives 0. */
#include "args.h"
#include "vector.clh"

static float row_max(__global const float *x, uint n)
{
    float16 most[4];
#pragma unroll
    for (uint j = 0; j < 4; j++)
        most[j] = (float16)(-INFINITY);
    uint i = 0;
    for (; i + 64 <= n; i += 64)
#pragma unroll
        for (uint j = 0; j < 4; j++) {
            float16 v = vload16(0, x + i + 16 * j);
            most[j] = select(most[j], v, v > most[j]);
        }
    float rest = -INFINITY;
    for (; i < n; i++)
        rest = x[i] > rest ? x[i] : rest;
    return fmax(horizontal_max(fmax(fmax(most[0], most[1]), fmax(most[2], most[3]))), rest);
}

static uint first_equal(__global const float *x, uint n, float value)
{
    uint i = 0;
    while (i + 16 <= n && !any(vload16(0, x + i) == value))
        i += 16;
    while (i < n && x[i] != value)
        i++;
    return i < n ? i : 0;
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
argmax(__global const float *x, __global int *dst, struct zm_argmax_args a)
{
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        __global const float *v = x + a.x_offset + (size_t)row * a.x_stride;
        dst[a.dst_offset + row] = (int)first_equal(v, a.n, row_max(v, a.n));
    }
}
