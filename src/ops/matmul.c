/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/matmul.h"

#include <inttypes.h>

#include "device/sgemm.h"
#include "ops/matmul_gpu.h"
#include "ops/matmul_library.h"
#include "ops/parts.h"
#include "ops/tuning.h"
#include "ops/weight_blocks.h"

/* ---- shapes ---- */

static bool is_batch(const zm_matmul_params *p)
{
    return p->x.rank == 3;
}

static uint32_t batch_of(const zm_matmul_params *p)
{
    return is_batch(p) ? p->x.shape[0] : 1;
}

/* A dimension of a matrix, counted from the last one. */
static uint32_t matrix_rows(const zm_matmul_params *p, const zm_tensor *tensor)
{
    return tensor->shape[is_batch(p) ? 1 : 0];
}

static uint32_t matrix_cols(const zm_matmul_params *p, const zm_tensor *tensor)
{
    return tensor->shape[is_batch(p) ? 2 : 1];
}

static uint32_t outputs_of(const zm_matmul_params *p)
{
    uint32_t rows = matrix_rows(p, &p->weight);
    return p->gated ? rows / 2 : rows;
}

/* Columns of statistics of rows of n. */
static uint64_t statistics_of(const zm_device *device, uint32_t n)
{
    return 2 * (uint64_t)zm_ceil_div(n, zm_statistics_group(device));
}

/* What becomes one with the outputs as they are stored: a sum or a product. */
static const zm_tensor *other_of(const zm_matmul_params *p)
{
    return p->factor.buffer ? &p->factor : &p->residual;
}

static uint32_t scale_d(const zm_matmul_params *p)
{
    uint32_t k = matrix_cols(p, &p->x);
    if (p->scale.d)
        return p->scale.d;
    return p->scale.kind == ZM_ROW_SCALE_CRMS ? k + 1 : k;
}

/* ---- checks ---- */

static zm_status scale_check(const zm_matmul_params *p, zm_refusal *refusal)
{
    const zm_row_scale *scale = &p->scale;
    bool is_layer = scale->kind == ZM_ROW_SCALE_LAYER;
    if (scale->kind < ZM_ROW_SCALE_NONE || scale->kind > ZM_ROW_SCALE_CRMS)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "there is no row scale %d",
                         (int)scale->kind);
    if ((scale->kind != ZM_ROW_SCALE_NONE) != (scale->statistics.buffer != NULL))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "scale: a kind and statistics go together");
    if (is_layer != (scale->column_sums.buffer != NULL))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "scale: ZM_ROW_SCALE_LAYER and column sums go together");
    if (scale->kind != ZM_ROW_SCALE_NONE) {
        zm_status status =
            zm_width_check("scale.d", scale_d(p), matrix_cols(p, &p->x), !is_layer, refusal);
        if (status != ZM_OK)
            return status;
    }
    return zm_eps_check(scale->eps, refusal);
}

/* Which outputs go together. */
static zm_status outputs_check(const zm_matmul_params *p, zm_refusal *refusal)
{
    if (p->factor.buffer && (p->residual.buffer || p->gated))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "a factor goes without %s",
                         p->gated ? "gate" : "residual");
    if (!p->norm_weight.buffer != !p->weighted.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "norm_weight and weighted go together");
    if (p->weighted.buffer && !p->statistics.buffer)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "weighted goes with statistics");
    return ZM_OK;
}

static zm_status options_check(const zm_matmul_params *p, zm_refusal *refusal)
{
    if (p->gated && matrix_rows(p, &p->weight) % 2 != 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "weight: %" PRIu32 " rows can't be gate and up of the same outputs",
                         matrix_rows(p, &p->weight));
    if (is_batch(p) && (p->scale.kind != ZM_ROW_SCALE_NONE || p->statistics.buffer))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "a batch goes without scale and statistics");
    zm_status status = outputs_check(p, refusal);
    if (status == ZM_OK)
        status = zm_activation_check(p->activation, refusal);
    return status == ZM_OK ? scale_check(p, refusal) : status;
}

