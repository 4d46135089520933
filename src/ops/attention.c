/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>

#include "ops/attention_gpu.h"
#include "ops/kv_layout.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/parts.h"
#include "ops/tuning.h"
#include "ops/tunings.h"

uint32_t zm_attention_heads(const zm_attention_params *p)
{
    return p->heads ? p->heads : p->layout.heads;
}

static zm_kv_rows rows_get(const zm_attention_params *p)
{
    return (zm_kv_rows){p->q.shape[0], p->sequences, p->starts.buffer != NULL, p->rows};
}

uint32_t zm_attention_rows(const zm_attention_params *p)
{
    const zm_kv_rows rows = rows_get(p);
    return zm_kv_rows_most(&rows);
}

static zm_status range_check(const zm_attention_params *p, uint32_t rows, zm_refusal *refusal)
{
    if (zm_attention_heads(p) % p->layout.heads != 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "%" PRIu32 " query heads are no multiple of %" PRIu32, p->heads,
                         p->layout.heads);
    if (p->kv_length == 0 || p->kv_length > p->layout.capacity)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "kv_length %" PRIu32 " is not in 1 .. %" PRIu32, p->kv_length,
                         p->layout.capacity);
    if (p->causal && p->kv_length < rows)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "causal: the first of %" PRIu32 " rows sees none of %" PRIu32 " keys",
                         rows, p->kv_length);
    if (p->window && !p->causal)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "a window without causal");
    if (!isfinite(p->soft_cap) || p->soft_cap < 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "soft_cap %g is not 0 or more",
                         (double)p->soft_cap);
    return zm_finite_check("scale", p->scale, refusal);
}

#define OPERAND(field) #field, offsetof(zm_attention_params, field)
static const zm_operand operands[] = {
    {OPERAND(q), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(k_cache), ZM_OPERAND_CACHE, ZM_OPERAND_PARTS, 0},
    {OPERAND(v_cache), ZM_OPERAND_CACHE, ZM_OPERAND_PARTS, 0},
    {OPERAND(slopes), ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(lengths), ZM_OPERAND_INDEX, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(starts), ZM_OPERAND_INDEX, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0},
    {OPERAND(kv_length), ZM_OPERAND_SIZE, 0, 0},
    {OPERAND(rows), ZM_OPERAND_SIZE, 0, 0},
};

static zm_status attention_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_attention_params *p = params;
    const zm_kv_layout *layout = &p->layout;
    uint32_t sequences = zm_kv_sequences(p->sequences);
    uint64_t cols = (uint64_t)zm_attention_heads(p) * layout->head_dim;
    const zm_extent matrix = {2, p->q.shape[0], cols, 0};
    const zm_extent cache = {1, 1, sequences * layout->elements, 0};
    const zm_extent slopes = {1, 1, zm_attention_heads(p), 0}, lengths = {1, 1, sequences, 0};
    const zm_extent starts = {1, 1, (uint64_t)sequences + 1, 0};
    const zm_extent extents[] = {matrix, cache, cache, slopes, lengths, starts, matrix};
    const zm_kv_rows rows = rows_get(p);
    zm_status status = zm_kv_layout_check(device, layout, &p->k_cache, &p->v_cache, refusal);
    if (status == ZM_OK)
        status = zm_kv_rows_check(&rows, refusal);
    if (status == ZM_OK)
        status = range_check(p, zm_kv_rows_most(&rows), refusal);
    if (status == ZM_OK)
        status = zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    if (status == ZM_OK)
        status = zm_parts_check_caches(&p->k_cache, &p->v_cache, layout, refusal);
    return status;
}

/* All kernels keep a row of a head in private memory. */
static zm_status head_accepts(zm_kernel_family family, const zm_attention_params *p,
                              zm_refusal *refusal)
{
    uint32_t most = zm_tuning_of(family)->attention_max_head;
    if (p->layout.head_dim <= most)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "head_dim %" PRIu32 " is over %" PRIu32,
                     p->layout.head_dim, most);
}

static zm_status ref_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)device;
    return head_accepts(ZM_FAMILY_REF, params, refusal);
}

static zm_status any_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)device;
    return head_accepts(ZM_FAMILY_CPU, params, refusal);
}

/* The vector kernels: a head is whole vectors of 16, keys lie in the family's panels. */
static zm_status vector_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_attention_params *p = params;
    (void)device;
    if (p->layout.head_dim % 16 != 0)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "head_dim %" PRIu32 " is no multiple of 16",
                         p->layout.head_dim);
    zm_status status = head_accepts(ZM_FAMILY_CPU, p, refusal);
    return status == ZM_OK ? zm_kv_layout_accepts(ZM_FAMILY_CPU, &p->layout, refusal) : status;
}

