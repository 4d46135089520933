/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel "sgemm" of ZM_FAMILY_LIBRARY: dst = x w^T in float32, as the library does it that the
 * backend has for it. */
#ifndef ZM_SRC_DEVICE_SGEMM_H
#define ZM_SRC_DEVICE_SGEMM_H

#include <stdint.h>

#define ZM_SGEMM "sgemm"

/* Where the matrices of a batch lie in a buffer, in elements. */
typedef struct zm_sgemm_matrix {
    uint32_t rows, cols;
    uint32_t offset; /* of the first one */
    uint32_t stride; /* from row to row */
    uint32_t step;   /* from matrix to matrix */
} zm_sgemm_matrix;

/* Buffers x [m][k], weight [n][k], dst [m][n]. */
typedef struct zm_sgemm_args {
    uint32_t batch;
    zm_sgemm_matrix x, weight, dst;
} zm_sgemm_args;

#endif