#define OPERAND(field) #field, offsetof(zm_matmul_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(weight), ZM_OPERAND_WEIGHT, ZM_OPERAND_BLOCKS | ZM_OPERAND_PARTS, 0},
    {OPERAND(bias), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(residual), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(factor), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 3 | 1u << 4},
    {OPERAND(scale.statistics), ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(scale.column_sums), ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(statistics), ZM_OPERAND_REAL, ZM_OPERAND_OUTPUT | ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(norm_weight), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(weighted), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT | ZM_OPERAND_OPTIONAL, 0},
};

static zm_status matmul_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    uint32_t rank = is_batch(p) ? 3 : 2, batch = batch_of(p);
    uint32_t m = matrix_rows(p, &p->x), k = matrix_cols(p, &p->x);
    uint32_t rows = matrix_rows(p, &p->weight), n = outputs_of(p);
    const zm_extent x = {rank, m, k, batch}, weight = {rank, rows, k, batch};
    const zm_extent dst = {rank, m, n, batch}, vector = {1, 1, rows, 0}, outputs = {1, 1, n, 0};
    const zm_extent x_statistics = {2, m, statistics_of(device, k), 0};
    const zm_extent dst_statistics = {2, m, statistics_of(device, n), 0};
    const zm_extent extents[] = {x,      weight,         vector,  dst, dst, dst, x_statistics,
                                 vector, dst_statistics, outputs, dst};
    zm_status status = options_check(p, refusal);
    if (status == ZM_OK)
        status = zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    uint32_t together = p->statistics.buffer ? zm_statistics_group(device) : 1;
    return status == ZM_OK ? zm_parts_check(&p->weight, (p->gated ? 2 : 1) * together, refusal)
                           : status;
}

/* A kernel writes the sums of its own groups of columns. */
static zm_status statistics_accept(const zm_device *device, zm_kernel_family family,
                                   const zm_matmul_params *p, zm_refusal *refusal)
{
    uint32_t group = zm_statistics_group(device), own = zm_tuning_of(family)->statistics_group;
    if (!p->statistics.buffer || group == own)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                     "statistics of %" PRIu32 " columns, not %" PRIu32, group, own);
}

zm_status zm_matmul_panels_accept(const zm_device *device, zm_kernel_family family,
                                  const zm_matmul_params *p, zm_refusal *refusal)
{
    zm_status status = zm_panel_accepts(family, &p->weight, refusal);
    return status == ZM_OK ? statistics_accept(device, family, p, refusal) : status;
}

zm_status zm_matmul_rows_accept(const zm_device *device, zm_kernel_family family,
                                const zm_matmul_params *p, zm_refusal *refusal)
{
    if (p->weight.panel)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "weights in panels of %" PRIu32,
                         p->weight.panel);
    if (zm_dtype_block_length(p->weight.dtype) > 1)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "rows of weights of %s",
                         zm_dtype_name(p->weight.dtype));
    return statistics_accept(device, family, p, refusal);
}

/* ---- launches ---- */

static uint32_t kinds_of(const zm_matmul_params *p)
{
    return ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, p->weight.dtype) |
           ZM_KIND_SET(ZM_KIND_PARAM_TYPE, zm_operand_dtype(&zm_op_matmul, ZM_OPERAND_PARAM, p)) |
           ZM_KIND_SET(ZM_KIND_ACTIVATION, p->activation) |
           ZM_KIND_SET(ZM_KIND_SCALE, p->scale.kind);
}

