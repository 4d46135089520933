/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_tiles.h"

#include <inttypes.h>

#include "ops/tuning.h"
#include "ops/tunings.h"

/* The efficiencies follow from the reads of local memory per multiply-add. Of the narrow tiles
 * those of 128 slots are there for gated products with statistics, those of 8 rows for devices with
 * small work-groups. The last two are for the tuner to try. */
static const zm_gpu_tile_tuning gpu_tuning = {
    .tiles =
        {
            {128, 128, 8, 8, 1000},
            {128, 64, 16, 8, 950},
            {64, 64, 16, 4, 800},
            {64, 64, 16, 8, 640},
            {32, 64, 16, 4, 650},
            {32, 128, 16, 4, 600},
            {16, 64, 16, 2, 450},
            {16, 128, 16, 4, 350},
            {8, 64, 8, 8, 60},
            {8, 128, 8, 8, 50},
            {64, 128, 16, 8, 0},
            {128, 128, 16, 8, 0},
        },
    .local_memory = ZM_GPU_LOCAL_MEMORY_OWN,
    .matvec_rows = 8,
    .matvec_items = 256,
    .matvec_local_bytes = 16384,
    .matvec_groups = 256,
};

const zm_gpu_tile_tuning *zm_gpu_tile_tuning_get(const zm_device *device)
{
    return &zm_tunings_get(device)->gpu_matmul;
}

const zm_gpu_tile_tuning *zm_gpu_tile_tuning_default(void)
{
    return &gpu_tuning;
}

static uint32_t compute_units(const zm_device *device)
{
    uint32_t units = device->info.limits.compute_units;
    return units ? units : 1;
}

static bool items_fit(const zm_device *device, uint32_t items)
{
    const zm_device_limits *limits = &device->info.limits;
    return items <= limits->max_work_group && items <= limits->max_work_group_dim[0];
}

bool zm_gpu_prefers_caches(const zm_device *device)
{
    uint32_t use = zm_gpu_tile_tuning_get(device)->local_memory;
    return use == ZM_GPU_LOCAL_MEMORY_NEVER ||
           (use == ZM_GPU_LOCAL_MEMORY_OWN && !device->info.limits.own_local_memory);
}

uint32_t zm_gpu_tile_items(const zm_gpu_tile *tile)
{
    return tile->rows / tile->item_rows * (tile->slots / 8);
}

/* As matmul_tile.clh declares it at most, with the scales of the rows. */
static uint64_t tile_local_bytes(const zm_gpu_shape *shape, const zm_gpu_tile *tile)
{
    uint64_t pad = shape->panels ? 4 : 8;
    uint64_t operands = tile->depth * (tile->rows + tile->slots + pad) * sizeof(float);
    uint64_t parts = zm_gpu_tile_items(tile) * 2 * sizeof(float);
    return (shape->local_memory ? operands : parts) + tile->rows * 2 * sizeof(float);
}

static bool tile_fits(const zm_device *device, const zm_gpu_shape *shape, const zm_gpu_tile *tile)
{
    return items_fit(device, zm_gpu_tile_items(tile)) &&
           (!shape->two_panels || tile->slots == 2 * ZM_GPU_PANEL) &&
           tile_local_bytes(shape, tile) <= device->info.limits.local_memory_bytes;
}

bool zm_gpu_tile_same(const zm_gpu_tile *a, const zm_gpu_tile *b)
{
    return a->rows == b->rows && a->slots == b->slots && a->depth == b->depth &&
           a->item_rows == b->item_rows;
}

/* Vectors that a work-item carries to local memory, of x and of weights; 0 = they can't be shared
 * evenly. More than MOST_LOADS would not stay in registers. */
#define MOST_LOADS 16
static bool loads_are_shared(const zm_gpu_tile *tile)
{
    uint32_t x = 2 * tile->item_rows * tile->depth / tile->slots;
    uint32_t weights = 2 * tile->item_rows * tile->depth / tile->rows;
    return x && weights && x <= MOST_LOADS && weights <= MOST_LOADS;
}

static bool tile_valid(const zm_device *device, const zm_gpu_tile *tile, zm_refusal *refusal)
{
    static const zm_gpu_shape largest = {.local_memory = true}; /* weights in rows */
    const zm_device_limits *limits = &device->info.limits;
    const char *why = NULL;
    if (tile->rows < tile->item_rows || !loads_are_shared(tile))
        why = "work-items can't share it evenly";
    else if (!items_fit(device, zm_gpu_tile_items(tile)))
        why = "its work-groups are too large for the device";
    else if (tile_local_bytes(&largest, tile) > limits->local_memory_bytes)
        why = "it takes more local memory than the device has";
    if (why)
        zm_refuse(refusal, ZM_ERROR_BAD_FORMAT,
                  "a tile of %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", %" PRIu32 " rows each: %s",
                  tile->rows, tile->slots, tile->depth, tile->item_rows, why);
    return !why;
}

