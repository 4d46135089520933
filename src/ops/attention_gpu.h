/* SPDX-License-Identifier: Apache-2.0 */
/* The candidates of attention in the gpu family. */
#ifndef ZM_SRC_OPS_ATTENTION_GPU_H
#define ZM_SRC_OPS_ATTENTION_GPU_H

#include "ops/op.h"
#include "shaders/args.h"

/* What both families take from the parameters; row_block is left 0. */
uint32_t zm_attention_heads(const zm_attention_params *p);
uint32_t zm_attention_rows(const zm_attention_params *p); /* of a sequence */
struct zm_attention_args zm_attention_args_get(const zm_attention_params *p);

/* "gpu": tiles of rows and keys. */
zm_status zm_attention_gpu_accepts(const zm_device *device, const void *params,
                                   zm_refusal *refusal);
zm_status zm_attention_gpu_plan(const zm_call *call, zm_plan *plan);

/* "gpu_row": few rows, keys split over work-groups. */
zm_status zm_attention_gpu_row_accepts(const zm_device *device, const void *params,
                                       zm_refusal *refusal);
zm_status zm_attention_gpu_row_plan(const zm_call *call, zm_plan *plan);
/* Of scratch memory, at most, whatever the numbers of rows, keys and sequences. */
uint64_t zm_attention_gpu_scratch(const zm_device *device, const zm_attention_params *p);

#endif
