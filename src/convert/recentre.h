/* SPDX-License-Identifier: Apache-2.0 */
/* Changing all vectors of the main branch in a tensor alike, in float64, piece by piece.
 *
 * A tensor is seen as a matrix [rows][cols]. ZM_RECENTRE_OUTPUTS: its columns are the vectors, as
 * those of a writer of the main branch stored as [outputs][inputs...]: W' = W - (1/d) 1 1^T W.
 * ZM_RECENTRE_ROWS: its rows are, as of writers stored as [inputs][outputs], of tables of vectors,
 * and of biases, which are one row. */
#ifndef ZM_SRC_CONVERT_RECENTRE_H
#define ZM_SRC_CONVERT_RECENTRE_H

#include <zeromean/model.h>

typedef enum zm_recentre_axis {
    ZM_RECENTRE_NONE = 0, /* the tensor as it is */
    ZM_RECENTRE_OUTPUTS,  /* vectors lie along the first dimension */
    ZM_RECENTRE_ROWS      /* along the last one */
} zm_recentre_axis;

/* Of a vector v with the mean m and the last element l: v'_j = v_j + mean * m + last * l. */
typedef struct zm_vector_change {
    double mean, last;
    int more;        /* elements: -1: the last one is dropped; 1: there is one more behind it, */
    double appended; /* which is appended * m */
} zm_vector_change;

/* What takes out the mean. */
#define ZM_MEAN_OUT ((zm_vector_change){.mean = -1})

typedef struct zm_recentring {
    const void *data;
    zm_dtype dtype;
    uint64_t rows, cols; /* of the tensor */
    zm_recentre_axis axis;
    zm_vector_change change;
    double *gain;          /* [elements of a vector]: v is multiplied by it first; NULL = 1 */
    double *mean, *offset; /* one per vector; NULL for ZM_RECENTRE_NONE */
} zm_recentring;

/* Reads the tensor once for its means (compensated sums). The tensor must outlive *out. gain: a
 * vector for the elements of each; NULL = 1. ZM_ERROR_OUT_OF_MEMORY; ZM_ERROR_INVALID_ARGUMENT: a
 * type that cannot be decoded, or a shape that doesn't fit. */
zm_status zm_recentring_init(zm_recentring *out, const zm_model_tensor *tensor,
                             zm_recentre_axis axis, const zm_vector_change *change,
                             const zm_model_tensor *gain);
void zm_recentring_finish(zm_recentring *recentring);

/* Elements first .. first + count - 1 of the result. */
void zm_recentring_read(const zm_recentring *recentring, uint64_t first, uint64_t count,
                        double *out);

/* sums[n] += matrix [n][d] times vector [d], or of the matrix [d][n] where it is transposed. Both
 * are of any floating type. */
void zm_matrix_times(const zm_model_tensor *matrix, bool transposed, const double *vector,
                     double *sums);

#endif
