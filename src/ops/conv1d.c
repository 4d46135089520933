/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/matmul_gpu.h"
#include "ops/operand.h"
#include "ops/tuning.h"

static uint32_t conv_stride(const zm_conv1d_params *p)
{
    return p->stride ? p->stride : 1;
}

#define OPERAND(field) #field, offsetof(zm_conv1d_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, ZM_OPERAND_PACKED, 0},
    {OPERAND(weight), ZM_OPERAND_WEIGHT, ZM_OPERAND_PACKED, 0},
    {OPERAND(bias), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 0},
};

static zm_status conv1d_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_conv1d_params *p = params;
    uint32_t rows = p->x.shape[0], channels = p->x.shape[1], n = p->weight.shape[0];
    uint64_t padded = rows + 2 * (uint64_t)p->padding;
    if (p->kernel == 0 || p->kernel > padded)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "kernel of %" PRIu32 " rows on %" PRIu64 " rows with padding", p->kernel,
                         padded);
    uint64_t dst_rows = (padded - p->kernel) / conv_stride(p) + 1;
    const zm_extent extents[] = {
        {2, rows, channels, 0},
        {2, n, (uint64_t)p->kernel * channels, 0},
        {1, 1, n, 0},
        {2, dst_rows, n, 0},
    };
    zm_status status =
        zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
    return status == ZM_OK ? zm_activation_check(p->activation, refusal) : status;
}

static zm_status panels_accept(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_conv1d_params *p = params;
    (void)device;
    uint64_t padded = p->x.shape[0] + 2 * (uint64_t)p->padding + conv_stride(p);
    if (padded > INT32_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "%" PRIu64 " rows with padding", padded);
    return zm_panel_accepts(ZM_FAMILY_CPU, &p->weight, refusal);
}

static struct zm_conv1d_args conv1d_args(const zm_conv1d_params *p)
{
    return (struct zm_conv1d_args){
        .rows = p->x.shape[0],
        .channels = p->x.shape[1],
        .n = p->weight.shape[0],
        .kernel_size = p->kernel,
        .stride = conv_stride(p),
        .padding = p->padding,
        .dst_rows = p->dst.shape[0],
        .x_offset = zm_arg_offset(&p->x),
        .weight_offset = zm_arg_offset(&p->weight),
        .weight_type = p->weight.dtype,
        .weight_panel = p->weight.panel,
        .bias_offset = zm_arg_offset(&p->bias),
        .param_type = zm_operand_dtype(&zm_op_conv1d, ZM_OPERAND_PARAM, p),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->bias, ZM_FLAG_BIAS),
        .activation = (uint32_t)p->activation,
    };
}

static zm_launch conv1d_launch(const zm_conv1d_params *p, const struct zm_conv1d_args *args)
{
    return (zm_launch){
        .buffers = {p->x.buffer, p->weight.buffer, p->bias.buffer, p->dst.buffer},
        .buffer_count = 4,
        .args = args,
        .args_size = sizeof(*args),
    };
}

static zm_status conv1d_plan(const zm_call *call, zm_plan *plan)
{
    const zm_conv1d_params *p = call->params;
    struct zm_conv1d_args args = conv1d_args(p);
    uint32_t panels = zm_panel_count(args.n, p->weight.panel);
    const zm_tiling tiling =
        zm_tiling_get(call->device, args.dst_rows, args.kernel_size * args.channels, panels);
    zm_options options = zm_options_types(call->op, p);
    zm_options_add_tile(&options, &tiling);
    args.row_block = tiling.row_block;
    zm_launch launch = conv1d_launch(p, &args);
    launch.options = options.text;
    launch.groups[0] = panels;
    launch.groups[1] = tiling.blocks;
    return zm_plan_add(call, &launch, plan);
}

static zm_status gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_conv1d_params *p = params;
    return zm_gpu_panels_accept(device, &p->x, &p->weight, p->dst.shape[0], refusal);
}

static zm_status gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_conv1d_params *p = call->params;
    const struct zm_conv1d_args args = conv1d_args(p);
    const zm_launch launch = conv1d_launch(p, &args);
    const zm_gpu_shape shape = zm_gpu_shape_get(&p->x, &p->weight, args.dst_rows);
    uint32_t steps = args.x_offset | args.channels | args.weight_offset | args.dst_offset |
                     (args.dst_rows > 1 ? args.dst_stride : 0);
    zm_options options = zm_options_types(call->op, p);
    zm_options_add(&options, "ALIGNED", steps % 4 == 0);
    return zm_gpu_tile_launch(call, &shape, &options, &launch, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, panels_accept, conv1d_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, gpu_accepts, gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, conv1d_plan, false},
};

const zm_op zm_op_conv1d = {"conv1d",
                            conv1d_check,
                            candidates,
                            ZM_COUNT(candidates),
                            operands,
                            ZM_COUNT(operands),
                            sizeof(zm_conv1d_params)};

zm_status zm_conv1d(zm_stream *stream, const zm_conv1d_params *params)
{
    return zm_op_run(stream, &zm_op_conv1d, params);
}
