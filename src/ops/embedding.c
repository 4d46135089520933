/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/parts.h"
#include "ops/tuning.h"
#include "ops/weight_blocks.h"

#define OPERAND(field) #field, offsetof(zm_embedding_params, field)
static const zm_operand operands[] = {
    {OPERAND(tokens), ZM_OPERAND_INDEX, 0, 0},
    {OPERAND(table), ZM_OPERAND_WEIGHT, ZM_OPERAND_BLOCKS | ZM_OPERAND_PARTS, 0},
    {OPERAND(position), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 0},
};

static zm_status embedding_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_embedding_params *p = params;
    uint32_t rows = p->tokens.shape[0], vocabulary = p->table.shape[0], d = p->table.shape[1];
    const zm_extent extents[] = {
        {1, 1, rows, 0},
        {2, vocabulary, d, 0},
        {2, rows, d, 0},
        {2, rows, d, 0},
    };
    zm_status status = zm_finite_check("scale", p->scale, refusal);
    if (status == ZM_OK)
        status = zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    return status == ZM_OK ? zm_parts_check(&p->table, 1, refusal) : status;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_embedding_params *p = call->params;
    const struct zm_embedding_args args = {
        .rows = p->tokens.shape[0],
        .d = p->table.shape[1],
        .vocabulary = p->table.shape[0],
        .first = call->part ? call->part->first : 0,
        .tokens_offset = zm_arg_offset(&p->tokens),
        .table_offset = zm_arg_offset(&p->table),
        .table_stride = zm_arg_stride(&p->table),
        .table_type = p->table.dtype,
        .table_panel = p->table.panel,
        .position_offset = zm_arg_offset(&p->position),
        .position_stride = zm_arg_stride(&p->position),
        .param_type = zm_operand_dtype(call->op, ZM_OPERAND_PARAM, p),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->position, ZM_FLAG_POSITION) | (p->recentre ? ZM_FLAG_RECENTRE : 0),
        .scale = p->scale != 0 ? p->scale : 1,
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->tokens.buffer, p->table.buffer, p->position.buffer, p->dst.buffer},
        .buffer_count = 4,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status embedding_plan(const zm_call *call, zm_plan *plan)
{
    const zm_embedding_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_types(call->op, p),
        .groups = {zm_row_items(call->device, p->tokens.shape[0], p->table.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_status embedding_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_embedding_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->table, &p->position, &p->dst};
    zm_options options = zm_options_types(call->op, p);
    zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    const zm_cut cut = zm_gpu_cut_rows(call, &options, p->tokens.shape[0], p->table.shape[1]);
    return launch_add(call, &cut, plan);
}

static zm_status cpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)device;
    return zm_blocks_accept(ZM_FAMILY_CPU, &((const zm_embedding_params *)params)->table, refusal);
}

static zm_status gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)device;
    return zm_blocks_accept(ZM_FAMILY_GPU, &((const zm_embedding_params *)params)->table, refusal);
}

static zm_status ref_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)device;
    return zm_blocks_accept(ZM_FAMILY_REF, &((const zm_embedding_params *)params)->table, refusal);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, cpu_accepts, embedding_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, gpu_accepts, embedding_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, ref_accepts, embedding_plan, false},
};

const zm_op zm_op_embedding = {"embedding",
                               embedding_check,
                               candidates,
                               ZM_COUNT(candidates),
                               operands,
                               ZM_COUNT(operands),
                               sizeof(zm_embedding_params)};

zm_status zm_embedding(zm_stream *stream, const zm_embedding_params *params)
{
    return zm_op_run(stream, &zm_op_embedding, params);
}
