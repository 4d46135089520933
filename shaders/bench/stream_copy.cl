/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of memory that is read and written: dst = src, `vectors` vectors of WIDTH floats,
 * `passes` times. */
#include "bench.clh"

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
stream_copy(__global const float *src, __global float *dst, struct zm_bench_stream_args a)
{
    __global const vector *from = (__global const vector *)src;
    __global vector *to = (__global vector *)dst;
    for (uint pass = 0; pass < a.passes; pass++)
        for (uint i = first_vector(a.vectors); i < end_vector(a.vectors); i += STEP)
            to[i] = from[i];
}
