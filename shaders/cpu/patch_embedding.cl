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
 * owns one panel (group 0) and row_block patches (group 1), ROWS at a time: the lines of K_BLOCK
 * pixels are copied into private memory as float32, then the register tile runs over them. Requires
 * as many patches as ROWS; the last tile starts earlier and stores only its new rows. */
#include "args.h"
#include "matmul_tile.clh"

TILE_PRODUCT(product, const float, __global const weight_t, LOAD_WEIGHT16)

static void copy_line(__global const act_t *x, uint count, float *copy)
{
    uint i = 0;
    for (; i + 16 <= count; i += 16)
        KEEP16(LOAD_ACT16(x, i), copy, i);
    for (; i < count; i++)
        copy[i] = LOAD_ACT(x, i);
}

/* Pixels k0 .. k0+k-1 of a patch. */
static void gather_patch(__global const act_t *x, const struct zm_patch_embedding_args *a, uint row,
                         uint k0, uint k, float *copy)
{
    uint across = a->width / a->patch;
    x += ((size_t)(row / across) * a->width + row % across) * a->patch;
    for (uint i = k0, count; i < k0 + k; i += count, copy += count) {
        uint line = i / a->patch, v = i % a->patch;
        size_t y = (size_t)(line / a->patch) * a->height + line % a->patch;
        count = min(a->patch - v, k0 + k - i);
        copy_line(x + y * a->width + v, count, copy);
    }
}

static void tile_sums(__global const act_t *x, __global const weight_t *weight,
                      const struct zm_patch_embedding_args *a, uint row, float *sums)
{
    uint length = a->channels * a->patch * a->patch;
    float pixels[ROWS * K_BLOCK];
    for (uint k0 = 0; k0 < length; k0 += K_BLOCK, weight += K_BLOCK * PANEL) {
        uint k = min((uint)K_BLOCK, length - k0);
        for (uint r = 0; r < ROWS; r++)
            gather_patch(x, a, row + r, k0, k, pixels + r * K_BLOCK);
        float16 acc[ROWS][2];
        clear_sums(acc);
        product(pixels, K_BLOCK, weight, k, acc);
        keep_sums(acc, k0 == 0, sums);
    }
}

/* dst = sums + bias + position for one row of a panel; position 0 = none. */
static void finish_row(const float *sums, const float16 bias[2], __global const float *position,
                       __global act_t *dst, uint count)
{
    float16 place[2];
    load_lanes(position, count, place);
    store16(vload16(0, sums) + bias[0] + place[0], 0, dst, count);
    if (count > 16)
        store16(vload16(1, sums) + bias[1] + place[1], 0, dst + 16, count - 16);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
patch_embedding(__global const act_t *x, __global const weight_t *weight,
                __global const float *bias, __global const float *position, __global act_t *dst,
                struct zm_patch_embedding_args a)
{
    uint column = get_group_id(0) * PANEL;
    uint count = min((uint)PANEL, a.n - column);
    uint rows = (a.height / a.patch) * (a.width / a.patch);
    uint first = get_group_id(1) * a.row_block;
    uint end = min(first + a.row_block, rows);
    float16 lanes[2];
    load_lanes(a.flags & ZM_FLAG_BIAS ? bias + a.bias_offset + column : 0, count, lanes);
    weight += a.weight_offset + (size_t)column * a.channels * a.patch * a.patch;
    position = a.flags & ZM_FLAG_POSITION ? position + a.position_offset + column : 0;
    dst += a.dst_offset + column;
    for (uint next = first; next < end; next += ROWS) {
        float sums[ROWS * PANEL];
        uint row = min(next, rows - ROWS);
        tile_sums(x + a.x_offset, weight, &a, row, sums);
        for (uint y = next; y < min(next + ROWS, end); y++)
            finish_row(sums + (y - row) * PANEL, lanes,
                       position ? position + (size_t)y * a.position_stride : 0,
                       dst + (size_t)y * a.dst_stride, count);
    }
}
