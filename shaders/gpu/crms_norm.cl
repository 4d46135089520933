/* SPDX-License-Identifier: Apache-2.0 */
/* crms_norm for GPUs: y = v / sqrt((sum(v^2) + sum(v)^2) / true_d + eps) * weight + bias with
 * v = x + residual, the first true_d - 1 elements of a row whose mean is 0.
 *
 * A work-group takes one row; row.clh draws how its items share it. */
#include "args.h"
#include "norm.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
crms_norm(__global const act_t *x, __global const act_t *residual, __global const param_t *weight,
          __global const param_t *bias, __global act_t *dst, __global act_t *sum,
          struct zm_norm_args a)
{
    __local float2 scratch[ITEMS];
    struct row r;
    struct norm_outputs out;
    norm_begin(&r, &out, x, residual, weight, bias, dst, sum, &a);
    float2 moments = row_moments(&r, scratch);
    float squares = moments.y + moments.x * moments.x;
    norm_write(&r, &out, (float2)(0.0f), 1.0f / sqrt(squares / a.true_d + a.eps));
}
