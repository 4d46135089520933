/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

#define OPERAND(field) #field, offsetof(zm_softmax_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0},
};

static zm_status softmax_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_softmax_params *p = params;
    uint32_t rows = p->x.shape[0], n = p->x.shape[1];
    const zm_extent extents[] = {{2, rows, n, 0}, {2, rows, n, 0}};
    zm_status status = zm_finite_check("scale", p->scale, refusal);
    return status == ZM_OK
               ? zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal)
               : status;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_softmax_params *p = call->params;
    const struct zm_softmax_args args = {
        .rows = p->x.shape[0],
        .n = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .scale = p->scale != 0 ? p->scale : 1,
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->dst.buffer},
        .buffer_count = 2,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status softmax_plan(const zm_call *call, zm_plan *plan)
{
    const zm_softmax_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_get(p->x.dtype),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_status softmax_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_softmax_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->x, &p->dst};
    zm_options options = zm_options_get(p->x.dtype);
    zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    const zm_cut cut = zm_gpu_cut_rows(call, &options, p->x.shape[0], p->x.shape[1]);
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, softmax_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, softmax_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, softmax_plan, false},
};

const zm_op zm_op_softmax = {"softmax",
                             softmax_check,
                             candidates,
                             ZM_COUNT(candidates),
                             operands,
                             ZM_COUNT(operands),
                             sizeof(zm_softmax_params)};

zm_status zm_softmax(zm_stream *stream, const zm_softmax_params *params)
{
    return zm_op_run(stream, &zm_op_softmax, params);
}
