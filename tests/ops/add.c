/* SPDX-License-Identifier: Apache-2.0 */
#include "elementwise.h"

extern const op_description op_add;

static bool cases(op_list *list)
{
    return elementwise_cases(list, false);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_add(stream, &params->add);
}

static double flops(const op_params *params)
{
    return (double)op_rows(&params->add.x) * op_cols(&params->add.x);
}

const op_description op_add = {
    .name = "add",
    .operand_count = ADD_OPERANDS,
    .operands = ADD_OPERAND_LIST,
    .cases = cases,
    .run = run,
    .args = elementwise_args,
    .tolerance_f32 = 6e-8,
    .tolerance_f64 = 0,
    .flops = flops,
    .bytes = elementwise_bytes,
};
