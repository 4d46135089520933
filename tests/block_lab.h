/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks on a device, next to the same block in float64 (naive_block.h). */
#ifndef ZM_TESTS_BLOCK_LAB_H
#define ZM_TESTS_BLOCK_LAB_H

#include <zeromean/block.h>

#include "naive_block.h"
#include "scratch.h"

#define MAX_BUFFERS 96
#define MAX_LAYERS 2
#define MAX_VALUES (NAIVE_ROWS * 128)

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    scratch_log log;
    zm_buffer *buffers[MAX_BUFFERS];
    size_t count;
    naive_block naive;
    uint32_t sequences; /* in each cache; 0 = 1 */
    zm_block block;
    zm_kv_cache caches[MAX_LAYERS]; /* what layers don't share */
    zm_linear kv;                   /* of the other side */
    zm_tensor x, source, positions;
    zm_graph *graph;
    zm_size rows, length;
    zm_tensor y; /* of the graph */
} fixture;

int block_open_host(void **state);
int block_open_opencl(void **state);
int block_close(void **state);

/* Destroyed with the fixture. Without values: as it comes. */
zm_buffer *block_buffer(fixture *f, const void *values, uint64_t bytes);
/* The naive block of the fixture with its tensors on the device. */
void block_put(fixture *f);
/* All rows in one run, with these passes. */
zm_executable_info block_run(fixture *f, const zm_compile_params *passes, float *out);
/* The relative L2 error is small? */
void block_near(const double *wanted, const float *got, size_t count);
/* Are they what the naive block makes of it? */
void block_compare(const fixture *f, const float *got);
/* Makes the block up and holds it against the naive one, with all passes; on the host without any
 * as well (which takes other kernels), and a causal one in several runs. Returns what all passes
 * made of it. */
zm_executable_info block_expect(fixture *f, naive_block naive);

#endif
