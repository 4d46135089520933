/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "ops/gpu_rows.h"
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

#define OPERAND(field) #field, offsetof(zm_copy_params, field)
static const zm_operand operands[] = {
    {OPERAND(x), ZM_OPERAND_ANY, ZM_OPERAND_STRIDED, 0},
    {OPERAND(dst), ZM_OPERAND_ANY, ZM_OPERAND_STRIDED | ZM_OPERAND_OUTPUT, 0},
};

static zm_status copy_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_copy_params *p = params;
    const zm_extent extents[2] = {{0}}; /* any */
    zm_status status = shapes_check(p, refusal);
    return status == ZM_OK
               ? zm_operands_check(device, operands, params, extents, ZM_COUNT(extents), refusal)
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

static zm_options copy_options(const zm_copy_params *p)
{
    zm_options options = {""};
    zm_options_add(&options, "X_TYPE", moved_type(p->x.dtype));
    zm_options_add(&options, "DST_TYPE", moved_type(p->dst.dtype));
    return options;
}

static zm_status launch_add(const zm_call *call, const zm_cut *cut, const struct zm_copy_args *args,
                            zm_plan *plan)
{
    const zm_copy_params *p = call->params;
    const zm_launch launch = {
        .options = cut->options.text,
        .buffers = {p->x.buffer, p->dst.buffer},
        .buffer_count = 2,
        .groups = {cut->groups[0], cut->groups[1], cut->groups[2]},
        .local = {cut->local[0], cut->local[1]},
        .args = args,
        .args_size = sizeof(*args),
    };
    return zm_plan_add(call, &launch, plan);
}

static uint64_t element_count(const struct zm_copy_args *args)
{
    uint64_t elements = 1;
    for (uint32_t i = 0; i < ZM_MAX_RANK; i++)
        elements *= args->shape[i];
    return elements;
}

static zm_status copy_plan(const zm_call *call, zm_plan *plan)
{
    const struct zm_copy_args args = copy_args(call->params);
    const zm_cut cut = {.options = copy_options(call->params),
                        .groups = {zm_element_items(call->device, element_count(&args))}};
    return launch_add(call, &cut, &args, plan);
}

/* ---- gpu family ---- */

static zm_status copy_gpu_plan(const zm_call *call, zm_plan *plan)
{
    const struct zm_copy_args args = copy_args(call->params);
    const zm_options options = copy_options(call->params);
    uint64_t vectors = element_count(&args) / args.shape[3] * zm_ceil_div(args.shape[3], 4);
    const zm_cut cut = zm_gpu_cut_pieces(call, &options, vectors);
    return launch_add(call, &cut, &args, plan);
}

static void swap(uint32_t *a, uint32_t *b)
{
    uint32_t value = *a;
    *a = *b;
    *b = value;
}

static void swap_dimensions(struct zm_copy_args *args, uint32_t i, uint32_t j)
{
    swap(&args->shape[i], &args->shape[j]);
    swap(&args->x_stride[i], &args->x_stride[j]);
    swap(&args->dst_stride[i], &args->dst_stride[j]);
}

/* A dimension of neighbours; ZM_MAX_RANK = none. */
static uint32_t contiguous_dimension(const struct zm_copy_args *args, const uint32_t *stride)
{
    uint32_t i = 0;
    while (i < ZM_MAX_RANK && (stride[i] != 1 || args->shape[i] == 1))
        i++;
    return i;
}

/* Puts the dimensions along which dst and x are contiguous in the places 3 and 2; false where they
 * are no two. The order of dimensions means nothing to a copy. */
static bool tile_args(const zm_copy_params *p, struct zm_copy_args *args)
{
    *args = copy_args(p);
    uint32_t inner = contiguous_dimension(args, args->dst_stride);
    if (inner == ZM_MAX_RANK || args->x_stride[inner] == 1)
        return false;
    swap_dimensions(args, inner, 3);
    uint32_t other = contiguous_dimension(args, args->x_stride);
    if (other >= 3)
        return false;
    swap_dimensions(args, other, 2);
    return true;
}

/* copy_tile.cl */
#define TILE 16
#define MOST_GROUPS 65535u /* along the second and the third dimension, as some drivers have it */

static zm_status tile_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    struct zm_copy_args args;
    if (!tile_args(params, &args))
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "it is no transpose");
    if (zm_ceil_div(args.shape[2], TILE) > MOST_GROUPS ||
        (uint64_t)args.shape[0] * args.shape[1] > MOST_GROUPS)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "there are too many tiles");
    return zm_gpu_accepts(device, params, refusal);
}

static zm_status tile_plan(const zm_call *call, zm_plan *plan)
{
    struct zm_copy_args args;
    if (!tile_args(call->params, &args))
        return ZM_ERROR_UNSUPPORTED;
    uint32_t items = zm_gpu_call_items(call, zm_gpu_row_tuning_get(call->device)->small_items);
    zm_cut cut = {.options = copy_options(call->params),
                  .groups = {zm_ceil_div(args.shape[3], TILE), zm_ceil_div(args.shape[2], TILE),
                             args.shape[0] * args.shape[1]},
                  .local = {TILE, items / TILE}};
    zm_options_add(&cut.options, "LINES", items / TILE);
    return launch_add(call, &cut, &args, plan);
}

static const zm_candidate candidates[] = {
    {"cpu", ZM_FAMILY_CPU, NULL, NULL, copy_plan, false},
    {"gpu_tile", ZM_FAMILY_GPU, "copy_tile", tile_accepts, tile_plan, false},
    {"gpu", ZM_FAMILY_GPU, NULL, NULL, copy_gpu_plan, false},
    {"ref", ZM_FAMILY_REF, NULL, NULL, copy_plan, false},
};

const zm_op zm_op_copy = {"copy",
                          copy_check,
                          candidates,
                          ZM_COUNT(candidates),
                          operands,
                          ZM_COUNT(operands),
                          sizeof(zm_copy_params)};

zm_status zm_copy(zm_stream *stream, const zm_copy_params *params)
{
    return zm_op_run(stream, &zm_op_copy, params);
}
