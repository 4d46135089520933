/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

static zm_status matmul_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    uint32_t m = p->x.shape[0], k = p->x.shape[1], n = p->weight.shape[0];
    const zm_operand operands[] = {
        {"x", &p->x, 2, m, k, ZM_OPERAND_REAL, 0, 0},
        {"weight", &p->weight, 2, n, k, ZM_OPERAND_WEIGHT, ZM_OPERAND_PACKED, 0},
        {"bias", &p->bias, 1, 1, n, ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
        {"residual", &p->residual, 2, m, n, ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
        {"dst", &p->dst, 2, m, n, ZM_OPERAND_REAL, ZM_OPERAND_OUTPUT, 1u << 3},
    };
    zm_status status = zm_operands_check(device, operands, ZM_COUNT(operands), refusal);
    return status == ZM_OK ? zm_activation_check(p->activation, refusal) : status;
}

static zm_status panels_accept(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    return zm_panel_accepts(device, &p->weight, refusal);
}

static zm_status matvec_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    if (p->x.shape[0] != 1)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x has %" PRIu32 " rows, not 1",
                         p->x.shape[0]);
    return panels_accept(device, params, refusal);
}

static struct zm_matmul_args matmul_args(const zm_matmul_params *p)
{
    return (struct zm_matmul_args){
        .m = p->x.shape[0],
        .n = p->weight.shape[0],
        .k = p->x.shape[1],
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .weight_offset = zm_arg_offset(&p->weight),
        .weight_type = p->weight.dtype,
        .weight_panel = p->weight.panel,
        .weight_stride = zm_arg_stride(&p->weight),
        .bias_offset = zm_arg_offset(&p->bias),
        .residual_offset = zm_arg_offset(&p->residual),
        .residual_stride = zm_arg_stride(&p->residual),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->bias, ZM_FLAG_BIAS) | zm_arg_flag(&p->residual, ZM_FLAG_RESIDUAL),
        .activation = (uint32_t)p->activation,
        .batch = 1,
    };
}

static zm_status launch_add(const zm_call *call, const struct zm_matmul_args *args, uint32_t rows,
                            uint32_t columns, uint32_t blocks, zm_plan *plan)
{
    const zm_matmul_params *p = call->params;
    zm_options options = zm_options_get(p->x.dtype);
    zm_options_add(&options, "WEIGHT_TYPE", p->weight.dtype);
    if (rows)
        zm_options_add(&options, "ROWS", rows);
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->x.buffer, p->weight.buffer, p->bias.buffer, p->residual.buffer,
                    p->dst.buffer, p->scale.statistics.buffer, p->scale.column_sums.buffer,
                    p->statistics.buffer},
        .buffer_count = 8,
        .groups = {columns, blocks},
        .args = args,
        .args_size = sizeof(*args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status matmul_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = matmul_args(call->params);
    uint32_t panels = zm_panel_count(args.n, args.weight_panel);
    zm_tiling tiling = zm_tiling_get(call->device, args.m, panels);
    args.row_block = tiling.row_block;
    return launch_add(call, &args, tiling.rows, panels, tiling.blocks, plan);
}

/* One row: row_block says how many panels a work-item takes. */
static zm_status matvec_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_matmul_args args = matmul_args(call->params);
    uint32_t panels = zm_panel_count(args.n, args.weight_panel);
    args.row_block = zm_matvec_panels(call->device, panels);
    return launch_add(call, &args, 0, zm_ceil_div(panels, args.row_block), 1, plan);
}

static const zm_candidate candidates[] = {
    {"cpu_matvec", ZM_FAMILY_CPU, "matvec", matvec_accepts, matvec_plan},
    {"cpu", ZM_FAMILY_CPU, NULL, panels_accept, matmul_plan},
    {"ref", ZM_FAMILY_REF, NULL, NULL, matmul_plan},
};

const zm_op zm_op_matmul = {"matmul", matmul_check, candidates, ZM_COUNT(candidates)};

zm_status zm_matmul(zm_stream *stream, const zm_matmul_params *params)
{
    return zm_op_run(stream, &zm_op_matmul, params);
}
