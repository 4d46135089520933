/* SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

extern const op_description op_crms_norm;

/* The same, with and without the d of the formula, which may count a column of zeros. */
static bool cases(op_list *list)
{
    bool ok = norm_cases(list);
    for (size_t i = 0; i < list->count; ++i) {
        zm_norm_params *p = &list->cases[i].params.norm;
        p->true_d = i % 3 ? op_cols(&p->x) + (uint32_t)(i % 2) : 0;
    }
    return ok;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_crms_norm(stream, &params->norm);
}

static double scale(const op_run *r, size_t operand, size_t row)
{
    return norm_scale(r, operand, row, NORM_CRMS);
}

static double flops(const op_params *params)
{
    return 6.0 * op_rows(&params->norm.x) * op_cols(&params->norm.x);
}

const op_description op_crms_norm = {
    .name = "crms_norm",
    .operand_count = NORM_OPERANDS,
    .operands = NORM_OPERAND_LIST,
    .cases = cases,
    .run = run,
    .args = norm_args,
    .tolerance_f32 = 1e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = norm_bytes,
    .describe = norm_describe,
};
