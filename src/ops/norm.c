/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

static uint32_t crms_d(const zm_norm_params *p)
{
    return p->true_d ? p->true_d : p->x.shape[1] + 1;
}

#define OPERAND(field) #field, offsetof(zm_norm_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(residual), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(weight), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(bias), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0 | 1u << 1},
    {OPERAND(sum), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT | ZM_OPERAND_OPTIONAL,
     1u << 0 | 1u << 1},
};

static zm_status norm_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_norm_params *p = params;
    uint32_t rows = p->x.shape[0], d = p->x.shape[1];
    const zm_extent matrix = {2, rows, d, 0}, vector = {1, 1, d, 0};
    const zm_extent extents[] = {matrix, matrix, vector, vector, matrix, matrix};
    if (p->sum.buffer && !p->residual.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "sum is there without a residual");
    zm_status status = zm_eps_check(p->eps, refusal);
    if (status == ZM_OK)
        status = zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    return status;
}

static zm_status crms_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_norm_params *p = params;
    zm_status status = norm_check(device, params, refusal);
    return status == ZM_OK ? zm_width_check("true_d", crms_d(p), p->x.shape[1], true, refusal)
                           : status;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_norm_params *p = call->params;
    const struct zm_norm_args args = {
        .rows = p->x.shape[0],
        .d = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .residual_offset = zm_arg_offset(&p->residual),
        .residual_stride = zm_arg_stride(&p->residual),
        .weight_offset = zm_arg_offset(&p->weight),
        .bias_offset = zm_arg_offset(&p->bias),
        .param_type = zm_operand_dtype(call->op, ZM_OPERAND_PARAM, p),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .sum_offset = zm_arg_offset(&p->sum),
        .sum_stride = zm_arg_stride(&p->sum),
        .flags = zm_arg_flag(&p->residual, ZM_FLAG_RESIDUAL) |
                 zm_arg_flag(&p->weight, ZM_FLAG_WEIGHT) | zm_arg_flag(&p->bias, ZM_FLAG_BIAS) |
                 zm_arg_flag(&p->sum, ZM_FLAG_SUM),
        .eps = p->eps,
        .true_d = crms_d(p),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->residual.buffer, p->weight.buffer, p->bias.buffer,
                    p->dst.buffer, p->sum.buffer},
        .buffer_count = 6,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status norm_plan(const zm_call *call, zm_plan *plan)
{
    const zm_norm_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_types(call->op, p),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_status norm_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_norm_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->x,    &p->residual, &p->weight,
                                        &p->bias, &p->dst,      &p->sum};
    zm_options options = zm_options_types(call->op, p);
    zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    const zm_cut cut = zm_gpu_cut_rows(call, &options, p->x.shape[0], p->x.shape[1]);
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, norm_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, norm_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, norm_plan, false},
};

const zm_op zm_op_layer_norm = {"layer_norm",          norm_check, candidates,
                                ZM_COUNT(candidates),  operands,   ZM_COUNT(operands),
                                sizeof(zm_norm_params)};
const zm_op zm_op_rms_norm = {"rms_norm",
                              norm_check,
                              candidates,
                              ZM_COUNT(candidates),
                              operands,
                              ZM_COUNT(operands),
                              sizeof(zm_norm_params)};
const zm_op zm_op_crms_norm = {"crms_norm",           crms_check, candidates,
                               ZM_COUNT(candidates),  operands,   ZM_COUNT(operands),
                               sizeof(zm_norm_params)};

zm_status zm_layer_norm(zm_stream *stream, const zm_norm_params *params)
{
    return zm_op_run(stream, &zm_op_layer_norm, params);
}

zm_status zm_rms_norm(zm_stream *stream, const zm_norm_params *params)
{
    return zm_op_run(stream, &zm_op_rms_norm, params);
}

zm_status zm_crms_norm(zm_stream *stream, const zm_norm_params *params)
{
    return zm_op_run(stream, &zm_op_crms_norm, params);
}