struct zm_matmul_args zm_matmul_args_get(const zm_device *device, const zm_matmul_params *p)
{
    const zm_tensor *other = other_of(p);
    uint32_t k = matrix_cols(p, &p->x);
    return (struct zm_matmul_args){
        .m = matrix_rows(p, &p->x),
        .n = outputs_of(p),
        .k = k,
        .kinds = kinds_of(p),
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .weight_offset = zm_arg_offset(&p->weight),
        .weight_panel = p->weight.panel,
        .weight_stride = zm_arg_stride(&p->weight),
        .bias_offset = zm_arg_offset(&p->bias),
        .residual_offset = zm_arg_offset(other),
        .residual_stride = zm_arg_stride(other),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->bias, ZM_FLAG_BIAS) | zm_arg_flag(&p->residual, ZM_FLAG_RESIDUAL) |
                 zm_arg_flag(&p->factor, ZM_FLAG_FACTOR) |
                 zm_arg_flag(&p->weighted, ZM_FLAG_WEIGHT) |
                 zm_arg_flag(&p->statistics, ZM_FLAG_STATISTICS) | (p->gated ? ZM_FLAG_GATED : 0),
        .scale_offset = zm_arg_offset(&p->scale.statistics),
        .scale_stride = zm_arg_stride(&p->scale.statistics),
        .scale_groups = zm_ceil_div(k, zm_statistics_group(device)),
        .scale_d = scale_d(p),
        .scale_eps = p->scale.eps,
        .column_sums_offset = zm_arg_offset(&p->scale.column_sums),
        .statistics_offset = zm_arg_offset(&p->statistics),
        .statistics_stride = zm_arg_stride(&p->statistics),
        .norm_weight_offset = zm_arg_offset(&p->norm_weight),
        .weighted_offset = zm_arg_offset(&p->weighted),
        .weighted_stride = zm_arg_stride(&p->weighted),
        .batch = batch_of(p),
        .x_batch = zm_arg_batch(&p->x),
        .weight_batch = zm_arg_batch(&p->weight),
        .residual_batch = zm_arg_batch(other),
        .dst_batch = zm_arg_batch(&p->dst),
    };
}

void zm_matmul_bind(const zm_matmul_params *p, zm_launch *launch)
{
    zm_buffer *const buffers[] = {p->x.buffer,
                                  p->weight.buffer,
                                  p->bias.buffer,
                                  other_of(p)->buffer,
                                  p->dst.buffer,
                                  p->scale.statistics.buffer,
                                  p->scale.column_sums.buffer,
                                  p->statistics.buffer,
                                  p->norm_weight.buffer,
                                  p->weighted.buffer};
    launch->buffer_count = ZM_COUNT(buffers);
    for (size_t i = 0; i < ZM_COUNT(buffers); i++)
        launch->buffers[i] = buffers[i];
}

/* ---- cpu family ---- */

static zm_status cpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    return zm_matmul_panels_accept(device, ZM_FAMILY_CPU, params, refusal);
}

static zm_status matvec_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    if (p->x.shape[0] != 1)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x has %" PRIu32 " rows, not 1",
                         p->x.shape[0]);
    return cpu_accepts(device, params, refusal);
}

static zm_status rows_accept(const zm_device *device, const void *params, zm_refusal *refusal)
{
    return zm_matmul_rows_accept(device, ZM_FAMILY_CPU, params, refusal);
}

/* What most calls don't ask for is left out of the kernel, since asking costs time there. */
static bool needs_epilogue(const zm_matmul_params *p)
{
    bool is_common = p->activation == ZM_ACTIVATION_NONE || p->activation == ZM_ACTIVATION_GELU;
    return p->gated || p->factor.buffer || p->scale.kind != ZM_ROW_SCALE_NONE ||
           p->statistics.buffer || !is_common;
}

/* tiling NULL: the kernel has no tile. */
static zm_status cpu_launch(const zm_call *call, const struct zm_matmul_args *args,
                            const zm_tiling *tiling, uint32_t columns, zm_plan *plan)
{
    const zm_matmul_params *p = call->params;
    zm_options options = zm_options_types(call->op, p);
    zm_options_add(&options, "EPILOGUE", needs_epilogue(p));
    if (tiling)
        zm_options_add_tile(&options, tiling);
    else
        zm_options_add(&options, "COLUMNS", zm_tile_columns(call->device));
    zm_launch launch = {
        .options = options.text,
        .groups = {columns, tiling ? tiling->blocks : 1, args->batch},
        .args = args,
        .args_size = sizeof(*args),
    };
    zm_matmul_bind(p, &launch);
    return zm_plan_add(call, &launch, plan);
}

