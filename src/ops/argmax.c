/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/argmax.h"

#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

/* What argmax leaves for argmax_merge: struct best of shaders/gpu/best.clh. */
#define NOTE_BYTES 8

#define OPERAND(field) #field, offsetof(zm_argmax_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(dst), ZM_OPERAND_INDEX, ZM_OPERAND_OUTPUT, 0},
};

static zm_status argmax_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_argmax_params *p = params;
    uint32_t rows = p->x.shape[0], n = p->x.shape[1];
    const zm_extent extents[] = {{2, rows, n, 0}, {1, 1, rows, 0}};
    if (n > INT32_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x: an index would not fit i32");
    return zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
}

/* chunks: work-groups of a row; above 1 they leave notes. */
static zm_status launch_add(const zm_call *call, const zm_cut *cut, uint32_t chunks, zm_plan *plan)
{
    const zm_argmax_params *p = call->params;
    const struct zm_argmax_args args = {
        .rows = p->x.shape[0],
        .n = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .dst_offset = zm_arg_offset(&p->dst),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->dst.buffer},
        .buffer_count = call->candidate->family == ZM_FAMILY_GPU ? 3 : 2,
        .groups = {cut->groups[0], chunks},
        .local = {cut->local[0]},
        .scratch = chunks > 1 ? 1 + 2 : 0,
        .scratch_bytes = chunks > 1 ? (uint64_t)args.rows * chunks * NOTE_BYTES : 0,
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status argmax_plan(const zm_call *call, zm_plan *plan)
{
    const zm_argmax_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_get(p->x.dtype),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, 1, plan);
}

static zm_status merge_add(const zm_call *call, const zm_cut *cut, uint32_t chunks, zm_plan *plan)
{
    const zm_argmax_params *p = call->params;
    const struct zm_argmax_merge_args args = {
        .rows = p->x.shape[0], .chunks = chunks, .dst_offset = zm_arg_offset(&p->dst)};
    const zm_launch launch = {
        .kernel = "argmax_merge",
        .options = cut->options.text,
        .buffers = {NULL, p->dst.buffer},
        .buffer_count = 2,
        .groups = {args.rows},
        .local = {cut->local[0]},
        .scratch = 1 + 0,
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

/* Work-groups that chunks are for. */
static uint64_t groups_most(const zm_device *device)
{
    return (uint64_t)device->info.limits.compute_units *
           zm_gpu_row_tuning_get(device)->groups_per_unit;
}

uint64_t zm_argmax_gpu_scratch(const zm_device *device)
{
    return groups_most(device) * NOTE_BYTES;
}

/* Chunks of a row: as many work-groups as fill the device, none too small. There is one greatest,
 * however it is looked for. */
static uint32_t chunks_of(const zm_device *device, uint32_t rows, uint32_t n)
{
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(device);
    uint64_t wanted = groups_most(device) / rows;
    uint32_t most = n / tuning->argmax_chunk;
    uint32_t chunks = wanted < most ? (uint32_t)wanted : most;
    return chunks ? chunks : 1;
}

static zm_status argmax_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_argmax_params *p = call->params;
    uint32_t rows = p->x.shape[0], n = p->x.shape[1], chunks = chunks_of(call->device, rows, n);
    uint32_t items = zm_gpu_call_items(call, zm_gpu_row_tuning_get(call->device)->large_items);
    zm_cut cut = {.options = zm_options_get(p->x.dtype), .groups = {rows}, .local = {items}};
    zm_options_add(&cut.options, "ITEMS", items);
    zm_status status = launch_add(call, &cut, chunks, plan);
    return status == ZM_OK && chunks > 1 ? merge_add(call, &cut, chunks, plan) : status;
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, argmax_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, argmax_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, argmax_plan, false},
};

const zm_op zm_op_argmax = {"argmax",
                            argmax_check,
                            candidates,
                            ZM_COUNT(candidates),
                            operands,
                            ZM_COUNT(operands),
                            sizeof(zm_argmax_params)};

zm_status zm_argmax(zm_stream *stream, const zm_argmax_params *params)
{
    return zm_op_run(stream, &zm_op_argmax, params);
}
