/* SPDX-License-Identifier: Apache-2.0 */
/* The ceiling of multiply-adds: CHAINS chains of WIDTH lanes that do not wait for one another.
 *
 *     chain 0   x0 = x0 * factor + addend, x0 = x0 * factor + addend, ...
 *     chain 1   x1 = ...
 *
 * Factor and addend come from outside and every lane of every chain goes into the result, so that
 * a compiler can leave nothing out. With 1/2 and 1 the values go to 2 and stay normal numbers.
 * 2 * CHAINS * WIDTH * UNROLL * rounds operations per work-item; dst: WIDTH floats per item. */
#include "bench.clh"

#ifndef CHAINS
#define CHAINS 12
#endif
#ifndef UNROLL
#define UNROLL 8
#endif

#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD(x, y, z) fma(x, y, z)
#else
#define MULTIPLY_ADD(x, y, z) ((x) * (y) + (z))
#endif

__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
fma_chains(__global float *dst, struct zm_bench_fma_args a)
{
    vector x[CHAINS];
    vector factor = (vector)(a.factor), addend = (vector)(a.addend);
#pragma unroll
    for (uint i = 0; i < CHAINS; i++)
        x[i] = (vector)((float)(i + 1) * a.addend);
    for (uint round = 0; round < a.rounds; round++) {
#pragma unroll
        for (uint j = 0; j < UNROLL; j++) {
#pragma unroll
            for (uint i = 0; i < CHAINS; i++)
                x[i] = MULTIPLY_ADD(x[i], factor, addend);
        }
    }
#pragma unroll
    for (uint i = 1; i < CHAINS; i++)
        x[0] += x[i];
    ((__global vector *)dst)[get_global_id(0)] = x[0];
}
