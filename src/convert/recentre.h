/* SPDX-License-Identifier: Apache-2.0 */
/* Taking the mean out of a tensor, in float64, piece by piece.
 *
 * A tensor is seen as a matrix [rows][cols]. ZM_RECENTRE_OUTPUTS is for a writer of the main
 * branch stored as [outputs][inputs...]: W' = W - (1/d) 1 1^T W, every column loses its mean over
 * the rows. ZM_RECENTRE_ROWS is for writers stored as [inputs][outputs], for tables of vectors, and
 * for biases, which are one row. */
#ifndef ZM_SRC_CONVERT_RECENTRE_H
#define ZM_SRC_CONVERT_RECENTRE_H

#include <zeromean/model.h>

typedef enum zm_recentre_axis {
    ZM_RECENTRE_NONE = 0, /* the tensor as it is */
    ZM_RECENTRE_OUTPUTS,  /* column minus its mean over the first dimension */
    ZM_RECENTRE_ROWS      /* row minus its mean over the last dimension */
} zm_recentre_axis;

typedef struct zm_recentring {
    const void *data;
    zm_dtype dtype;
    uint64_t rows, cols;
    zm_recentre_axis axis;
    double *mean; /* one per column or per row; NULL for ZM_RECENTRE_NONE */
} zm_recentring;

/* Reads the tensor once for its means (compensated sums). The tensor must outlive *out.
 * ZM_ERROR_OUT_OF_MEMORY; ZM_ERROR_INVALID_ARGUMENT: a type that cannot be decoded, or no dimension
 * to take a mean over. */
zm_status zm_recentring_init(zm_recentring *out, const zm_model_tensor *tensor,
                             zm_recentre_axis axis);
void zm_recentring_finish(zm_recentring *recentring);

/* Elements first .. first + count - 1 of the recentred tensor. */
void zm_recentring_read(const zm_recentring *recentring, uint64_t first, uint64_t count,
                        double *out);

#endif
