/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/matmul_gpu.h"
#include "ops/operand.h"
#include "ops/tuning.h"

static zm_status patches_check(const zm_patch_embedding_params *p, zm_refusal *refusal)
{
    uint32_t height = p->x.shape[1], width = p->x.shape[2];
    if (p->patch == 0 || height % p->patch != 0 || width % p->patch != 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "[%" PRIu32 "][%" PRIu32 "] is not cut into patches of %" PRIu32, height,
                         width, p->patch);
    /* Later products of three stay below 2^64. */
    if (p->patch > UINT16_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "patches of %" PRIu32, p->patch);
    return ZM_OK;
}

#define OPERAND(field) #field, offsetof(zm_patch_embedding_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, ZM_OPERAND_PACKED, 0},
    {OPERAND(weight), ZM_OPERAND_WEIGHT, ZM_OPERAND_PACKED, 0},
    {OPERAND(bias), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(position), ZM_OPERAND_PARAM, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 0},
};

static zm_status patch_embedding_check(const zm_device *device, const void *params,
                                       zm_refusal *refusal)
{
    const zm_patch_embedding_params *p = params;
    zm_status status = patches_check(p, refusal);
    if (status != ZM_OK)
        return status;
    const uint32_t *image = p->x.shape;
    uint32_t n = p->weight.shape[0];
    uint64_t patches = (uint64_t)(image[1] / p->patch) * (image[2] / p->patch);
    uint64_t k = (uint64_t)image[0] * p->patch * p->patch;
    const zm_extent extents[] = {
        {3, image[1], image[2], image[0]},
        {2, n, k, 0},
        {1, 1, n, 0},
        {2, patches, n, 0},
        {2, patches, n, 0},
    };
    return zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal);
}

static zm_status cpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_patch_embedding_params *p = params;
    (void)device;
    return zm_panel_accepts(ZM_FAMILY_CPU, &p->weight, refusal);
}

static struct zm_patch_embedding_args patch_embedding_args(const zm_patch_embedding_params *p)
{
    return (struct zm_patch_embedding_args){
        .channels = p->x.shape[0],
        .height = p->x.shape[1],
        .width = p->x.shape[2],
        .patch = p->patch,
        .n = p->weight.shape[0],
        .x_offset = zm_arg_offset(&p->x),
        .weight_offset = zm_arg_offset(&p->weight),
        .weight_type = p->weight.dtype,
        .weight_panel = p->weight.panel,
        .bias_offset = zm_arg_offset(&p->bias),
        .position_offset = zm_arg_offset(&p->position),
        .position_stride = zm_arg_stride(&p->position),
        .param_type = zm_operand_dtype(&zm_op_patch_embedding, ZM_OPERAND_PARAM, p),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->bias, ZM_FLAG_BIAS) | zm_arg_flag(&p->position, ZM_FLAG_POSITION),
    };
}

static zm_launch patch_embedding_launch(const zm_patch_embedding_params *p,
                                        const struct zm_patch_embedding_args *args)
{
    return (zm_launch){
        .buffers = {p->x.buffer, p->weight.buffer, p->bias.buffer, p->position.buffer,
                    p->dst.buffer},
        .buffer_count = 5,
        .args = args,
        .args_size = sizeof(*args),
    };
}

static zm_status patch_embedding_plan(const zm_call *call, zm_plan *plan)
{
    const zm_patch_embedding_params *p = call->params;
    struct zm_patch_embedding_args args = patch_embedding_args(p);
    uint32_t panels = zm_panel_count(p->weight.shape[0], p->weight.panel);
    const zm_tiling tiling = zm_tiling_get(call->device, p->dst.shape[0],
                                           args.channels * args.patch * args.patch, panels);
    zm_options options = zm_options_types(call->op, p);
    zm_options_add_tile(&options, &tiling);
    args.row_block = tiling.row_block;
    zm_launch launch = patch_embedding_launch(p, &args);
    launch.options = options.text;
    launch.groups[0] = panels;
    launch.groups[1] = tiling.blocks;
    return zm_plan_add(call, &launch, plan);
}

static zm_status gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_patch_embedding_params *p = params;
    return zm_gpu_panels_accept(device, &p->x, &p->weight, p->dst.shape[0], refusal);
}

static zm_status gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_patch_embedding_params *p = call->params;
    const struct zm_patch_embedding_args args = patch_embedding_args(p);
    const zm_launch launch = patch_embedding_launch(p, &args);
    const zm_gpu_shape shape = zm_gpu_shape_get(&p->x, &p->weight, p->dst.shape[0]);
    uint32_t steps =
        args.weight_offset | args.dst_offset | (p->dst.shape[0] > 1 ? args.dst_stride : 0);
    zm_options options = zm_options_types(call->op, p);
    zm_options_add(&options, "ALIGNED", steps % 4 == 0);
    return zm_gpu_tile_launch(call, &shape, &options, &launch, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, cpu_accepts, patch_embedding_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, gpu_accepts, gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, patch_embedding_plan, false},
};

const zm_op zm_op_patch_embedding = {"patch_embedding",
                                     patch_embedding_check,
                                     candidates,
                                     ZM_COUNT(candidates),
                                     operands,
                                     ZM_COUNT(operands),
                                     sizeof(zm_patch_embedding_params)};

zm_status zm_patch_embedding(zm_stream *stream, const zm_patch_embedding_params *params)
{
    return zm_op_run(stream, &zm_op_patch_embedding, params);
}
