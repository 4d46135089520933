/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of the gpu family's matrix kernels, and the choices that follow from them. */
#ifndef ZM_SRC_OPS_GPU_TILES_H
#define ZM_SRC_OPS_GPU_TILES_H

#include "ops/op.h"
#include "ops/options.h"

#define ZM_GPU_PANEL 64

/* The tile of a work-group (shaders/gpu/matmul_tile.clh): powers of two, which the tuning file may
 * replace. */
typedef struct zm_gpu_tile {
    uint32_t rows;      /* MWG */
    uint32_t slots;     /* NWG */
    uint32_t depth;     /* KWG */
    uint32_t item_rows; /* MWI */
    /* Of the best tile's rate when enough of them run, about; 1000 = as good, 0 = not in use. */
    uint32_t efficiency;
} zm_gpu_tile;

/* Do the tiles of matmul go through local memory, or are the caches better? */
typedef enum zm_gpu_local_memory {
    ZM_GPU_LOCAL_MEMORY_OWN = 0, /* where it is memory of its own */
    ZM_GPU_LOCAL_MEMORY_ALWAYS,
    ZM_GPU_LOCAL_MEMORY_NEVER
} zm_gpu_local_memory;

#define ZM_MAX_GPU_TILES 12
typedef struct zm_gpu_tile_tuning {
    zm_gpu_tile tiles[ZM_MAX_GPU_TILES];
    uint32_t local_memory;       /* zm_gpu_local_memory */
    uint32_t matvec_rows;        /* m up to which there is a work-group per panel, 1..8 */
    uint32_t matvec_items;       /* of a work-group, a power of 2 */
    uint32_t matvec_local_bytes; /* that a work-group may take */
    uint32_t matvec_groups;      /* under this many panels, groups share them and cut sums finer */
} zm_gpu_tile_tuning;

const zm_gpu_tile_tuning *zm_gpu_tile_tuning_get(const zm_device *device);
/* Before anything was tuned. */
const zm_gpu_tile_tuning *zm_gpu_tile_tuning_default(void);

/* A product as the choice of a tile sees it. */
typedef struct zm_gpu_shape {
    uint32_t rows, slots, batch;
    bool panels;       /* weights are in panels of 64 */
    bool two_panels;   /* the tile has to be two panels wide */
    bool local_memory; /* operands go through it */
    bool float16;      /* one of the operands is float16 */
} zm_gpu_shape;

bool zm_gpu_prefers_caches(const zm_device *device);

uint32_t zm_gpu_tile_items(const zm_gpu_tile *tile);

/* Same rows, slots, depth and item_rows? */
bool zm_gpu_tile_same(const zm_gpu_tile *a, const zm_gpu_tile *b);

/* Can the kernels be compiled for the tiles that came into use after `before`, and has the device
 * room for each? False: the refusal says why not. */
bool zm_gpu_tiles_valid(const zm_device *device, const zm_gpu_tile_tuning *before,
                        const zm_gpu_tile_tuning *tuning, zm_refusal *refusal);

/* The tiles of the device that run this shape, the one expected to be fastest first. Returns
 * their number; with 0 the refusal says why. */
size_t zm_gpu_tiles_rank(const zm_device *device, const zm_gpu_shape *shape,
                         zm_gpu_tile ranked[ZM_MAX_GPU_TILES], zm_refusal *refusal);

/* Appends what the tile kernels are compiled with. */
void zm_gpu_tile_options(const zm_device *device, zm_options *options, const zm_gpu_shape *shape,
                         const zm_gpu_tile *tile);

/* How a work-group of matvec is cut (shaders/gpu/matvec.cl). */
typedef struct zm_gpu_matvec {
    uint32_t rows, lanes, items;
} zm_gpu_matvec;

/* whole_panels: a group has to take all of a panel. most_items: of a work-group. rows 0: the device
 * can't. */
zm_gpu_matvec zm_gpu_matvec_get(const zm_device *device, uint32_t m, uint32_t panels, uint32_t k,
                                bool whole_panels, uint32_t most_items);

#endif
