/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of the kernels that measure ceilings, shared by C (bench/ceiling.c) and OpenCL C. */
#ifndef ZM_SHADERS_BENCH_ARGS_H
#define ZM_SHADERS_BENCH_ARGS_H

#ifdef __OPENCL_C_VERSION__
#define ZM_U32 uint
#else
#include <stdint.h>
#define ZM_U32 uint32_t
#endif

/* fma: dst */
struct zm_bench_fma_args {
    ZM_U32 rounds; /* of every chain */
    float factor, addend;
};

/* read: src, dst. copy: src, dst. */
struct zm_bench_stream_args {
    ZM_U32 vectors; /* of WIDTH floats */
    ZM_U32 passes;  /* over all of them */
};

#endif
