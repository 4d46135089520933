/* SPDX-License-Identifier: Apache-2.0 */
/* A block to be traced where no model is given: Pre-LN, of GPT-2's smallest size. */
#ifndef ZM_BENCH_TRACE_BLOCK_H
#define ZM_BENCH_TRACE_BLOCK_H

#include <zeromean/graph.h>

typedef struct trace_block {
    zm_executable *executable;
    zm_buffer *buffers[16];
    size_t buffer_count;
} trace_block;

/* For sequences of that many tokens. The stream fills the weights. */
zm_status trace_block_create(zm_device *device, zm_stream *stream, const zm_log *log,
                             uint32_t tokens, trace_block *out);
/* Its runs must have finished. */
void trace_block_finish(trace_block *block);

#endif
