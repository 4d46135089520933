/* SPDX-License-Identifier: Apache-2.0 */
/* crms_norm for CPU devices: y = v / sqrt((sum(v^2) + sum(v)^2) / true_d + eps) * weight + bias,
 * v = x + residual.
 *
 *   a row of true_d values whose mean is 0:  | v | v | v | ... | v | -sum(v) |
 *                                            |<------- d -------->|  left out: the others imply it
 *
 * The element that is left out counts in the norm, as the square of the others' sum. A work-item
 * owns some whole rows and takes them one after the other, two passes each: squares and sum, then
 * y. row.clh draws the passes. */
#include "args.h"
#include "kernel.clh"
#include "norm.clh"

KERNEL(crms_norm, __global const act_t *x, __global const act_t *residual,
       __global const param_t *weight, __global const param_t *bias, __global act_t *dst,
       __global act_t *sum, struct zm_norm_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct row r = norm_row(x, residual, weight, bias, dst, sum, &a, row);
        float2 v = row_differences(&r, a.d, 0.0f);
        float scale = 1.0f / sqrt((v.y + v.x * v.x) / a.true_d + a.eps);
        row_write(&r, a.d, 0.0f, 0.0f, scale);
    }
}