/* Work-items along the outputs: as many of these as a group of statistics has. */
static uint32_t column_items(const struct zm_matmul_args *args)
{
    return zm_ceil_div(args->n, zm_tuning_of(ZM_FAMILY_CPU)->statistics_group);
}

static zm_status cpu_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = zm_matmul_args_get(call->device, call->params);
    uint32_t columns = column_items(&args);
    zm_tiling tiling = zm_tiling_get(call->device, args.m, args.k, columns);
    args.row_block = tiling.row_block;
    return cpu_launch(call, &args, &tiling, columns, plan);
}

/* One row: row_block says how many columns of 32 outputs a work-item takes. */
static zm_status matvec_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = zm_matmul_args_get(call->device, call->params);
    uint32_t columns = column_items(&args);
    args.row_block = zm_matvec_panels(call->device, columns);
    return cpu_launch(call, &args, NULL, zm_ceil_div(columns, args.row_block), plan);
}

/* Rows of weights: enough work-items over all matrices of the batch together. */
static zm_status rows_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = zm_matmul_args_get(call->device, call->params);
    uint32_t columns = column_items(&args);
    uint64_t all = (uint64_t)columns * args.batch;
    zm_tiling tiling =
        zm_tiling_get(call->device, args.m, args.k, all > UINT32_MAX ? UINT32_MAX : (uint32_t)all);
    args.row_block = tiling.row_block;
    return cpu_launch(call, &args, &tiling, columns, plan);
}

static zm_status ref_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    (void)device;
    return zm_blocks_accept(ZM_FAMILY_REF, &p->weight, refusal);
}

static zm_status ref_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = zm_matmul_args_get(call->device, call->params);
    const zm_options options = zm_options_types(call->op, call->params);
    zm_launch launch = {.options = options.text, .args = &args, .args_size = sizeof(args)};
    zm_matmul_bind(call->params, &launch);
    return zm_plan_add(call, &launch, plan);
}

static const zm_candidate candidates[] = {
    {"cpu_matvec", ZM_FAMILY_CPU, "matvec", matvec_accepts, matvec_plan, false},
    {"cpu", ZM_FAMILY_CPU, NULL, cpu_accepts, cpu_plan, false},
    {"cpu_rows", ZM_FAMILY_CPU, "matmul_rows", rows_accept, rows_plan, true},
    {"gpu_matvec", ZM_FAMILY_GPU, "matvec", zm_gpu_matvec_accepts, zm_gpu_matvec_plan, false},
    {"gpu_cached", ZM_FAMILY_GPU, NULL, zm_gpu_cached_accepts, zm_gpu_cached_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, zm_gpu_matmul_accepts, zm_gpu_matmul_plan, false},
    {"gpu_direct", ZM_FAMILY_GPU, "matmul_direct", zm_gpu_direct_accepts, zm_gpu_direct_plan, true},
    {"clblast", ZM_FAMILY_LIBRARY, ZM_SGEMM, zm_clblast_accepts, zm_clblast_plan, true},
    {"ref", ZM_FAMILY_REF, NULL, ref_accepts, ref_plan, false},
};

const zm_op zm_op_matmul = {"matmul",
                            matmul_check,
                            candidates,
                            ZM_COUNT(candidates),
                            operands,
                            ZM_COUNT(operands),
                            sizeof(zm_matmul_params)};

zm_status zm_matmul(zm_stream *stream, const zm_matmul_params *params)
{
    return zm_op_run(stream, &zm_op_matmul, params);
}
