/* SPDX-License-Identifier: Apache-2.0 */
/* What linears take over from the norm that they read, so that the norm can be deferred:
 * W (gamma n + beta) + b = W gamma n + (b + W beta), and for LayerNorm the column sums W gamma. In
 * float64. */
#ifndef ZM_SRC_SESSION_FOLD_H
#define ZM_SRC_SESSION_FOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <zeromean/common.h>

typedef struct zm_norm_fold {
    double *gamma, *beta; /* [k] */
    double *bias;         /* [n]: W beta is added to it */
    double *sums;         /* [n]: W gamma is added to it */
    bool layer;           /* else the sums are left alone */
} zm_norm_fold;

/* Rows first .. first + rows - 1 of W, finite values of any floating type. */
void zm_norm_fold_rows(const zm_norm_fold *fold, uint64_t first, const void *values, zm_dtype type,
                       uint64_t rows, uint64_t k);

#endif
