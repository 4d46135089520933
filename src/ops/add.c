/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

#define OPERAND(field) #field, offsetof(zm_add_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(y), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0 | 1u << 1},
};

static zm_status recentre_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_add_params *p = params;
    const zm_extent matrix = {2, p->x.shape[0], p->x.shape[1], 0};
    const zm_extent extents[] = {matrix, matrix, matrix};
    return zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
}

static zm_status add_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_add_params *p = params;
    if (!p->y.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "y: it is missing");
    return recentre_check(device, params, refusal);
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_add_params *p = call->params;
    const struct zm_add_args args = {
        .rows = p->x.shape[0],
        .d = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .y_offset = zm_arg_offset(&p->y),
        .y_stride = zm_arg_stride(&p->y),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->y, ZM_FLAG_RESIDUAL),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->y.buffer, p->dst.buffer},
        .buffer_count = 3,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status add_plan(const zm_call *call, zm_plan *plan)
{
    const zm_add_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_get(p->x.dtype),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_options gpu_options(const zm_add_params *p)
{
    const zm_tensor *const tensors[] = {&p->x, &p->y, &p->dst};
    zm_options options = zm_options_get(p->x.dtype);
    zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    return options;
}

static zm_status add_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_add_params *p = call->params;
    const zm_options options = gpu_options(p);
    uint64_t vectors = (uint64_t)p->x.shape[0] * zm_ceil_div(p->x.shape[1], 4);
    const zm_cut cut = zm_gpu_cut_pieces(call, &options, vectors);
    return launch_add(call, &cut, plan);
}

static zm_status recentre_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_add_params *p = call->params;
    const zm_options options = gpu_options(p);
    const zm_cut cut = zm_gpu_cut_rows(call, &options, p->x.shape[0], p->x.shape[1]);
    return launch_add(call, &cut, plan);
}

static const zm_candidate add_candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, add_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, add_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, add_plan, false},
};

static const zm_candidate recentre_candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, add_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, recentre_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, add_plan, false},
};

const zm_op zm_op_add = {
    "add",    add_check,          add_candidates,       ZM_COUNT(add_candidates),
    operands, ZM_COUNT(operands), sizeof(zm_add_params)};
const zm_op zm_op_recentre = {
    "recentre", recentre_check,     recentre_candidates,  ZM_COUNT(recentre_candidates),
    operands,   ZM_COUNT(operands), sizeof(zm_add_params)};

zm_status zm_add(zm_stream *stream, const zm_add_params *params)
{
    return zm_op_run(stream, &zm_op_add, params);
}

zm_status zm_recentre(zm_stream *stream, const zm_add_params *params)
{
    return zm_op_run(stream, &zm_op_recentre, params);
}
