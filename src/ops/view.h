/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes a tensor occupies, and whether two tensors share any. */
#ifndef ZM_SRC_OPS_VIEW_H
#define ZM_SRC_OPS_VIEW_H

#include "ops/op.h"

/* Bytes of a buffer: rows of equal length, `stride` apart. What is contiguous is one row. */
typedef struct zm_view {
    const zm_buffer *buffer;
    uint64_t begin;
    uint64_t rows;
    uint64_t row_bytes;
    uint64_t stride;
} zm_view;

/* Of a tensor of rank 1 or 2. ZM_ERROR_INVALID_ARGUMENT: an extent of 0, strides that overlap or
 * step between elements, or a reach outside the buffer; ZM_ERROR_UNSUPPORTED: more than the
 * 32-bit fields of shaders/args.h can say. */
zm_status zm_view_get(const zm_tensor *tensor, zm_view *out, zm_refusal *refusal);

typedef enum zm_relation { ZM_DISJOINT = 0, ZM_SAME_VIEW, ZM_OVERLAP } zm_relation;

/* Exact to the byte. */
zm_relation zm_view_relation(const zm_view *a, const zm_view *b);

/* Elements from row to row of a matrix that zm_view_get accepts; 0 for an absent one. */
uint64_t zm_tensor_row_stride(const zm_tensor *matrix);

/* Elements of a weight [n][k] in panels of `panel`, with the zeros; false on overflow. */
bool zm_weight_elements(uint32_t panel, uint32_t n, uint32_t k, uint64_t *out);

#endif
