/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes a tensor occupies, and whether two tensors share any. */
#ifndef ZM_SRC_OPS_VIEW_H
#define ZM_SRC_OPS_VIEW_H

#include "ops/op.h"

/* Runs of bytes without gaps, which repeat along up to four dimensions, the widest stride first.
 * What lies within one step of a dimension lies within its stride. */
typedef struct zm_view {
    const zm_buffer *buffer;
    uint64_t begin;
    uint64_t run; /* bytes */
    uint32_t dims;
    uint64_t count[ZM_MAX_RANK];  /* at least 2 each */
    uint64_t stride[ZM_MAX_RANK]; /* bytes */
    uint64_t extent[ZM_MAX_RANK]; /* bytes from the first to the last, of this dimension on */
    uint64_t step[ZM_MAX_RANK];   /* of the tensor's own dimensions: views with the same bytes but
                                     other steps (a transpose) are not the same */
} zm_view;

/* Of a tensor of any rank. strided: the innermost dimension may have gaps.
 * ZM_ERROR_INVALID_ARGUMENT: an extent of 0, strides that overlap or step between elements, or a
 * reach outside the buffer; ZM_ERROR_UNSUPPORTED: more than the 32-bit fields of shaders/args.h
 * can say. */
zm_status zm_view_get(const zm_tensor *tensor, bool strided, zm_view *out, zm_refusal *refusal);

typedef enum zm_relation { ZM_DISJOINT = 0, ZM_SAME_VIEW, ZM_OVERLAP, ZM_TANGLED } zm_relation;

/* Steps of strides that are looked at. */
#define ZM_VIEW_STEPS 65536

/* Exact to the byte. Views of equal strides take a few steps, whatever their size; ZM_TANGLED: they
 * lie within each other, and ZM_VIEW_STEPS steps of their unlike strides found no byte in common.
 */
zm_relation zm_view_relation(const zm_view *a, const zm_view *b);

/* Elements from one index of a dimension to the next, as packing implies where none are given and
 * where the dimension has one index only. */
uint64_t zm_tensor_stride(const zm_tensor *tensor, uint32_t dim);
/* Elements from row to row of a matrix or a batch of them; 0 for an absent one. */
uint64_t zm_tensor_row_stride(const zm_tensor *matrix);
/* Are there no gaps between its elements, and are they in order? */
bool zm_tensor_is_packed(const zm_tensor *tensor);

/* Elements of a weight [n][k] in panels of `panel`, with the zeros; false on overflow. */
bool zm_weight_elements(uint32_t panel, uint32_t n, uint32_t k, uint64_t *out);

#endif
