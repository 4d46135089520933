/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of memory that is only read: sums `vectors` vectors of WIDTH floats, `passes` times, in
 * four sums per work-item, so that adds don't wait for each other; dst: WIDTH floats per item. */
#include "bench.clh"

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
stream_read(__global const float *src, __global float *dst, struct zm_bench_stream_args a)
{
    __global const vector *from = (__global const vector *)src;
    vector sum[4] = {(vector)(0.0f), (vector)(0.0f), (vector)(0.0f), (vector)(0.0f)};
    uint end = end_vector(a.vectors);
    for (uint pass = 0; pass < a.passes; pass++) {
        uint i = first_vector(a.vectors);
        for (; i + 3 * STEP < end; i += 4 * STEP) {
#pragma unroll
            for (uint j = 0; j < 4; j++)
                sum[j] += from[i + j * STEP];
        }
        for (; i < end; i += STEP)
            sum[0] += from[i];
    }
    ((__global vector *)dst)[get_global_id(0)] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
