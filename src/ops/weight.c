/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "common/half.h"
#include "ops/tuning.h"
#include "ops/view.h"

/* A tile stays in the first-level cache while its rows become columns. */
#define TILE_ROWS 32
#define TILE_COLS 64

zm_status zm_weight_layout_get(const zm_device *device, uint32_t n, uint32_t k, zm_dtype dtype,
                               zm_weight_layout *out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_weight_layout layout = {.panel = zm_tuning_get(device)->weight_panel};
    if (n == 0 || k == 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "weight layout: [%" PRIu32 "][%" PRIu32 "] is empty", n, k);
    if (dtype != ZM_F32 && dtype != ZM_F16 && dtype != device->info.real_type)
        return zm_fail(
            &device->log, ZM_ERROR_INVALID_ARGUMENT,
            "weight layout: weights of type %s can't be used; convert them to f32 or f16",
            zm_dtype_name(dtype));
    if (!zm_weight_elements(layout.panel, n, k, &layout.elements))
        return zm_fail(&device->log, ZM_ERROR_LIMIT,
                       "weight layout: [%" PRIu32 "][%" PRIu32 "] is too large", n, k);
    *out = layout;
    return ZM_OK;
}

static bool can_convert(zm_dtype dst, zm_dtype src)
{
    switch (src) {
    case ZM_F16:
    case ZM_BF16: return dst == src || dst == ZM_F32 || dst == ZM_F64 || dst == ZM_F16;
    case ZM_F32: return dst == ZM_F32 || dst == ZM_F64 || dst == ZM_F16;
    case ZM_F64: return dst == ZM_F64 || dst == ZM_F16;
    default: return false;
    }
}

/* Rows of elements that keep their bits, turned into columns `panel` elements apart. */
typedef struct tile {
    const unsigned char *src;
    size_t src_stride; /* bytes from row to row */
    uint32_t rows, cols;
    unsigned char *dst;
    size_t dst_stride; /* bytes from column to column */
} tile;

/* element is a constant in each call below, so that memcpy is one move. */
static inline void turn(const tile *t, size_t element)
{
    for (uint32_t c = 0; c < t->cols; c++)
        for (uint32_t r = 0; r < t->rows; r++)
            memcpy(t->dst + c * t->dst_stride + r * element,
                   t->src + r * t->src_stride + c * element, element);
}

static void tile_turn(const tile *t, size_t element)
{
    switch (element) {
    case 2: turn(t, 2); break;
    case 4: turn(t, 4); break;
    default: turn(t, 8); break;
    }
}

/* rows x k elements, at most TILE_ROWS of them, all in one panel that begins at dst. */
static void pack_rows(unsigned char *dst, zm_dtype dst_type, uint32_t panel,
                      const unsigned char *src, zm_dtype src_type, uint32_t rows, uint32_t k)
{
    uint64_t converted[TILE_ROWS * TILE_COLS];
    size_t to = zm_dtype_size(dst_type), from = zm_dtype_size(src_type);
    for (uint32_t col = 0; col < k; col += TILE_COLS) {
        tile t = {.src = src + (size_t)col * from,
                  .src_stride = (size_t)k * from,
                  .rows = rows,
                  .cols = k - col < TILE_COLS ? k - col : TILE_COLS,
                  .dst = dst + (size_t)col * panel * to,
                  .dst_stride = panel * to};
        if (dst_type != src_type) {
            for (uint32_t r = 0; r < rows; r++)
                zm_convert_reals((unsigned char *)converted + r * TILE_COLS * to, dst_type,
                                 t.src + r * t.src_stride, src_type, t.cols);
            t.src = (const unsigned char *)converted;
            t.src_stride = TILE_COLS * to;
        }
        tile_turn(&t, to);
    }
}

zm_status zm_weight_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                         uint32_t n_total, uint32_t first, const void *src, zm_dtype src_type,
                         uint32_t n, uint32_t k)
{
    uint64_t elements;
    if (!dst || !src || !layout || !can_convert(dst_type, src_type))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (n > n_total || first > n_total - n || k == 0 ||
        !zm_weight_elements(layout->panel, n_total, k, &elements) || elements != layout->elements ||
        elements > SIZE_MAX / 8)
        return ZM_ERROR_INVALID_ARGUMENT;

    unsigned char *to = dst;
    const unsigned char *from = src;
    size_t to_size = zm_dtype_size(dst_type);
    if (layout->panel == 0) {
        zm_convert_reals(to + (size_t)first * k * to_size, dst_type, from, src_type,
                         (uint64_t)n * k);
        return ZM_OK;
    }
    for (uint32_t row = 0, step; row < n; row += step) {
        uint32_t lane = (first + row) % layout->panel;
        size_t panel = (first + row) / layout->panel;
        step = layout->panel - lane < TILE_ROWS ? layout->panel - lane : TILE_ROWS;
        if (step > n - row)
            step = n - row;
        pack_rows(to + (panel * layout->panel * k + lane) * to_size, dst_type, layout->panel,
                  from + (size_t)row * k * zm_dtype_size(src_type), src_type, step, k);
    }
    return ZM_OK;
}
