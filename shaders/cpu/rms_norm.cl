/* SPDX-License-Identifier: Apache-2.0 */
/* rms_norm for CPU devices: y = v / sqrt(mean(v^2) + eps) * weight + bias, v = x + residual.
 *
 *   x, residual, dst, sum: [row][d], each with its own stride; weight, bias: [d]
 *
 * A work-item owns some whole rows and takes them one after the other, two passes each: squares,
 * then y (and v, where a sum is wanted). row.clh draws the passes. */
#include "args.h"
#include "kernel.clh"
#include "norm.clh"

KERNEL(rms_norm, __global const act_t *x, __global const act_t *residual,
       __global const param_t *weight, __global const param_t *bias, __global act_t *dst,
       __global act_t *sum, struct zm_norm_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct row r = norm_row(x, residual, weight, bias, dst, sum, &a, row);
        float scale = 1.0f / sqrt(row_squares(&r, a.d) / a.d + a.eps);
        row_write(&r, a.d, 0.0f, 0.0f, scale);
    }
}
