/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/gpu_rows.h"
#include "ops/kv_layout.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/parts.h"
#include "ops/tuning.h"

#define OPERAND(field) #field, offsetof(zm_kv_store_params, field)
static const zm_operand operands[] = {
    {OPERAND(k), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(v), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(positions), ZM_OPERAND_INDEX, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(starts), ZM_OPERAND_INDEX, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(k_cache), ZM_OPERAND_CACHE, ZM_OPERAND_OUTPUT | ZM_OPERAND_KEPT | ZM_OPERAND_PARTS, 0},
    {OPERAND(v_cache), ZM_OPERAND_CACHE, ZM_OPERAND_OUTPUT | ZM_OPERAND_KEPT | ZM_OPERAND_PARTS, 0},
    {OPERAND(position), ZM_OPERAND_SIZE, 0, 0},
    {OPERAND(rows), ZM_OPERAND_SIZE, 0, 0},
};

static zm_kv_rows rows_get(const zm_kv_store_params *p)
{
    return (zm_kv_rows){p->k.shape[0], p->sequences, p->starts.buffer != NULL, p->rows};
}

static zm_status kv_store_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_kv_store_params *p = params;
    const zm_kv_layout *layout = &p->layout;
    const zm_kv_rows all = rows_get(p);
    uint32_t sequences = zm_kv_sequences(p->sequences), rows = zm_kv_rows_most(&all);
    uint64_t cols = (uint64_t)layout->heads * layout->head_dim;
    const zm_extent matrix = {2, p->k.shape[0], cols, 0};
    const zm_extent cache = {1, 1, sequences * layout->elements, 0};
    const zm_extent positions = {1, 1, sequences, 0};
    const zm_extent starts = {1, 1, (uint64_t)sequences + 1, 0};
    const zm_extent extents[] = {matrix, matrix, positions, starts, cache, cache};
    zm_status status = zm_kv_layout_check(device, layout, &p->k_cache, &p->v_cache, refusal);
    if (status == ZM_OK)
        status = zm_kv_rows_check(&all, refusal);
    if (status == ZM_OK)
        status = zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    if (status == ZM_OK)
        status = zm_parts_check_caches(&p->k_cache, &p->v_cache, layout, refusal);
    if (status == ZM_OK && (uint64_t)p->position + rows > layout->capacity)
        status = zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                           "positions %" PRIu32 " .. %" PRIu64 " in a cache of %" PRIu32,
                           p->position, (uint64_t)p->position + rows - 1, layout->capacity);
    return status;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_kv_store_params *p = call->params;
    const zm_kv_rows rows = rows_get(p);
    const struct zm_kv_store_args args = {
        .sequences = zm_kv_sequences(p->sequences),
        .rows = zm_kv_rows_most(&rows),
        .heads = p->layout.heads,
        .head_dim = p->layout.head_dim,
        .k_offset = zm_arg_offset(&p->k),
        .k_stride = zm_arg_stride(&p->k),
        .v_offset = zm_arg_offset(&p->v),
        .v_stride = zm_arg_stride(&p->v),
        .k_cache_offset = zm_arg_offset(&p->k_cache),
        .v_cache_offset = zm_arg_offset(&p->v_cache),
        .head_stride = (uint32_t)p->layout.head_stride,
        .panel = p->layout.panel,
        .kv_type = p->layout.dtype,
        .position = p->position,
        .positions_offset = zm_arg_offset(&p->positions),
        .all_rows = p->k.shape[0],
        .starts_offset = zm_arg_offset(&p->starts),
        .flags =
            zm_arg_flag(&p->positions, ZM_FLAG_POSITION) | zm_arg_flag(&p->starts, ZM_FLAG_STARTS),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->k.buffer, p->v.buffer, p->positions.buffer, p->starts.buffer,
                    p->k_cache.buffer, p->v_cache.buffer},
        .buffer_count = 6,
        .groups = {cut->groups[0]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_options kv_store_options(const zm_kv_store_params *p)
{
    zm_options options = zm_options_get(p->k.dtype);
    zm_options_add(&options, "KV_TYPE", p->layout.dtype);
    return options;
}

static zm_status kv_store_plan(const zm_call *call, zm_plan *plan)
{
    const zm_kv_store_params *p = call->params;
    const zm_cut cut = {
        .options = kv_store_options(p),
        .groups = {zm_row_items(call->device, p->k.shape[0], p->k.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

static zm_status kv_store_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_kv_store_params *p = call->params;
    const zm_tensor *const tensors[] = {&p->k, &p->v, &p->k_cache, &p->v_cache};
    zm_options options = kv_store_options(p);
    if (p->layout.head_dim % 4 == 0)
        zm_gpu_options_aligned(&options, tensors, ZM_COUNT(tensors));
    uint64_t vectors =
        (uint64_t)p->k.shape[0] * p->layout.heads * zm_ceil_div(p->layout.head_dim, 4);
    const zm_cut cut = zm_gpu_cut_pieces(call, &options, vectors);
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, kv_store_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, kv_store_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, kv_store_plan, false},
};

const zm_op zm_op_kv_store = {"kv_store",
                              kv_store_check,
                              candidates,
                              ZM_COUNT(candidates),
                              operands,
                              ZM_COUNT(operands),
                              sizeof(zm_kv_store_params)};

zm_status zm_kv_store(zm_stream *stream, const zm_kv_store_params *params)
{
    return zm_op_run(stream, &zm_op_kv_store, params);
}
