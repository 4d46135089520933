/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/operand.h"
#include "ops/options.h"
#include "ops/tuning.h"
#include "ops/view.h"

static zm_status shapes_check(const zm_copy_params *p, zm_refusal *refusal)
{
    bool same = p->x.rank == p->dst.rank;
    if (p->x.rank < 1 || p->x.rank > ZM_MAX_RANK)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "x: rank %" PRIu32 ", not 1 .. %d",
                         p->x.rank, ZM_MAX_RANK);
    for (uint32_t i = 0; same && i < p->x.rank; i++)
        same = p->x.shape[i] == p->dst.shape[i];
    if (!same)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "x and dst differ in shape");
    if ((p->x.dtype == ZM_I32) != (p->dst.dtype == ZM_I32))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "no conversion from %s to %s",
                         zm_dtype_name(p->x.dtype), zm_dtype_name(p->dst.dtype));
    return ZM_OK;
}

static zm_status copy_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_copy_params *p = params;
    const uint32_t out = ZM_OPERAND_STRIDED | ZM_OPERAND_OUTPUT;
    const zm_operand operands[] = {
        {"x", &p->x, 0, 0, 0, ZM_OPERAND_ANY, ZM_OPERAND_STRIDED, 0, 0},
        {"dst", &p->dst, 0, 0, 0, ZM_OPERAND_ANY, out, 0, 0},
    };
    zm_status status = shapes_check(p, refusal);
    return status == ZM_OK ? zm_operands_check(device, operands, ZM_COUNT(operands), refusal)
                           : status;
}

/* The last four dimensions, the first of them 1 where the rank is lower. */
static struct zm_copy_args copy_args(const zm_copy_params *p)
{
    struct zm_copy_args args = {
        .shape = {1, 1, 1, 1},
        .x_offset = zm_arg_offset(&p->x),
        .x_type = p->x.dtype,
        .dst_offset = zm_arg_offset(&p->dst),
        .dst_type = p->dst.dtype,
    };
    uint32_t first = ZM_MAX_RANK - p->x.rank;
    for (uint32_t i = 0; i < p->x.rank; i++) {
        args.shape[first + i] = p->x.shape[i];
        args.x_stride[first + i] = (uint32_t)zm_tensor_stride(&p->x, i);
        args.dst_stride[first + i] = (uint32_t)zm_tensor_stride(&p->dst, i);
    }
    return args;
}

/* Integers keep their bits, as floats that nobody calculates with. */
static uint32_t moved_type(zm_dtype dtype)
{
    return dtype == ZM_I32 ? ZM_F32 : dtype;
}

static zm_status copy_plan(const zm_call *call, zm_plan *plan)
{
    const zm_copy_params *p = call->params;
    const struct zm_copy_args args = copy_args(p);
    uint64_t elements = 1;
    for (uint32_t i = 0; i < ZM_MAX_RANK; i++)
        elements *= args.shape[i];
    zm_options options = {""};
    zm_options_add(&options, "X_TYPE", moved_type(p->x.dtype));
    zm_options_add(&options, "DST_TYPE", moved_type(p->dst.dtype));
    const zm_launch launch = {
        .options = options.text,
        .buffers = {p->x.buffer, p->dst.buffer},
        .buffer_count = 2,
        .groups = {zm_element_items(call->device, elements)},
        .args = &args,
        .args_size = sizeof(args),
    };
    return zm_plan_add(call, &launch, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, copy_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, copy_plan, false},
};

const zm_op zm_op_copy = {"copy", copy_check, candidates, ZM_COUNT(candidates)};

zm_status zm_copy(zm_stream *stream, const zm_copy_params *params)
{
    return zm_op_run(stream, &zm_op_copy, params);
}
