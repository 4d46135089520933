/* SPDX-License-Identifier: Apache-2.0 */
/* A block with a cache, as a graph and as calls of the same operations. */
#ifndef ZM_TESTS_GRAPH_LAB_H
#define ZM_TESTS_GRAPH_LAB_H

#include <zeromean/graph.h>

#include "scratch.h"

#define D 64
#define HEADS 2
#define FF 96
#define LENGTH 12 /* of the cache */

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    scratch_log log;
    uint64_t random;
    zm_buffer *buffers[32];
    size_t buffer_count;
    zm_tensor input; /* [LENGTH][D] */
    zm_tensor qkv_weight, out_weight, up_weight, down_weight, norm_weight, bias;
    zm_kv_layout layout;
    zm_tensor caches[4]; /* keys and values, of the graph and of the calls */
    zm_tensor outputs[2];
} fixture;

typedef struct symbols {
    zm_size tokens, length;
} symbols;

/* Set-up and tear-down of a test. */
int open_host(void **state);
int open_opencl(void **state);
int close_device(void **state);

/* A tensor of random numbers, in the next buffer of the fixture. */
zm_tensor make(fixture *f, uint32_t rank, uint32_t rows, uint32_t cols);

/* The input's rows from past on, weights and caches by name, norms and bias as they are. */
zm_graph *block_graph(fixture *f, symbols *s);
/* With all externs bound. */
zm_executable *block_compile(fixture *f, const zm_graph *g);
zm_executable *block_compile_with(fixture *f, const zm_graph *g, zm_replay replay);

/* The calls, with caches and an output of their own. */
void run_directly(fixture *f, uint32_t past, uint32_t tokens);
void assert_outputs_equal(fixture *f, uint32_t tokens);

#endif
