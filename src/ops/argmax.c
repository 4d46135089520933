/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

static zm_status argmax_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_argmax_params *p = params;
    uint32_t rows = p->x.shape[0], n = p->x.shape[1];
    const zm_operand operands[] = {
        {"x", &p->x, 2, rows, n, ZM_OPERAND_ACTIVATION, 0, 0, 0},
        {"dst", &p->dst, 1, 1, rows, ZM_OPERAND_INDEX, ZM_OPERAND_OUTPUT, 0, 0},
    };
    if (n > INT32_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x: an index would not fit i32");
    return zm_operands_check(device, operands, ZM_COUNT(operands), refusal);
}

static zm_status argmax_plan(const zm_call *call, zm_plan *plan)
{
    const zm_argmax_params *p = call->params;
    const struct zm_argmax_args args = {
        .rows = p->x.shape[0],
        .n = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .dst_offset = zm_arg_offset(&p->dst),
    };
    const zm_options options = zm_options_get(p->x.dtype);
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->x.buffer, p->dst.buffer},
        .buffer_count = 2,
        .groups = {zm_row_items(call->device, args.rows, args.n)},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, argmax_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, argmax_plan, false},
};

const zm_op zm_op_argmax = {"argmax", argmax_check, candidates, ZM_COUNT(candidates)};

zm_status zm_argmax(zm_stream *stream, const zm_argmax_params *params)
{
    return zm_op_run(stream, &zm_op_argmax, params);
}
