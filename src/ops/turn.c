/* SPDX-License-Identifier: Apache-2.0 */
/* Small elements are turned in squares whose rows are one vector wide. The index of an element of a
 * square that lies row by row is the bits of its row, then those of its column. A riffle, as of
 * cards, moves the top bit of all indices to the bottom; when all bits of the row have gone there,
 * the square is turned. Compilers make a riffle vector instructions that interleave. */
#include "ops/turn.h"

#include <string.h>

#define SIDE_8 16u
#define SIDE_16 8u

static inline void riffle_8(uint8_t *restrict dst, const uint8_t *restrict src)
{
    const uint32_t half = SIDE_8 * SIDE_8 / 2;
    for (uint32_t i = 0; i < half; i++) {
        dst[2 * i] = src[i];
        dst[2 * i + 1] = src[i + half];
    }
}

static inline void riffle_16(uint16_t *restrict dst, const uint16_t *restrict src)
{
    const uint32_t half = SIDE_16 * SIDE_16 / 2;
    for (uint32_t i = 0; i < half; i++) {
        dst[2 * i] = src[i];
        dst[2 * i + 1] = src[i + half];
    }
}

static void square_turn_8(uint8_t *dst, size_t dst_stride, const uint8_t *src, size_t src_stride)
{
    uint8_t a[SIDE_8 * SIDE_8], b[SIDE_8 * SIDE_8];
    for (uint32_t i = 0; i < SIDE_8; i++)
        memcpy(a + i * SIDE_8, src + i * src_stride, SIDE_8);
    riffle_8(b, a);
    riffle_8(a, b);
    riffle_8(b, a);
    riffle_8(a, b);
    for (uint32_t i = 0; i < SIDE_8; i++)
        memcpy(dst + i * dst_stride, a + i * SIDE_8, SIDE_8);
}

static void square_turn_16(uint8_t *dst, size_t dst_stride, const uint8_t *src, size_t src_stride)
{
    uint16_t a[SIDE_16 * SIDE_16], b[SIDE_16 * SIDE_16];
    for (uint32_t i = 0; i < SIDE_16; i++)
        memcpy(a + i * SIDE_16, src + i * src_stride, SIDE_16 * sizeof(*a));
    riffle_16(b, a);
    riffle_16(a, b);
    riffle_16(b, a);
    for (uint32_t i = 0; i < SIDE_16; i++)
        memcpy(dst + i * dst_stride, b + i * SIDE_16, SIDE_16 * sizeof(*b));
}

/* element is a constant in each call, so that memcpy is one move. The tile is a copy, which bytes
 * that are written can't be part of. */
static inline void turn(const zm_tile tile, size_t element)
{
    for (uint32_t r = 0; r < tile.rows; r++)
        for (uint32_t c = 0; c < tile.cols; c++)
            memcpy(tile.dst + c * tile.dst_stride + r * element,
                   tile.src + r * tile.src_stride + c * element, element);
}

static inline zm_tile part_of(const zm_tile *tile, size_t element, uint32_t row, uint32_t col)
{
    return (zm_tile){.src = tile->src + row * tile->src_stride + col * element,
                     .src_stride = tile->src_stride,
                     .rows = tile->rows - row,
                     .cols = tile->cols - col,
                     .dst = tile->dst + col * tile->dst_stride + row * element,
                     .dst_stride = tile->dst_stride};
}

/* Whole squares, then the columns and the rows that are left. */
static inline void turn_squares(const zm_tile *tile, size_t element, uint32_t side,
                                void (*square_turn)(uint8_t *, size_t, const uint8_t *, size_t))
{
    uint32_t rows = tile->rows - tile->rows % side, cols = tile->cols - tile->cols % side;
    for (uint32_t r = 0; r < rows; r += side) {
        for (uint32_t c = 0; c < cols; c += side) {
            zm_tile part = part_of(tile, element, r, c);
            square_turn(part.dst, part.dst_stride, part.src, part.src_stride);
        }
    }
    zm_tile right = part_of(tile, element, 0, cols), below = part_of(tile, element, rows, 0);
    right.rows = rows;
    turn(right, element);
    turn(below, element);
}

void zm_tile_turn(const zm_tile *tile, size_t element)
{
    switch (element) {
    case 1: turn_squares(tile, 1, SIDE_8, square_turn_8); break;
    case 2: turn_squares(tile, 2, SIDE_16, square_turn_16); break;
    case 4: turn(*tile, 4); break;
    default: turn(*tile, 8); break;
    }
}
