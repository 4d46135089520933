/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "common/half.h"
#include "ops/operand.h"
#include "ops/parts.h"
#include "ops/tuning.h"
#include "ops/turn.h"
#include "ops/view.h"
#include "ops/weight_blocks.h"

/* A tile stays in the first-level cache while its rows become columns. */
#define TILE_ROWS ZM_BLOCKS_MOST_ROWS
#define TILE_COLS 64

static const zm_op *const readers[] = {&zm_op_matmul, &zm_op_conv1d, &zm_op_patch_embedding};

/* A forced kernel decides; any of those that read the layout. */
static uint32_t wanted_panel(const zm_device *device)
{
    for (size_t i = 0; i < ZM_COUNT(readers); i++) {
        const zm_candidate *forced = zm_op_forced(device, readers[i]);
        if (forced && forced->plain_rows)
            return 0;
        if (forced)
            break;
    }
    return zm_tuning_of(zm_layout_family(device, readers, ZM_COUNT(readers)))->weight_panel;
}

bool zm_weight_type_is_read(const zm_device *device, zm_dtype dtype)
{
    if (zm_dtype_block_length(dtype) <= 1)
        return zm_type_is_stored(device, dtype);
    zm_kernel_family family = zm_layout_family(device, readers, ZM_COUNT(readers));
    return zm_blocks_family_reads(family, dtype) &&
           wanted_panel(device) == zm_tuning_of(family)->weight_panel;
}

zm_status zm_weight_layout_get(const zm_device *device, uint32_t n, uint32_t k, zm_dtype dtype,
                               zm_weight_layout *out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_weight_layout layout = {.panel = wanted_panel(device)};
    uint32_t block = zm_dtype_block_length(dtype);
    if (n == 0 || k == 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "weight layout: [%" PRIu32 "][%" PRIu32 "] is empty", n, k);
    if (block > 1 && k % block != 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "weight layout: rows of %" PRIu32 " are not whole blocks of %s", k,
                       zm_dtype_name(dtype));
    if (!zm_weight_type_is_read(device, dtype))
        return zm_fail(
            &device->log, block > 1 ? ZM_ERROR_UNSUPPORTED : ZM_ERROR_INVALID_ARGUMENT,
            "weight layout: weights of type %s can't be used; convert them to f32, f16 or bf16",
            zm_dtype_name(dtype));
    if (!zm_weight_elements(layout.panel, n, k, &layout.elements))
        return zm_fail(&device->log, ZM_ERROR_LIMIT,
                       "weight layout: [%" PRIu32 "][%" PRIu32 "] is too large", n, k);
    uint64_t most = device->info.limits.max_buffer_bytes;
    if (zm_dtype_bytes(dtype, layout.elements) > most)
        layout.part_rows = zm_part_rows(device, n, layout.panel, k, dtype, most);
    *out = layout;
    return ZM_OK;
}

/* Wider, or to half of the bits; blocks stay blocks. */
static bool can_convert(zm_dtype dst, zm_dtype src)
{
    if (zm_dtype_block_length(src) > 1)
        return dst == src;
    bool half = dst == ZM_F16 || dst == ZM_BF16;
    switch (src) {
    case ZM_F16:
    case ZM_BF16:
    case ZM_F32: return half || dst == ZM_F32 || dst == ZM_F64;
    case ZM_F64: return half || dst == ZM_F64;
    default: return false;
    }
}

/* rows x k elements, at most TILE_ROWS of them, all in one panel that begins at dst. */
static void pack_rows(unsigned char *dst, zm_dtype dst_type, uint32_t panel,
                      const unsigned char *src, zm_dtype src_type, uint32_t rows, uint32_t k)
{
    uint64_t converted[TILE_ROWS * TILE_COLS];
    size_t to = zm_dtype_size(dst_type), from = zm_dtype_size(src_type);
    for (uint32_t col = 0; col < k; col += TILE_COLS) {
        zm_tile t = {.src = src + (size_t)col * from,
                     .src_stride = (size_t)k * from,
                     .rows = rows,
                     .cols = k - col < TILE_COLS ? k - col : TILE_COLS,
                     .dst = dst + (size_t)col * panel * to,
                     .dst_stride = panel * to};
        if (dst_type != src_type) {
            for (uint32_t r = 0; r < rows; r++)
                zm_convert_reals((unsigned char *)converted + r * TILE_COLS * to, dst_type,
                                 t.src + r * t.src_stride, src_type, t.cols);
            t.src = (const uint8_t *)converted;
            t.src_stride = TILE_COLS * to;
        }
        zm_tile_turn(&t, to);
    }
}

/* Where rows come from and where they go. */
typedef struct packing {
    unsigned char *dst;
    zm_dtype dst_type, src_type;
    uint32_t panel, k;
} packing;