bool zm_gpu_tiles_valid(const zm_device *device, const zm_gpu_tile_tuning *before,
                        const zm_gpu_tile_tuning *tuning, zm_refusal *refusal)
{
    for (size_t i = 0; i < ZM_MAX_GPU_TILES; i++) {
        const zm_gpu_tile *old = &before->tiles[i], *tile = &tuning->tiles[i];
        bool changed = !old->efficiency || !zm_gpu_tile_same(old, tile);
        if (tile->efficiency && changed && !tile_valid(device, tile, refusal))
            return false;
    }
    return true;
}

/* Rounds of work-groups times the work of each. Which tile it is changes no bits: all of them sum
 * in the same order. */
static uint64_t tile_cost(const zm_device *device, const zm_gpu_shape *shape,
                          const zm_gpu_tile *tile)
{
    uint64_t groups = (uint64_t)zm_ceil_div(shape->rows, tile->rows) *
                      zm_ceil_div(shape->slots, tile->slots) * shape->batch;
    uint64_t rounds = zm_ceil_div(groups, compute_units(device));
    return rounds * tile->rows * tile->slots * 1000 / tile->efficiency;
}

size_t zm_gpu_tiles_rank(const zm_device *device, const zm_gpu_shape *shape,
                         zm_gpu_tile ranked[ZM_MAX_GPU_TILES], zm_refusal *refusal)
{
    const zm_gpu_tile_tuning *tuning = zm_gpu_tile_tuning_get(device);
    uint64_t costs[ZM_MAX_GPU_TILES];
    size_t count = 0;
    for (size_t i = 0; i < ZM_MAX_GPU_TILES; i++) {
        const zm_gpu_tile *tile = &tuning->tiles[i];
        if (!tile->efficiency || !tile_fits(device, shape, tile))
            continue;
        uint64_t cost = tile_cost(device, shape, tile);
        size_t place = count++;
        for (; place > 0 && costs[place - 1] > cost; place--) {
            costs[place] = costs[place - 1];
            ranked[place] = ranked[place - 1];
        }
        costs[place] = cost;
        ranked[place] = *tile;
    }
    if (count == 0)
        zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                  "no tile fits %" PRIu32 " work-items and %" PRIu64 " bytes of local memory",
                  device->info.limits.max_work_group, device->info.limits.local_memory_bytes);
    return count;
}

void zm_gpu_tile_options(const zm_device *device, zm_options *options, const zm_gpu_shape *shape,
                         const zm_gpu_tile *tile)
{
    zm_options_add(options, "LOCAL_MEMORY", shape->local_memory);
    zm_options_add(options, "MWG", tile->rows);
    zm_options_add(options, "NWG", tile->slots);
    zm_options_add(options, "KWG", tile->depth);
    zm_options_add(options, "MWI", tile->item_rows);
    if (device->info.limits.fp16 && shape->local_memory && shape->float16)
        zm_options_add(options, "FP16", 1);
}

/* Few kinds of rows, because each is a kernel to compile. */
static uint32_t round_rows(uint32_t m)
{
    uint32_t rows = 1;
    while (rows < m)
        rows *= 2;
    return rows;
}

/* As matvec.cl declares it. */
static bool matvec_fits(const zm_device *device, const zm_gpu_matvec *v)
{
    uint64_t most = zm_gpu_tile_tuning_get(device)->matvec_local_bytes;
    uint64_t vectors = v->items > v->lanes ? v->items / 2 : v->lanes;
    uint64_t bytes = v->rows * (vectors * 4 + (1 + v->lanes) * 2) * sizeof(float);
    return items_fit(device, v->items) && bytes <= most &&
           bytes <= device->info.limits.local_memory_bytes;
}

zm_gpu_matvec zm_gpu_matvec_get(const zm_device *device, uint32_t m, uint32_t panels, uint32_t k,
                                bool whole_panels, uint32_t most_items)
{
    const zm_gpu_tile_tuning *tuning = zm_gpu_tile_tuning_get(device);
    zm_gpu_matvec v = {.rows = round_rows(m), .lanes = 16, .items = tuning->matvec_items};
    if (!whole_panels && panels < tuning->matvec_groups)
        v.lanes = 4;
    while (v.items > v.lanes && (v.items > most_items || !matvec_fits(device, &v)))
        v.items /= 2;
    /* Sub-lanes without a step of k would only wait. */
    while (v.items > 64 && v.items / v.lanes * 4 > k)
        v.items /= 2;
    if (v.items > most_items || !matvec_fits(device, &v))
        v.rows = 0;
    return v;
}
