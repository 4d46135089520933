/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of memory that is only read: sums `vectors` vectors of WIDTH floats, `passes` times, in
 * eight sums per work-item, so that adds don't wait for each other; dst: WIDTH floats per item. */
#include "bench.clh"

#define SUMS 8

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
stream_read(__global const float *src, __global float *dst, struct zm_bench_stream_args a)
{
    __global const vector *from = (__global const vector *)src;
    vector sum[SUMS];
#pragma unroll
    for (uint j = 0; j < SUMS; j++)
        sum[j] = (vector)(0.0f);
    uint end = end_vector(a.vectors);
    for (uint pass = 0; pass < a.passes; pass++) {
        uint i = first_vector(a.vectors);
        for (; i + (SUMS - 1) * STEP < end; i += SUMS * STEP) {
#pragma unroll
            for (uint j = 0; j < SUMS; j++)
                sum[j] += from[i + j * STEP];
        }
        for (; i < end; i += STEP)
            sum[0] += from[i];
    }
#pragma unroll
    for (uint j = 1; j < SUMS; j++)
        sum[0] += sum[j];
    ((__global vector *)dst)[get_global_id(0)] = sum[0];
}
