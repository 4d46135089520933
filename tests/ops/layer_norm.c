/* SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

extern const op_description op_layer_norm;

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_layer_norm(stream, &params->norm);
}

static double scale(const op_run *r, size_t operand, size_t row)
{
    return norm_scale(r, operand, row, NORM_LAYER);
}

static double flops(const op_params *params)
{
    return 8.0 * op_rows(&params->norm.x) * op_cols(&params->norm.x);
}

const op_description op_layer_norm = {
    .name = "layer_norm",
    .operand_count = NORM_OPERANDS,
    .operands = NORM_OPERAND_LIST,
    .cases = norm_cases,
    .run = run,
    .args = norm_args,
    .tolerance_f32 = 1e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = norm_bytes,
    .describe = norm_describe,
};
