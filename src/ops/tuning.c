/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tuning.h"

#include "ops/op.h"

#define CPU_TUNING                                                                                 \
    {                                                                                              \
        .weight_panel = 32, .key_panel = 16, .key_step = 32, .row_items_per_unit = 8,              \
        .row_elements_per_item = 4096, .block_rows = 192, .block_items_per_unit = 4,               \
        .matvec_items_per_unit = 4, .attention_few_rows = 4, .attention_max_head = 1024,           \
    }

/* A GPU runs the cpu family when it is told to; its own numbers come with its own kernels. */
static const zm_tuning tunings[] = {
    [ZM_FAMILY_REF] = {.key_step = 1, .attention_max_head = 2048},
    [ZM_FAMILY_CPU] = CPU_TUNING,
    [ZM_FAMILY_GPU] = CPU_TUNING,
};

/* Rows that the register tiles of the cpu family come in. A tile costs its rows and the loading of
 * weights; under FULL_TILE rows the chains of adds are too few to hide their latency. */
static const uint32_t tile_sizes[] = {12, 10, 8, 6, 4, 3, 2, 1};
#define FULL_TILE 4
#define TILE_LOADS 2

const zm_tuning *zm_tuning_get(const zm_device *device)
{
    if (device->info.backend == ZM_BACKEND_HOST)
        return &tunings[ZM_FAMILY_REF];
    return &tunings[device->info.type == ZM_DEVICE_CPU ? ZM_FAMILY_CPU : ZM_FAMILY_GPU];
}

uint32_t zm_ceil_div(uint64_t a, uint32_t b)
{
    return (uint32_t)((a + b - 1) / b);
}

static uint32_t compute_units(const zm_device *device)
{
    uint32_t units = device->info.limits.compute_units;
    return units ? units : 1;
}

uint32_t zm_panel_count(uint32_t n, uint32_t panel)
{
    return panel ? zm_ceil_div(n, panel) : 1;
}

uint32_t zm_row_items(const zm_device *device, uint32_t rows, uint32_t cols)
{
    const zm_tuning *tuning = zm_tuning_get(device);
    uint64_t most = (uint64_t)compute_units(device) * tuning->row_items_per_unit;
    uint64_t elements = (uint64_t)rows * cols;
    uint64_t items = tuning->row_elements_per_item ? elements / tuning->row_elements_per_item : 1;
    if (items > most)
        items = most;
    if (items > rows)
        items = rows;
    return items ? (uint32_t)items : 1;
}

/* The cheapest tile of at most m rows: the kernels never read rows that aren't there. */
static uint32_t tile_rows(uint32_t m)
{
    uint32_t best = 1;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < ZM_COUNT(tile_sizes); i++) {
        uint32_t size = tile_sizes[i];
        uint64_t tile = (size > FULL_TILE ? size : FULL_TILE) + TILE_LOADS;
        uint64_t cost = tile * zm_ceil_div(m, size);
        if (size <= m && cost < least) {
            least = cost;
            best = size;
        }
    }
    return best;
}

zm_tiling zm_tiling_get(const zm_device *device, uint32_t m, uint32_t columns)
{
    const zm_tuning *tuning = zm_tuning_get(device);
    zm_tiling tiling = {.rows = tile_rows(m), .row_block = m, .blocks = 1};
    if (tuning->block_rows == 0)
        return tiling;
    uint64_t wanted = (uint64_t)compute_units(device) * tuning->block_items_per_unit;
    uint32_t blocks = zm_ceil_div(wanted, columns);
    uint32_t least = zm_ceil_div(m, tuning->block_rows);
    if (blocks < least)
        blocks = least;
    uint32_t tiles = zm_ceil_div(m, tiling.rows);
    uint32_t tiles_per_block = tiles > blocks ? zm_ceil_div(tiles, blocks) : 1;
    tiling.row_block = tiles_per_block * tiling.rows;
    tiling.blocks = zm_ceil_div(m, tiling.row_block);
    return tiling;
}

uint32_t zm_matvec_panels(const zm_device *device, uint32_t panels)
{
    uint64_t items = (uint64_t)compute_units(device) * zm_tuning_get(device)->matvec_items_per_unit;
    return items && panels > items ? (uint32_t)(panels / items) : 1;
}
