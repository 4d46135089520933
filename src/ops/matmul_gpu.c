/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/matmul_gpu.h"

#include <inttypes.h>

#include "ops/matmul.h"
#include "ops/parts.h"
#include "ops/tuning.h"

/* ---- which calls ---- */

static uint32_t rows_of(const zm_tensor *matrix)
{
    return matrix->shape[matrix->rank - 2];
}

zm_gpu_shape zm_gpu_shape_get(const zm_tensor *x, const zm_tensor *weight, uint32_t rows)
{
    return (zm_gpu_shape){
        .rows = rows,
        .slots = rows_of(weight),
        .batch = 1,
        .panels = true,
        .local_memory = true,
        .float16 = x->dtype == ZM_F16 || weight->dtype == ZM_F16,
    };
}

/* Gate and up of the last outputs fill whole panels. */
static zm_gpu_shape shape_of(const zm_matmul_params *p, bool local_memory)
{
    uint32_t slots = rows_of(&p->weight);
    if (p->gated)
        slots = zm_ceil_div(slots, ZM_GPU_PANEL) * ZM_GPU_PANEL;
    zm_gpu_shape shape = zm_gpu_shape_get(&p->x, &p->weight, rows_of(&p->x));
    shape.slots = slots;
    shape.batch = p->x.rank == 3 ? p->x.shape[0] : 1;
    shape.panels = p->weight.panel != 0;
    shape.two_panels = p->gated && p->statistics.buffer;
    shape.local_memory = local_memory;
    return shape;
}

static zm_status tiles_accept(const zm_device *device, const zm_gpu_shape *shape,
                              zm_refusal *refusal)
{
    zm_gpu_tile tiles[ZM_MAX_GPU_TILES];
    return zm_gpu_tiles_rank(device, shape, tiles, refusal) ? ZM_OK : ZM_ERROR_UNSUPPORTED;
}

zm_status zm_gpu_panels_accept(const zm_device *device, const zm_tensor *x, const zm_tensor *weight,
                               uint32_t rows, zm_refusal *refusal)
{
    const zm_gpu_shape shape = zm_gpu_shape_get(x, weight, rows);
    zm_status status = zm_panel_accepts(ZM_FAMILY_GPU, weight, refusal);
    return status == ZM_OK ? tiles_accept(device, &shape, refusal) : status;
}

static zm_status panels_accept(const zm_device *device, const zm_matmul_params *p,
                               bool local_memory, zm_refusal *refusal)
{
    const zm_gpu_shape shape = shape_of(p, local_memory);
    zm_status status = zm_matmul_panels_accept(device, ZM_FAMILY_GPU, p, refusal);
    return status == ZM_OK ? tiles_accept(device, &shape, refusal) : status;
}

zm_status zm_gpu_matmul_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    return panels_accept(device, params, true, refusal);
}

/* First in the order, for devices whose caches do it better; asked by name it always will. */
zm_status zm_gpu_cached_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_candidate *forced = zm_op_forced(device, &zm_op_matmul);
    bool wanted = zm_gpu_prefers_caches(device) || (forced && forced->plan == zm_gpu_cached_plan);
    if (!wanted && panels_accept(device, params, true, refusal) == ZM_OK)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "local memory serves tiles better here");
    return panels_accept(device, params, false, refusal);
}

zm_status zm_gpu_direct_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    const zm_gpu_shape shape = shape_of(p, true);
    zm_status status = zm_matmul_rows_accept(device, ZM_FAMILY_GPU, p, refusal);
    return status == ZM_OK ? tiles_accept(device, &shape, refusal) : status;
}

/* rows: of the whole weight, so that sums are cut alike in all of its parts. */
static zm_gpu_matvec matvec_of(const zm_device *device, const zm_matmul_params *p, uint32_t rows,
                               uint32_t most_items)
{
    uint32_t panels = zm_ceil_div(rows, ZM_GPU_PANEL);
    return zm_gpu_matvec_get(device, rows_of(&p->x), panels, p->x.shape[1],
                             p->statistics.buffer != NULL, most_items);
}

