/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_OPS_TURN_H
#define ZM_SRC_OPS_TURN_H

#include <stddef.h>
#include <stdint.h>

/* Rows of elements of 1, 2, 4 or 8 bytes that become columns. Nothing needs to be aligned. */
typedef struct zm_tile {
    const uint8_t *src;
    size_t src_stride; /* bytes from row to row */
    uint32_t rows, cols;
    uint8_t *dst;
    size_t dst_stride; /* bytes from column to column */
} zm_tile;

void zm_tile_turn(const zm_tile *tile, size_t element);

#endif