static zm_status row_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    uint32_t rows = zm_attention_rows(params);
    uint32_t most = zm_tunings_get(device)->cpu.attention_few_rows;
    if (rows > most)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "%" PRIu32 " rows are more than %" PRIu32,
                         rows, most);
    return vector_accepts(device, params, refusal);
}

struct zm_attention_args zm_attention_args_get(const zm_attention_params *p)
{
    return (struct zm_attention_args){
        .sequences = zm_kv_sequences(p->sequences),
        .rows = zm_attention_rows(p),
        .heads = zm_attention_heads(p),
        .kv_heads = p->layout.heads,
        .head_dim = p->layout.head_dim,
        .q_offset = zm_arg_offset(&p->q),
        .q_stride = zm_arg_stride(&p->q),
        .k_cache_offset = zm_arg_offset(&p->k_cache),
        .v_cache_offset = zm_arg_offset(&p->v_cache),
        .head_stride = (uint32_t)p->layout.head_stride,
        .panel = p->layout.panel,
        .kv_type = p->layout.dtype,
        .kv_length = p->kv_length,
        .window = p->window,
        .slopes_offset = zm_arg_offset(&p->slopes),
        .lengths_offset = zm_arg_offset(&p->lengths),
        .starts_offset = zm_arg_offset(&p->starts),
        .all_rows = p->q.shape[0],
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = (p->causal ? ZM_FLAG_CAUSAL : 0) | zm_arg_flag(&p->slopes, ZM_FLAG_SLOPES) |
                 zm_arg_flag(&p->lengths, ZM_FLAG_LENGTHS) |
                 zm_arg_flag(&p->starts, ZM_FLAG_STARTS),
        .scale = p->scale != 0 ? p->scale : (float)(1 / sqrt(p->layout.head_dim)),
        .soft_cap = p->soft_cap,
    };
}

static zm_status launch_add(const zm_call *call, const zm_tiling *tiling, zm_plan *plan)
{
    const zm_attention_params *p = call->params;
    struct zm_attention_args args = zm_attention_args_get(p);
    args.row_block = tiling->row_block;
    zm_options options = zm_options_get(p->q.dtype);
    zm_options_add(&options, "KV_TYPE", p->layout.dtype);
    zm_options_add(&options, "HEAD_DIM", args.head_dim);
    zm_options_add_tile(&options, tiling);
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->q.buffer, p->k_cache.buffer, p->v_cache.buffer, p->slopes.buffer,
                    p->lengths.buffer, p->starts.buffer, p->dst.buffer},
        .buffer_count = 7,
        .groups = {args.heads, tiling->blocks, args.sequences},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status block_plan(const zm_call *call, zm_plan *plan)
{
    const zm_attention_params *p = call->params;
    uint64_t columns = (uint64_t)zm_attention_heads(p) * zm_kv_sequences(p->sequences);
    zm_tiling tiling = zm_attention_tiling_get(call->device, zm_attention_rows(p),
                                               columns < UINT32_MAX ? columns : UINT32_MAX);
    return launch_add(call, &tiling, plan);
}

/* Each row of a head is a work-item. */
static zm_status row_plan(const zm_call *call, zm_plan *plan)
{
    const zm_tiling each = {.rows = 1, .row_block = 1, .blocks = zm_attention_rows(call->params)};
    return launch_add(call, &each, plan);
}

static const zm_candidate candidates[] = {
    {"cpu_row", ZM_FAMILY_CPU, "attention_row", row_accepts, row_plan, false},
    {"cpu", ZM_FAMILY_CPU, NULL, vector_accepts, block_plan, false},
    {"cpu_any", ZM_FAMILY_CPU, "attention_any", any_accepts, row_plan, false},
    {"gpu_row", ZM_FAMILY_GPU, "attention_row", zm_attention_gpu_row_accepts,
     zm_attention_gpu_row_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, zm_attention_gpu_accepts, zm_attention_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, ref_accepts, row_plan, false},
};

const zm_op zm_op_attention = {"attention",
                               attention_check,
                               candidates,
                               ZM_COUNT(candidates),
                               operands,
                               ZM_COUNT(operands),
                               sizeof(zm_attention_params)};

zm_status zm_attention(zm_stream *stream, const zm_attention_params *params)
{
    return zm_op_run(stream, &zm_op_attention, params);
}