zm_status zm_gpu_matvec_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_matmul_params *p = params;
    const zm_device_limits *limits = &device->info.limits;
    uint32_t most = zm_gpu_tile_tuning_get(device)->matvec_rows;
    zm_status status = zm_matmul_panels_accept(device, ZM_FAMILY_GPU, p, refusal);
    if (status != ZM_OK)
        return status;
    if (rows_of(&p->x) > most)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "x has %" PRIu32 " rows, over %" PRIu32,
                         rows_of(&p->x), most);
    if (p->gated && p->statistics.buffer)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "a panel of a gated product is half a group of statistics");
    if (matvec_of(device, p, rows_of(&p->weight), limits->max_work_group).rows == 0)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "work-groups of %" PRIu32 " and %" PRIu64
                         " bytes of local memory are too small",
                         limits->max_work_group, limits->local_memory_bytes);
    return ZM_OK;
}

/* ---- launches ---- */

/* Can vectors of four be moved as one? */
static bool is_aligned(const struct zm_matmul_args *a)
{
    uint32_t steps =
        a->x_offset | a->weight_offset | a->dst_offset | a->residual_offset | a->weighted_offset;
    if (a->m > 1)
        steps |= a->x_stride | a->dst_stride | a->residual_stride | a->weighted_stride;
    if (a->weight_panel == 0)
        steps |= a->weight_stride;
    if (a->batch > 1)
        steps |= a->x_batch | a->weight_batch | a->dst_batch | a->residual_batch;
    return steps % 4 == 0;
}

zm_status zm_gpu_tile_launch(const zm_call *call, const zm_gpu_shape *shape,
                             const zm_options *options, const zm_launch *launch, zm_plan *plan)
{
    zm_gpu_tile tiles[ZM_MAX_GPU_TILES];
    zm_refusal refusal;
    zm_status status = ZM_ERROR_UNSUPPORTED;
    size_t count = zm_gpu_tiles_rank(call->device, shape, tiles, &refusal);
    for (size_t i = 0; i < count && status != ZM_OK; i++) {
        const zm_gpu_tile *tile = &tiles[i];
        zm_options all = *options;
        zm_launch tiled = *launch;
        zm_gpu_tile_options(call->device, &all, shape, tile);
        tiled.options = all.text;
        tiled.groups[0] = zm_ceil_div(shape->rows, tile->rows);
        tiled.groups[1] = zm_ceil_div(shape->slots, tile->slots);
        tiled.groups[2] = shape->batch;
        tiled.local[0] = zm_gpu_tile_items(tile);
        status = zm_plan_add(call, &tiled, plan);
    }
    return status;
}

static zm_status tile_plan(const zm_call *call, bool local_memory, zm_plan *plan)
{
    const zm_matmul_params *p = call->params;
    const struct zm_matmul_args args = zm_matmul_args_get(call->device, p);
    const zm_gpu_shape shape = shape_of(p, local_memory);
    zm_options options = zm_options_types(call->op, p);
    zm_launch launch = {.args = &args, .args_size = sizeof(args)};
    zm_options_add(&options, "ALIGNED", is_aligned(&args));
    zm_matmul_bind(p, &launch);
    return zm_gpu_tile_launch(call, &shape, &options, &launch, plan);
}

zm_status zm_gpu_matmul_plan(const zm_call *call, zm_plan *plan)
{
    return tile_plan(call, true, plan);
}

zm_status zm_gpu_cached_plan(const zm_call *call, zm_plan *plan)
{
    return tile_plan(call, false, plan);
}

zm_status zm_gpu_direct_plan(const zm_call *call, zm_plan *plan)
{
    return tile_plan(call, true, plan);
}

zm_status zm_gpu_matvec_plan(const zm_call *call, zm_plan *plan)
{
    const zm_matmul_params *p = call->params;
    const struct zm_matmul_args args = zm_matmul_args_get(call->device, p);
    uint32_t rows = call->part ? call->part->rows : rows_of(&p->weight);
    const zm_gpu_matvec v = matvec_of(call->device, p, rows, call->most_items);
    if (v.rows == 0)
        return ZM_ERROR_UNSUPPORTED;
    zm_options options = zm_options_types(call->op, p);
    zm_options_add(&options, "ALIGNED", is_aligned(&args));
    zm_options_add(&options, "ROWS", v.rows);
    zm_options_add(&options, "LANES", v.lanes);
    zm_options_add(&options, "ITEMS", v.items);
    zm_launch launch = {
        .options = options.text,
        .groups = {zm_ceil_div(rows_of(&p->weight), ZM_GPU_PANEL) * (16 / v.lanes)},
        .local = {v.items},
        .args = &args,
        .args_size = sizeof(args),
    };
    zm_matmul_bind(p, &launch);
    return zm_plan_add(call, &launch, plan);
}
