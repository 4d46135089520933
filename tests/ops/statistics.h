/* SPDX-License-Identifier: Apache-2.0 */
/* What the descriptions share that write or read statistics of rows. */
#ifndef ZM_TESTS_OPS_STATISTICS_H
#define ZM_TESTS_OPS_STATISTICS_H

#include "op_case.h"

/* Without columns yet: how many there are is up to the device. */
zm_tensor op_statistics(uint32_t rows, uint64_t offset);
/* Of rows of d columns; a tensor that is absent stays absent. */
void op_statistics_prepare(const zm_device *device, uint32_t d, zm_tensor *statistics);
/* Of a reference, whose weight is float64. */
struct zm_row_statistics_args op_statistics_args(const zm_row_statistics_params *p, uint32_t group);
/* Fills in the statistics of rows of doubles, `stride` apart. */
void op_statistics_fill(const double *x, size_t rows, size_t d, size_t stride, uint32_t group,
                        double *values);

/* Rows of 16 bits are rounded before, or after, something is made of them: the length of that
 * error, for a row of this length, in units of the op's tolerance for statistics of that type. */
double op_narrow_error(const op_description *op, zm_dtype row, zm_dtype statistics, double length);

/* Of the norm that is deferred to the epilogue of a matmul: what a row's product is multiplied
 * with, the largest that the mean which a LayerNorm takes away can be, and how much larger than
 * the roundings of the sums the relative error of the scale is: the variance is a difference. */
typedef struct op_deferred {
    double scale, mean, error;
} op_deferred;
op_deferred op_deferred_of(const zm_row_scale *scale, const double *statistics, size_t row,
                           uint32_t k);

#endif
