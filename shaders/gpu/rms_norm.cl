/* SPDX-License-Identifier: Apache-2.0 */
/* rms_norm for GPUs: y = v / sqrt(mean(v^2) + eps) * weight + bias, v = x + residual.
 *
 * A work-group takes one row; row.clh draws how its items share it. */
#include "args.h"
#include "norm.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
rms_norm(__global const act_t *x, __global const act_t *residual, __global const param_t *weight,
         __global const param_t *bias, __global act_t *dst, __global act_t *sum,
         struct zm_norm_args a)
{
    __local float scratch[ITEMS];
    struct row r;
    struct norm_outputs out;
    norm_begin(&r, &out, x, residual, weight, bias, dst, sum, &a);
    float scale = 1.0f / sqrt(row_squares(&r, scratch) / a.d + a.eps);
    norm_write(&r, &out, (float2)(0.0f), scale);
}
