/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

#define MOST 256

#define OPERAND(field) #field, offsetof(zm_top_k_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(values), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 0},
    {OPERAND(indices), ZM_OPERAND_INDEX, ZM_OPERAND_OUTPUT, 0},
};

static zm_status top_k_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_top_k_params *p = params;
    uint32_t rows = p->x.shape[0], n = p->x.shape[1], k = p->values.shape[1];
    const zm_extent chosen = {2, rows, k, 0}, extents[] = {{2, rows, n, 0}, chosen, chosen};
    if (k > n || k > MOST)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "%" PRIu32 " largest of %" PRIu32 "; at most %d can be asked for", k, n,
                         MOST);
    if (n > INT32_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x: an index would not fit i32");
    return zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_top_k_params *p = call->params;
    const struct zm_top_k_args args = {
        .rows = p->x.shape[0],
        .n = p->x.shape[1],
        .k = p->values.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .values_offset = zm_arg_offset(&p->values),
        .values_stride = zm_arg_stride(&p->values),
        .indices_offset = zm_arg_offset(&p->indices),
        .indices_stride = zm_arg_stride(&p->indices),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->values.buffer, p->indices.buffer},
        .buffer_count = 3,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status top_k_plan(const zm_call *call, zm_plan *plan)
{
    const zm_top_k_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_get(p->x.dtype),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_status top_k_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_top_k_params *p = call->params;
    uint32_t items = zm_gpu_call_items(call, zm_gpu_row_tuning_get(call->device)->large_items);
    zm_cut cut = {
        .options = zm_options_get(p->x.dtype), .groups = {p->x.shape[0]}, .local = {items}};
    zm_options_add(&cut.options, "ITEMS", items);
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, top_k_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, zm_gpu_accepts, top_k_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, top_k_plan, false},
};

const zm_op zm_op_top_k = {"top_k",
                           top_k_check,
                           candidates,
                           ZM_COUNT(candidates),
                           operands,
                           ZM_COUNT(operands),
                           sizeof(zm_top_k_params)};

zm_status zm_top_k(zm_stream *stream, const zm_top_k_params *params)
{
    return zm_op_run(stream, &zm_op_top_k, params);
}
