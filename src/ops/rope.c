/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>

#include "ops/gpu_rows.h"
#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"

static uint32_t rotary_dim(const zm_rope_params *p)
{
    return p->rotary_dim ? p->rotary_dim : p->head_dim;
}

static zm_status numbers_check(const zm_rope_params *p, zm_refusal *refusal)
{
    if (p->layout != ZM_ROPE_HALVES && p->layout != ZM_ROPE_PAIRS)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "there is no layout %d",
                         (int)p->layout);
    if (!isfinite(p->base) || p->base < 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "base %g is not 0 or more",
                         (double)p->base);
    zm_status status = zm_finite_check("frequency_scale", p->frequency_scale, refusal);
    return status == ZM_OK ? zm_finite_check("magnitude", p->magnitude, refusal) : status;
}

static zm_status heads_check(const zm_rope_params *p, zm_refusal *refusal)
{
    uint32_t cols = p->x.shape[1];
    if (p->head_dim == 0 || cols % p->head_dim != 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "%" PRIu32 " columns are no whole heads of %" PRIu32, cols, p->head_dim);
    if (rotary_dim(p) % 2 != 0 || rotary_dim(p) > p->head_dim)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "rotary_dim %" PRIu32 " is not even and at most %" PRIu32, rotary_dim(p),
                         p->head_dim);
    return numbers_check(p, refusal);
}

#define OPERAND(field) #field, offsetof(zm_rope_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ACTIVATION, 0, 0},
    {OPERAND(positions), ZM_OPERAND_INDEX, 0, 0},
    {OPERAND(factors), ZM_OPERAND_REAL, ZM_OPERAND_OPTIONAL, 0},
    {OPERAND(dst), ZM_OPERAND_ACTIVATION, ZM_OPERAND_OUTPUT, 1u << 0},
};

static zm_status rope_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_rope_params *p = params;
    uint32_t rows = p->x.shape[0], cols = p->x.shape[1];
    const zm_extent extents[] = {
        {2, rows, cols, 0},
        {1, 1, rows, 0},
        {1, 1, rotary_dim(p) / 2, 0},
        {2, rows, cols, 0},
    };
    zm_status status = heads_check(p, refusal);
    return status == ZM_OK
               ? zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal)
               : status;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, zm_plan *plan)
{
    const zm_rope_params *p = call->params;
    float base = p->base != 0 ? p->base : 10000;
    double ratio = pow((double)base, -2.0 / rotary_dim(p));
    const struct zm_rope_args args = {
        .rows = p->x.shape[0],
        .heads = p->x.shape[1] / p->head_dim,
        .head_dim = p->head_dim,
        .rotary_dim = rotary_dim(p),
        .x_offset = zm_arg_offset(&p->x),
        .x_stride = zm_arg_stride(&p->x),
        .positions_offset = zm_arg_offset(&p->positions),
        .factors_offset = zm_arg_offset(&p->factors),
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_stride = zm_arg_stride(&p->dst),
        .flags = zm_arg_flag(&p->factors, ZM_FLAG_FACTORS),
        .layout = (uint32_t)p->layout,
        .base = base,
        .frequency_scale = p->frequency_scale != 0 ? p->frequency_scale : 1,
        .magnitude = p->magnitude != 0 ? p->magnitude : 1,
        .ratio_high = (float)ratio,
        .ratio_low = (float)(ratio - (double)(float)ratio),
    };
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->positions.buffer, p->factors.buffer, p->dst.buffer},
        .buffer_count = 4,
        .groups = {cut->groups[0], cut->groups[1]},
        .local = {cut->local[0]},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static zm_status rope_plan(const zm_call *call, zm_plan *plan)
{
    const zm_rope_params *p = call->params;
    const zm_cut cut = {
        .options = zm_options_get(p->x.dtype),
        .groups = {zm_row_items(call->device, p->x.shape[0], p->x.shape[1])},
    };
    return launch_add(call, &cut, plan);
}

/* An angle serves several heads where there are rows enough to fill the device all the same. */
static zm_status rope_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const zm_rope_params *p = call->params;
    const zm_options options = zm_options_get(p->x.dtype);
    uint32_t heads = p->x.shape[1] / p->head_dim;
    uint64_t slots = (uint64_t)p->x.shape[0] * (p->head_dim - rotary_dim(p) / 2);
    zm_cut cut = zm_gpu_cut_pieces(call, &options, slots);
    uint32_t blocks = zm_gpu_cut_pieces(call, &options, slots * heads).groups[0];
    blocks /= cut.groups[0];
    cut.groups[1] = blocks == 0 ? 1 : blocks < heads ? blocks : heads;
    return launch_add(call, &cut, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, rope_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, rope_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, rope_plan, false},
};

const zm_op zm_op_rope = {"rope",
                          rope_check,
                          candidates,
                          ZM_COUNT(candidates),
                          operands,
                          ZM_COUNT(operands),
                          sizeof(zm_rope_params)};

zm_status zm_rope(zm_stream *stream, const zm_rope_params *params)
{
    return zm_op_run(stream, &zm_op_rope, params);
}