/* Rows of src become the rows first .. first+count-1 of dst, the zeros counted too. */
static void pack_span(const packing *p, uint64_t first, const void *src, uint32_t count)
{
    const unsigned char *from = src;
    size_t to_size = zm_dtype_size(p->dst_type), from_size = zm_dtype_size(p->src_type);
    bool blocks = zm_dtype_block_length(p->src_type) > 1;
    if (p->panel == 0 && blocks) {
        uint64_t row = zm_dtype_bytes(p->src_type, p->k);
        memcpy(p->dst + first * row, from, count * row);
        return;
    }
    if (p->panel == 0) {
        zm_convert_reals(p->dst + (size_t)first * p->k * to_size, p->dst_type, from, p->src_type,
                         (uint64_t)count * p->k);
        return;
    }
    for (uint32_t row = 0, step; row < count; row += step) {
        uint32_t lane = (uint32_t)((first + row) % p->panel);
        size_t panel = (size_t)((first + row) / p->panel);
        step = p->panel - lane < TILE_ROWS ? p->panel - lane : TILE_ROWS;
        if (step > count - row)
            step = count - row;
        if (blocks)
            zm_blocks_pack(p->dst + zm_dtype_bytes(p->dst_type, panel * p->panel * p->k),
                           p->dst_type, p->panel, lane,
                           from + row * zm_dtype_bytes(p->src_type, p->k), step, p->k);
        else
            pack_rows(p->dst + (panel * p->panel * p->k + lane) * to_size, p->dst_type, p->panel,
                      from + (size_t)row * p->k * from_size, p->src_type, step, p->k);
    }
}

static bool layout_is(const zm_weight_layout *layout, uint32_t n, uint32_t k, zm_dtype dtype)
{
    uint64_t elements;
    return k != 0 && k % zm_dtype_block_length(dtype) == 0 &&
           zm_weight_elements(layout->panel, n, k, &elements) && elements == layout->elements &&
           elements <= SIZE_MAX / 8;
}

zm_status zm_weight_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                         uint32_t n_total, uint32_t first, const void *src, zm_dtype src_type,
                         uint32_t n, uint32_t k)
{
    if (!dst || !src || !layout || !can_convert(dst_type, src_type))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (n > n_total || first > n_total - n || !layout_is(layout, n_total, k, src_type))
        return ZM_ERROR_INVALID_ARGUMENT;
    const packing p = {dst, dst_type, src_type, layout->panel, k};
    pack_span(&p, first, src, n);
    return ZM_OK;
}

/* ---- gated ----
 *             panel 0                      panel 1, the last
 *   weights   | gate 0 .. h-1 | up 0 .. h-1 | gate h .. n-1 | 0 | up h .. n-1 | 0 |
 *   bias      | gate 0 .. h-1 | up 0 .. h-1 | gate h .. n-1 | up h .. n-1 |
 * h is half a panel; without panels it is 1. */

static uint32_t half_panel(const zm_weight_layout *layout)
{
    return layout->panel ? layout->panel / 2 : 1;
}

static bool can_gate(const zm_weight_layout *layout, uint32_t n)
{
    return layout->panel % 2 == 0 && n != 0 && n <= UINT32_MAX / 2;
}

zm_status zm_gated_weight_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                               const void *gate, const void *up, zm_dtype src_type, uint32_t n,
                               uint32_t k)
{
    if (!dst || !gate || !up || !layout || !can_convert(dst_type, src_type))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!can_gate(layout, n) || !layout_is(layout, 2 * n, k, src_type))
        return ZM_ERROR_INVALID_ARGUMENT;
    const packing p = {dst, dst_type, src_type, layout->panel, k};
    size_t row = zm_dtype_bytes(src_type, k);
    uint32_t half = half_panel(layout);
    for (uint32_t i = 0, count; i < n; i += count) {
        count = n - i < half ? n - i : half;
        pack_span(&p, 2 * (uint64_t)i, (const char *)gate + i * row, count);
        pack_span(&p, 2 * (uint64_t)i + half, (const char *)up + i * row, count);
    }
    return ZM_OK;
}

zm_status zm_gated_bias_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                             const void *gate, const void *up, zm_dtype src_type, uint32_t n)
{
    if (!dst || !gate || !up || !layout || !can_convert(dst_type, src_type) || !can_gate(layout, n))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (zm_dtype_block_length(src_type) > 1)
        return ZM_ERROR_INVALID_ARGUMENT;
    size_t from = zm_dtype_size(src_type), to = zm_dtype_size(dst_type);
    uint32_t half = half_panel(layout);
    for (uint32_t i = 0, count; i < n; i += count) {
        count = n - i < half ? n - i : half;
        char *place = (char *)dst + 2 * (size_t)i * to;
        zm_convert_reals(place, dst_type, (const char *)gate + i * from, src_type, count);
        zm_convert_reals(place + count * to, dst_type, (const char *)up + i * from, src_type,
                         count);
    }
    return ZM_OK;
}
