/* SPDX-License-Identifier: Apache-2.0 */
/* patch_embedding for CPU devices: dst[patch] = w . pixels of the patch + bias + position[patch].
 *
 *   x [channels][height][width]                  a patch as a row of x of a matmul
 *   +----+----+----+
 *   |----|    |    |  one line of a patch is     | c 0 u 0 | c 0 u 1 | ... | c 1 u 0 | ...
 *   |    |    |    |  `patch` pixels side by       patch     patch
 *   +----+----+----+  side
 *
 * Weight [n][channels * patch * patch], packed in panels of 32 outputs as for matmul. A work-item
 * owns one panel (group 0) and row_block patches (group 1), ROWS at a time: K_BLOCK pixels of each
 * are gathered into private memory, then the register tile runs over them. */
#include "args.h"
#include "kernel.clh"
#include "matmul_tile.clh"

TILE_PRODUCT(product, const float, __global const weight_t, LOAD_WEIGHT16)

/* Where the first pixels of the patches first .. first + ROWS - 1 lie in a channel. Past the last
 * patch that one is taken again. */
static void tile_places(const struct zm_patch_embedding_args *a, uint first, uint last,
                        size_t place[ROWS])
{
    uint across = a->width / a->patch;
    for (uint r = 0; r < ROWS; r++) {
        uint patch = min(first + r, last);
        place[r] = ((size_t)(patch / across) * a->width + patch % across) * a->patch;
    }
}

/* 16 pixels of a line of each patch. */
static void copy16(__global const act_t *line, const size_t place[ROWS], float *pixels)
{
#pragma unroll
    for (uint r = 0; r < ROWS; r++)
        KEEP16(LOAD_ACT16(line, place[r]), pixels, r * K_BLOCK);
}

static void copy8(__global const act_t *line, const size_t place[ROWS], float *pixels)
{
#pragma unroll
    for (uint r = 0; r < ROWS; r++)
        vstore8(LOAD_ACT8(line, place[r]), 0, pixels + r * K_BLOCK);
}

/* Whole vectors, of which the last may repeat some pixels of the one before. */
static void copy_run(__global const act_t *line, const size_t place[ROWS], uint count,
                     float *pixels)
{
    uint i = 0;
    for (; i + 16 <= count; i += 16)
        copy16(line + i, place, pixels + i);
    if (i < count && count >= 16) {
        copy16(line + count - 16, place, pixels + count - 16);
    } else if (i < count && count >= 8) {
        copy8(line, place, pixels);
        copy8(line + count - 8, place, pixels + count - 8);
    } else {
        for (; i < count; i++)
            for (uint r = 0; r < ROWS; r++)
                pixels[r * K_BLOCK + i] = LOAD_ACT(line, place[r] + i);
    }
}

/* Pixels k0 .. k0+k-1 of ROWS patches, line for line. */
static void gather_pixels(__global const act_t *x, const struct zm_patch_embedding_args *a,
                          const size_t place[ROWS], uint k0, uint k, float *pixels)
{
    for (uint i = 0, count; i < k; i += count) {
        uint line = (k0 + i) / a->patch, column = (k0 + i) % a->patch;
        size_t y = (size_t)(line / a->patch) * a->height + line % a->patch;
        count = min(a->patch - column, k - i);
        copy_run(x + y * a->width + column, place, count, pixels + i);
    }
}

/* dst = sums + bias + position for one row of a panel; position 0 = none. */
static void finish_row(const float *sums, const float16 bias[2], __global const param_t *position,
                       __global act_t *dst, uint count)
{
    float16 place[2];
    load_lanes(position, count, place);
    store16(vload16(0, sums) + bias[0] + place[0], dst, count);
    if (count > 16)
        store16(vload16(1, sums) + bias[1] + place[1], dst + 16, count - 16);
}

/* The sums of patches first .. end-1 of all; those of a tile begin at its number * ROWS * PANEL. */
static void panel_sums(__global const act_t *x, __global const weight_t *panel,
                       const struct zm_patch_embedding_args *a, uint rows, uint first, uint end,
                       float *sums)
{
    uint length = a->channels * a->patch * a->patch;
    float pixels[ROWS * K_BLOCK];
    const float *row[ROWS];
    size_t place[ROWS];
    for (uint r = 0; r < ROWS; r++)
        row[r] = pixels + r * K_BLOCK;
    for (uint k0 = 0; k0 < length; k0 += K_BLOCK, panel += K_BLOCK * PANEL) {
        uint k = min((uint)K_BLOCK, length - k0);
        for (uint next = first; next < end; next += ROWS) {
            tile_places(a, next, rows - 1, place);
            gather_pixels(x, a, place, k0, k, pixels);
            struct ahead ahead = {(size_t)pixels, 0, weights_ahead(panel, (next - first) / ROWS)};
            product(ROWS, row, panel, k, ahead, k0 == 0, sums + (next - first) * PANEL);
        }
    }
}

KERNEL(patch_embedding, __global const act_t *x, __global const weight_t *weight,
       __global const param_t *bias, __global const param_t *position, __global act_t *dst,
       struct zm_patch_embedding_args a)
{
    uint column = GROUP(0) * PANEL;
    uint count = min((uint)PANEL, a.n - column);
    uint rows = (a.height / a.patch) * (a.width / a.patch);
    uint first = GROUP(1) * a.row_block;
    uint end = min(first + a.row_block, rows);
    float sums[(ROW_BLOCK + ROWS) * PANEL];
    float16 lanes[2];
    load_lanes(a.flags & ZM_FLAG_BIAS ? bias + a.bias_offset + column : 0, count, lanes);
    weight += a.weight_offset + (size_t)column * a.channels * a.patch * a.patch;
    position = a.flags & ZM_FLAG_POSITION ? position + a.position_offset + column : 0;
    dst += a.dst_offset + column;
    panel_sums(x + a.x_offset, weight, &a, rows, first, end, sums);
    for (uint y = first; y < end; y++)
        finish_row(sums + (y - first) * PANEL, lanes,
                   position ? position + (size_t)y * a.position_stride : 0,
                   dst + (size_t)y * a.dst_stride, count);
}
