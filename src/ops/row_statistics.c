/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

uint32_t zm_statistics_group(const zm_device *device)
{
    const zm_op *const writers[] = {&zm_op_matmul, &zm_op_row_statistics};
    if (!device)
        return 0;
    return zm_tuning_of(zm_layout_family(device, writers, ZM_COUNT(writers)))->statistics_group;
}

#define OPERAND(field) #field, offsetof(zm_row_statistics_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(statistics), ZM_OPERAND_REAL, ZM_OPERAND_OUTPUT | ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(weight), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(weighted), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT | ZM_OPERAND_OPTIONAL, 0},
};

static zm_status statistics_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_row_statistics_params *p = params;
    uint32_t rows = p->x.shape[0], d = p->x.shape[1];
    uint64_t cols = 2 * (uint64_t)zm_ceil_div(d, zm_statistics_group(device));
    const zm_extent extents[] = {
        {2, rows, d, 0}, {2, rows, cols, 0}, {1, 1, d, 0}, {2, rows, d, 0}};
    if (!p->weight.buffer != !p->weighted.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "weight and weighted go together");
    if (!p->statistics.buffer && !p->weighted.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "neither statistics nor weighted is asked for");
    return zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_row_statistics_params *p = call->params;
    const struct zm_row_statistics_args args = {
        .rows = p->x.shape[0],
        .d = p->x.shape[1],
        .group = zm_statistics_group(call->device),
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .statistics_offset = zm_arg_offset(&p->statistics),
        .statistics_stride = zm_arg_stride(&p->statistics),
        .weight_offset = zm_arg_offset(&p->weight),
        .param_type = p->weight.dtype,
        .weighted_offset = zm_arg_offset(&p->weighted),
        .weighted_stride = zm_arg_stride(&p->weighted),
        .flags = zm_arg_flag(&p->statistics, ZM_FLAG_STATISTICS) |
                 zm_arg_flag(&p->weighted, ZM_FLAG_WEIGHT),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->statistics.buffer, p->weight.buffer, p->weighted.buffer},
        .buffer_count = 4,
        .groups = {cut->groups[0], cut->groups[1]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status statistics_plan(const zm_call *call, zm_plan *plan)
{
    const zm_row_statistics_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_types(call->op, p),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

/* Items that share a group of columns: row_statistics.cl. */
#define TEAM 16

static zm_status statistics_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_row_statistics_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->x, &p->weight, &p->weighted};
    uint32_t items = zm_gpu_call_items(call, zm_gpu_row_tuning_get(call->device)->small_items);
    uint32_t groups = zm_ceil_div(p->x.shape[1], zm_statistics_group(call->device));
    zm_cut cut = {.options = zm_options_types(call->op, p),
                  .groups = {p->x.shape[0], zm_ceil_div(groups, items / TEAM)},
                  .local = {items}};
    zm_options_add(&cut.options, "ITEMS", items);
    zm_gpu_options_aligned(&cut.options, tensors, ZM_COUNT(tensors));
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, statistics_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, zm_gpu_accepts, statistics_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, statistics_plan, false},
};

const zm_op zm_op_row_statistics = {"row_statistics",
                                    statistics_check,
                                    candidates,
                                    ZM_COUNT(candidates),
                                    operands,
                                    ZM_COUNT(operands),
                                    sizeof(zm_row_statistics_params)};

zm_status zm_row_statistics(zm_stream *stream, const zm_row_statistics_params *params)
{
    return zm_op_run(stream, &zm_op_row_statistics, params);
}
