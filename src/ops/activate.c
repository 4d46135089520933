/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

#define OPERAND(field) #field, offsetof(zm_activate_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(bias), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(y), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0 | 1u << 2},
};

static zm_status activate_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_activate_params *p = params;
    const zm_extent matrix = {2, p->x.shape[0], p->x.shape[1], 0};
    const zm_extent extents[] = {matrix, {1, 1, p->x.shape[1], 0}, matrix, matrix};
    zm_status status =
        zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    return status == ZM_OK ? zm_activation_check(p->activation, refusal) : status;
}

static zm_status launch_activate(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_activate_params *p = call->params;
    const struct zm_activate_args args = {
        .rows = p->x.shape[0],
        .d = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .bias_offset = zm_arg_offset(&p->bias),
        .param_type = zm_operand_dtype(call->op, ZM_OPERAND_PARAM, p),
        .y_offset = zm_arg_offset(&p->y),
        .y_stride = zm_arg_stride(&p->y),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->bias, ZM_FLAG_BIAS) | zm_arg_flag(&p->y, ZM_FLAG_FACTOR),
        .activation = (uint32_t)p->activation,
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->bias.buffer, p->y.buffer, p->dst.buffer},
        .buffer_count = 4,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status cpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_activate_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_types(call->op, p),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_activate(call, &cut, plan);
}

static zm_status gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_activate_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->x, &p->bias, &p->y, &p->dst};
    zm_options options = zm_options_types(call->op, p);
    zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    uint64_t vectors = (uint64_t)p->x.shape[0] * zm_ceil_div(p->x.shape[1], 4);
    const zm_cut cut = zm_gpu_cut_pieces(call, &options, vectors);
    return launch_activate(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, cpu_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, cpu_plan, false},
};

const zm_op zm_op_activate = {"activate",
                              activate_check,
                              candidates,
                              ZM_COUNT(candidates),
                              operands,
                              ZM_COUNT(operands),
                              sizeof(zm_activate_params)};

zm_status zm_activate(zm_stream *stream, const zm_activate_params *params)
{
    return zm_op_run(stream, &zm_op_activate, params);
}
