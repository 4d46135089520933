/* SPDX-License-Identifier: Apache-2.0 */
/* layer_norm for CPU devices: y = (v - mean) / sqrt(var + eps) * weight + bias, v = x + residual.
 *
 *   x, residual, dst, sum: [row][d], each with its own stride; weight, bias: [d]
 *
 * A work-item owns some whole rows and takes them one after the other, three passes each: the sum,
 * the differences from the mean, then y (and v, where a sum is wanted). Only the first pass waits
 * for memory. The differences also say how far off the mean was, rounded as it is: so nothing
 * cancels when |mean| is a thousand times the deviation. row.clh draws the passes. */
#include "args.h"
#include "kernel.clh"
#include "norm.clh"

KERNEL(layer_norm, __global const act_t *x, __global const act_t *residual,
       __global const param_t *weight, __global const param_t *bias, __global act_t *dst,
       __global act_t *sum, struct zm_norm_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct row r = norm_row(x, residual, weight, bias, dst, sum, &a, row);
        float near = row_sum(&r, a.d) / a.d;
        float2 mean = row_differences(&r, a.d, near) / a.d;
        float variance = mean.y - mean.x * mean.x;
        variance = variance < 0.0f ? 0.0f : variance; /* NaN stays NaN */
        row_write(&r, a.d, near, mean.x, 1.0f / sqrt(variance + a.eps));
    }
}
