/* SPDX-License-Identifier: Apache-2.0 */
/* Weights and caches whose buffers are in parts: a call is one call for each of them. */
#ifndef ZM_SRC_OPS_PARTS_H
#define ZM_SRC_OPS_PARTS_H

#include "ops/op.h"

/* Rows of a weight that lie in one part. A cache is a matrix with a row for each sequence. */
struct zm_part {
    uint32_t index;
    zm_tensor weight;
    uint32_t first; /* its first row */
    uint32_t rows;  /* of the whole weight */
};

/* The params of the ops that take such operands. */
typedef union zm_part_params {
    zm_matmul_params matmul;
    zm_embedding_params embedding;
    zm_kv_store_params kv_store;
    zm_attention_params attention;
} zm_part_params;

/* Rows of each part for weights of n rows, in panels and of k elements each, where a part has at
 * most so many bytes: as few parts as that takes, of about the same size, which end where panels,
 * gates and groups of statistics do. 0 = not even one of these fits. */
uint32_t zm_part_rows(const zm_device *device, uint32_t n, uint32_t panel, uint32_t k,
                      zm_dtype dtype, uint64_t most);

/* Does each part end where a row does, in panels where a panel does, and at a multiple of `step`
 * rows? Of what is in one allocation it always does. */
zm_status zm_parts_check(const zm_tensor *weight, uint32_t step, zm_refusal *refusal);

/* Are both caches in the same parts, each of which ends where a sequence does? */
zm_status zm_parts_check_caches(const zm_tensor *keys, const zm_tensor *values,
                                const zm_kv_layout *layout, zm_refusal *refusal);

/* What of these params, which have passed the check, may be in parts, as a matrix; buffer NULL:
 * nothing may. */
zm_tensor zm_parts_matrix(const zm_op *op, const void *params);

/* Of such a matrix. */
uint32_t zm_parts_count(const zm_tensor *weight);
zm_part zm_part_get(const zm_tensor *weight, uint32_t index);
/* Makes the params of an op, which are the whole call's, those for a part. */
void zm_part_take(const zm_device *device, const zm_op *op, const zm_part *part,
                  zm_part_params *params);

#endif
