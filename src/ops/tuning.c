/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tuning.h"

#include "ops/op.h"
#include "ops/tunings.h"

static const zm_tuning host_tuning = {
    .key_step = 1,
    .statistics_group = 64,
    .attention_max_head = 2048,
};

static const zm_tuning cpu_tuning = {
    .weight_panel = 32,
    .key_panel = 16,
    .key_step = 32,
    .statistics_group = 32,
    .row_items_per_unit = 8,
    .row_elements_per_item = 4096,
    .product = {.rows = 352, .elements = 1u << 18, .items_per_unit = 4},
    .attention = {.rows = 192, .items_per_unit = 4},
    .matvec_items_per_unit = 8,
    .attention_few_rows = 4,
    .attention_max_head = 1024,
};

static const zm_tuning gpu_tuning = {
    .weight_panel = 64,
    .key_step = 1,
    .statistics_group = 64,
    .attention_max_head = 256,
};

/* Rows that the register tiles of the cpu family come in. A tile costs its rows and the loading of
 * weights; under FULL_TILE rows the chains of adds are too few to hide their latency. */
static const uint32_t tile_sizes[] = {12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1};
#define FULL_TILE 4
#define TILE_LOADS 2
#define WHOLE_PANEL 32 /* columns */

zm_kernel_family zm_family_get(const zm_device *device)
{
    if (device->info.backend == ZM_BACKEND_HOST)
        return ZM_FAMILY_REF;
    bool has_vectors = device->info.limits.float_vector_width != 1;
    return device->info.type == ZM_DEVICE_CPU && has_vectors ? ZM_FAMILY_CPU : ZM_FAMILY_GPU;
}

const zm_tuning *zm_tuning_of(zm_kernel_family family)
{
    switch (family) {
    case ZM_FAMILY_CPU: return &cpu_tuning;
    case ZM_FAMILY_GPU: return &gpu_tuning;
    default: return &host_tuning;
    }
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

uint32_t zm_element_items(const zm_device *device, uint64_t elements)
{
    const zm_tuning *tuning = &zm_tunings_get(device)->cpu;
    uint64_t most = (uint64_t)compute_units(device) * tuning->row_items_per_unit;
    uint64_t items = elements / tuning->row_elements_per_item;
    if (items > most)
        items = most;
    return items ? (uint32_t)items : 1;
}

uint32_t zm_row_items(const zm_device *device, uint32_t rows, uint32_t cols)
{
    uint32_t items = zm_element_items(device, (uint64_t)rows * cols);
    return items < rows ? items : rows;
}

/* The cheapest tile of at most m and at most `most` rows. */
static uint32_t tile_rows(uint32_t m, uint32_t most)
{
    uint32_t best = 1;
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < ZM_COUNT(tile_sizes); i++) {
        uint32_t size = tile_sizes[i];
        uint64_t tile = (size > FULL_TILE ? size : FULL_TILE) + TILE_LOADS;
        uint64_t cost = tile * zm_ceil_div(m, size);
        if (size <= m && size <= most && cost < least) {
            least = cost;
            best = size;
        }
    }
    return best;
}

/* Tiles of a block, at most. */
static uint32_t most_tiles(const zm_block_tuning *tuning, uint32_t tile, uint32_t k)
{
    uint32_t rows = tuning->rows;
    if (tuning->elements && k && tuning->elements / k < rows)
        rows = tuning->elements / k;
    return rows > tile ? rows / tile : 1;
}

static zm_tiling tiling_get(const zm_device *device, const zm_block_tuning *tuning, uint32_t m,
                            uint32_t k, uint32_t columns)
{
    zm_tiling tiling = {.rows = tile_rows(m, tuning->tile_rows), .columns = tuning->tile_columns};
    /* A few rows leave registers for all columns of a panel, whose sums are more chains then. */
    if (tiling.rows * WHOLE_PANEL < tuning->tile_rows * tuning->tile_columns)
        tiling.columns = WHOLE_PANEL;
    uint32_t tiles = zm_ceil_div(m, tiling.rows);
    uint64_t items = (uint64_t)compute_units(device) * tuning->items_per_unit;
    uint32_t blocks = zm_ceil_div(items, columns);
    uint32_t each = blocks ? tiles / blocks : tiles;
    uint32_t most = most_tiles(tuning, tiling.rows, k);
    if (each > most)
        each = most;
    if (each == 0)
        each = 1;
    /* As many blocks as that makes, but all alike. */
    each = zm_ceil_div(tiles, zm_ceil_div(tiles, each));
    tiling.row_block = each * tiling.rows;
    tiling.blocks = zm_ceil_div(tiles, each);
    return tiling;
}

zm_tiling zm_tiling_get(const zm_device *device, uint32_t m, uint32_t k, uint32_t columns)
{
    return tiling_get(device, &zm_tunings_get(device)->cpu.product, m, k, columns);
}

zm_tiling zm_attention_tiling_get(const zm_device *device, uint32_t m, uint32_t columns)
{
    return tiling_get(device, &zm_tunings_get(device)->cpu.attention, m, 0, columns);
}

uint32_t zm_matvec_panels(const zm_device *device, uint32_t panels)
{
    uint64_t items =
        (uint64_t)compute_units(device) * zm_tunings_get(device)->cpu.matvec_items_per_unit;
    return items && panels > items ? (uint32_t)(panels / items) : 1;
}

uint32_t zm_tile_columns(const zm_device *device)
{
    return zm_tunings_get(device)->cpu.product.tile_columns;
}
