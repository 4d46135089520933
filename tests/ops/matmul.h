/* SPDX-License-Identifier: Apache-2.0 */
/* What the descriptions share whose op is matmul. */
#ifndef ZM_TESTS_OPS_MATMUL_H
#define ZM_TESTS_OPS_MATMUL_H

#include "op_run.h"

enum {
    MATMUL_X,
    MATMUL_WEIGHT,
    MATMUL_BIAS,
    MATMUL_RESIDUAL,
    MATMUL_FACTOR,
    MATMUL_DST,
    MATMUL_SCALE,
    MATMUL_COLUMN_SUMS,
    MATMUL_STATISTICS,
    MATMUL_NORM_WEIGHT,
    MATMUL_WEIGHTED,
    MATMUL_OPERANDS
};

extern const op_description op_matmul;

bool matmul_cases(op_list *list);
/* Outputs: half of the rows of a gated weight. */
uint32_t matmul_outputs(const zm_matmul_params *p);
/* Of a reference, whose weight is rows of float64. */
struct zm_matmul_args matmul_args(const zm_matmul_params *p);
/* column[i] = sum over row i of a weight. */
void matmul_column_sums(const double *weight, size_t rows, size_t k, double *column);

#endif
