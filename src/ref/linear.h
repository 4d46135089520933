/* SPDX-License-Identifier: Apache-2.0 */
/* dst = activation(scale(windows of x times w^T) + bias) + residual (or times factor): what matmul,
 * conv1d and patch_embedding share. They differ in what of x a row of dst is made of, its window.
 */
#ifndef ZM_SRC_REF_LINEAR_H
#define ZM_SRC_REF_LINEAR_H

#include <stdbool.h>

#include "ref/real.h"

/* Writes the elements k0 .. k0+depth-1 of the window of a row. args are the op's. */
typedef void (*linear_window)(const void *args, const ACT *x, size_t row, size_t k0, size_t depth,
                              double *window);

/* zm_row_scale of ops.h */
typedef struct linear_scale {
    uint32_t kind; /* ZM_ARG_SCALE_*; 0 = none */
    const REAL *statistics;
    size_t stride, groups;
    const REAL *column_sums;
    double d, eps;
} linear_scale;

typedef struct linear {
    size_t rows, n, k;
    linear_window window;
    const void *args;
    const ACT *x;
    /* panel 0: [n][k], rows weight_stride apart; else [ceil(n / panel)][k][panel]; 2 n rows where
     * it is gated */
    const void *weight;
    size_t weight_offset, weight_stride, panel;
    zm_dtype weight_type;
    linear_scale scale;
    const void *bias, *position;  /* elements of param_type; NULL = absent */
    const ACT *residual, *factor; /* NULL = absent; both residual_stride apart */
    zm_dtype param_type;
    size_t bias_offset, position_offset, position_stride, residual_stride;
    uint32_t activation; /* ZM_ARG_* */
    bool gated;
    ACT *dst;
    REAL *statistics; /* NULL = not asked for */
    size_t dst_stride, statistics_stride;
    const void *norm_weight; /* of param_type; only with weighted */
    size_t norm_weight_offset, weighted_stride;
    ACT *weighted; /* dst * norm_weight; NULL = not asked for */
} linear;

/* The items begin .. end-1 of ceil(n / ZM_REF_OUTPUTS) * rows. */
void ZM_REF(linear)(const linear *l, size_t begin, size_t end);

#endif
