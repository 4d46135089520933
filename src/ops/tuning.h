/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that decide how work is cut up: data, found by measuring, never literals in an op. What
 * is "per unit" deals out whole sums; how a sum itself is cut must not depend on the compute units,
 * or its bits would. */
#ifndef ZM_SRC_OPS_TUNING_H
#define ZM_SRC_OPS_TUNING_H

#include "device/device.h"

/* A work-item takes a block of rows, a few at a time. */
typedef struct zm_block_tuning {
    uint32_t rows;     /* of a block, at most; fewer when work-items would lack */
    uint32_t elements; /* of a block, at most: what stays in a core's own cache; 0 = no limit */
    uint32_t items_per_unit; /* work-items per compute unit, at least */
    uint32_t tile_rows;      /* at a time, in registers, at most */
    uint32_t tile_columns;   /* beside each other, in registers: 16 or 32 */
} zm_block_tuning;

typedef struct zm_tuning {
    uint32_t weight_panel; /* output rows per panel of weights; 0 = plain rows */
    uint32_t key_panel;    /* positions per panel of keys; 0 = plain rows */
    uint32_t key_step;     /* the capacity of a cache is a multiple of this: attention may read up
                              to the next one */
    uint32_t statistics_group; /* columns whose sums a matmul writes together */

    /* ---- cpu family ---- */

    /* norms, add and the like: a work-item takes whole rows */
    uint32_t row_items_per_unit;    /* work-items per compute unit, at most */
    uint32_t row_elements_per_item; /* at least, while there are rows enough */

    zm_block_tuning product;   /* matmul, conv1d, patch_embedding */
    zm_block_tuning attention; /* attention */

    uint32_t matvec_items_per_unit; /* one row: work-items per compute unit, about */
    uint32_t attention_few_rows;    /* up to here each row of a head is a work-item of its own */
    uint32_t attention_max_head;    /* the largest head that the kernels have room for */
} zm_tuning;

/* What holds for every device of the family, whatever was tuned for it: layouts and limits. */
const zm_tuning *zm_tuning_of(zm_kernel_family family);
/* The family that suits the kind of device; any other may be forced. A CPU whose compiler takes
 * vectors apart, work-item by work-item, is better off with the kernels for GPUs. */
zm_kernel_family zm_family_get(const zm_device *device);

/* ---- what follows from them for the cpu family ---- */

uint32_t zm_ceil_div(uint64_t a, uint32_t b);

/* Panels of n rows; 1 for plain rows. */
uint32_t zm_panel_count(uint32_t n, uint32_t panel);

/* Work-items for an op that takes elements as they come. */
uint32_t zm_element_items(const zm_device *device, uint64_t elements);

/* Work-items for an op that takes whole rows. */
uint32_t zm_row_items(const zm_device *device, uint32_t rows, uint32_t cols);

/* How a matrix of m rows of k elements and `columns` columns of work-items is cut. */
typedef struct zm_tiling {
    uint32_t rows;      /* at a time, in registers */
    uint32_t columns;   /* the same */
    uint32_t row_block; /* per work-item, a multiple of rows */
    uint32_t blocks;    /* along m */
} zm_tiling;
zm_tiling zm_tiling_get(const zm_device *device, uint32_t m, uint32_t k, uint32_t columns);
/* The same for attention. */
zm_tiling zm_attention_tiling_get(const zm_device *device, uint32_t m, uint32_t columns);

/* Panels of a one-row product that a work-item takes, of `panels`. */
uint32_t zm_matvec_panels(const zm_device *device, uint32_t panels);
/* Columns of the tiles of products, which say how many sums there are registers for. */
uint32_t zm_tile_columns(const zm_device *device);

#endif
