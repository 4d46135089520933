/* SPDX-License-Identifier: Apache-2.0 */
/* layer_norm for GPUs: y = (v - mean) / sqrt(var + eps) * weight + bias, v = x + residual.
 *
 * A work-group takes one row; row.clh draws how its items share it. Two passes over what they keep:
 * the sum, then the differences from the mean, which also say how far off the rounded mean was. So
 * nothing cancels when |mean| is a thousand times the deviation. */
#include "args.h"
#include "norm.clh"

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
layer_norm(__global const act_t *x, __global const act_t *residual, __global const param_t *weight,
           __global const param_t *bias, __global act_t *dst, __global act_t *sum,
           struct zm_norm_args a)
{
    __local float scratch[ITEMS];
    __local float2 scratch2[ITEMS];
    struct row r;
    struct norm_outputs out;
    norm_begin(&r, &out, x, residual, weight, bias, dst, sum, &a);
    float near = row_sum(&r, scratch) / a.d;
    float2 mean = row_differences(&r, near, scratch2) / a.d;
    float variance = mean.y - mean.x * mean.x;
    variance = variance < 0.0f ? 0.0f : variance; /* NaN stays NaN */
    norm_write(&r, &out, (float2)(near, mean.x), 1.0f / sqrt(variance + a.eps));
}
