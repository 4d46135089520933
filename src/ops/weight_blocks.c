/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/weight_blocks.h"

#include <inttypes.h>
#include <string.h>

#include "common/quant.h"
#include "common/quant_blocks.h"
#include "ops/tuning.h"
#include "ops/turn.h"

enum { BYTES = 0, SIX_BITS = 6 };

/* What a row has of a block, one after the other in a panel: numbers, each beside those of the
 * other rows. bits: BYTES = as they are in the file, SIX_BITS = sixteen numbers of so many bits;
 * else a word is elements of 1, 2 or 4 bits. The first of these lie in 2^span bytes, those of the
 * next elements above them in the same bytes, and so on until the bytes are full. */
typedef struct part {
    uint8_t from; /* the byte of the file's block where it begins */
    uint8_t size, count;
    uint8_t bits, span;
} part;

#define MOST_PARTS 4
static const part forms[ZM_DTYPE_COUNT][MOST_PARTS] = {
    [ZM_Q8_0] = {{0, 2, 1, BYTES, 0}, {2, 1, 32, BYTES, 0}},
    [ZM_Q4_0] = {{0, 2, 1, BYTES, 0}, {2, 4, 4, 4, 4}},
    [ZM_Q4_1] = {{0, 2, 2, BYTES, 0}, {4, 4, 4, 4, 4}},
    [ZM_Q5_0] = {{0, 2, 1, BYTES, 0}, {2, 4, 1, BYTES, 0}, {6, 4, 4, 4, 4}},
    [ZM_Q5_1] = {{0, 2, 2, BYTES, 0}, {4, 4, 1, BYTES, 0}, {8, 4, 4, 4, 4}},
    [ZM_Q2_K] = {{80, 2, 2, BYTES, 0}, {0, 4, 4, BYTES, 0}, {16, 4, 16, 2, 5}},
    [ZM_Q3_K] = {{108, 2, 1, BYTES, 0},
                 {96, 4, 3, SIX_BITS, 0},
                 {0, 4, 8, 1, 5},
                 {32, 4, 16, 2, 5}},
    [ZM_Q4_K] = {{0, 2, 2, BYTES, 0}, {4, 4, 3, SIX_BITS, 0}, {16, 4, 32, 4, 5}},
    [ZM_Q5_K] = {{0, 2, 2, BYTES, 0}, {4, 4, 3, SIX_BITS, 0}, {16, 4, 8, 1, 5}, {48, 4, 32, 4, 5}},
    [ZM_Q6_K] = {{208, 2, 1, BYTES, 0},
                 {192, 4, 4, BYTES, 0},
                 {128, 4, 16, 2, 5},
                 {0, 4, 32, 4, 6}},
};

/* ---- elements of 1, 2 or 4 bits ---- */

/* The same bits of so many bytes, on end; and back. bits is a constant in each call. */
static inline void bits_join(uint8_t *restrict dst, const uint8_t *restrict src, uint32_t bytes,
                             uint32_t bits, uint32_t shift)
{
    for (uint32_t i = 0; bits == 4 && i < bytes / 2; i++) {
        uint16_t all;
        memcpy(&all, src + 2 * i, sizeof(all));
        all = (uint16_t)(all >> shift);
        dst[i] = (uint8_t)((all & 15) | (all >> 4 & 0xf0));
    }
    for (uint32_t i = 0; bits == 2 && i < bytes / 4; i++) {
        uint32_t all;
        memcpy(&all, src + 4 * i, sizeof(all));
        all >>= shift;
        dst[i] = (uint8_t)((all & 3) | (all >> 6 & 12) | (all >> 12 & 0x30) | (all >> 18 & 0xc0));
    }
    for (uint32_t i = 0; bits == 1 && i < bytes / 8; i++) {
        uint64_t all;
        memcpy(&all, src + 8 * i, sizeof(all));
        all = all >> shift & UINT64_C(0x0101010101010101);
        dst[i] = (uint8_t)(all * UINT64_C(0x0102040810204080) >> 56);
    }
}

static inline void bits_split(uint8_t *dst, const uint8_t *src, uint32_t bytes, uint32_t bits,
                              uint32_t shift)
{
    uint32_t mask = (1u << bits) - 1;
    for (uint32_t i = 0; i < bytes; i++)
        dst[i] |= (uint8_t)((src[i * bits / 8] >> i * bits % 8 & mask) << shift);
}

/* The words of rows, one row behind the other. bits, span and count, those of the part, are
 * constants in each call, which is most of what makes this fast. */
static inline void words_get(uint8_t *words, const uint8_t *src, size_t stride, uint32_t rows,
                             uint32_t bits, uint32_t span, uint32_t count)
{
    const uint32_t bytes = 1u << span, size = count * 4u;
    for (uint32_t row = 0; row < rows; row++, src += stride) {
        const uint8_t *from = src;
        for (uint32_t at = 0; at < size; from += bytes)
            for (uint32_t shift = 0; shift < 8; shift += bits, at += bytes * bits / 8)
                bits_join(words + at, from, bytes, bits, shift);
        words += size;
    }
}

static void words_put(const part *p, uint8_t *block, const uint8_t *words)
{
    const uint32_t bytes = 1u << p->span, size = p->count * 4u;
    uint8_t *to = block + p->from;
    for (uint32_t at = 0; at < size; to += bytes)
        for (uint32_t shift = 0; shift < 8; shift += p->bits, at += bytes * p->bits / 8)
            bits_split(to, words + at, bytes, p->bits, shift);
}

/* ---- numbers of six bits: their low halves in two words, the others in the third ---- */

static void six_bits_get(const part *p, zm_dtype dtype, uint8_t *words, const uint8_t *block)
{
    uint8_t numbers[16];
    zm_block_get_six_bits(numbers, block + p->from, dtype == ZM_Q3_K);
    memset(words, 0, 12);
    for (uint32_t i = 0; i < 16; i++) {
        words[i / 2] |= (uint8_t)((numbers[i] & 15) << i % 2 * 4);
        words[8 + i / 4] |= (uint8_t)(numbers[i] >> 4 << i % 4 * 2);
    }
}

static void six_bits_put(const part *p, zm_dtype dtype, uint8_t *block, const uint8_t *words)
{
    uint8_t numbers[16];
    for (uint32_t i = 0; i < 16; i++)
        numbers[i] =
            (uint8_t)((words[i / 2] >> i % 2 * 4 & 15) | (words[8 + i / 4] >> i % 4 * 2 & 3) << 4);
    zm_block_put_six_bits(block + p->from, numbers, dtype == ZM_Q3_K);
}

/* ---- a block of each row, stride bytes apart; the panel's begin at dst or src ---- */

#define MOST_BYTES 128 /* of words of a part */

/* Parts of the same bits and span have the same count in all types. */
static void part_words(const part *p, zm_dtype dtype, uint8_t *words, const uint8_t *blocks,
                       size_t stride, uint32_t rows)
{
    const uint8_t *from = blocks + p->from;
    if (p->bits == SIX_BITS)
        for (uint32_t row = 0; row < rows; row++)
            six_bits_get(p, dtype, words + row * 12, blocks + row * stride);
    else if (p->bits == 1)
        words_get(words, from, stride, rows, 1, 5, 8);
    else if (p->bits == 2)
        words_get(words, from, stride, rows, 2, 5, 16);
    else if (p->span == 4)
        words_get(words, from, stride, rows, 4, 4, 4);
    else if (p->span == 5)
        words_get(words, from, stride, rows, 4, 5, 32);
    else
        words_get(words, from, stride, rows, 4, 6, 32);
}

static void blocks_pack(zm_dtype dtype, uint8_t *dst, uint32_t panel, const uint8_t *blocks,
                        size_t stride, uint32_t lane, uint32_t rows)
{
    uint8_t words[ZM_BLOCKS_MOST_ROWS * MOST_BYTES];
    for (const part *p = forms[dtype]; p < forms[dtype] + MOST_PARTS && p->count; p++) {
        zm_tile tile = {.src = blocks + p->from,
                        .src_stride = stride,
                        .rows = rows,
                        .cols = p->count,
                        .dst = dst + (size_t)lane * p->size,
                        .dst_stride = (size_t)panel * p->size};
        if (p->bits != BYTES) {
            part_words(p, dtype, words, blocks, stride, rows);
            tile.src = words;
            tile.src_stride = p->count * 4u;
        }
        zm_tile_turn(&tile, p->size);
        dst += (size_t)p->count * p->size * panel;
    }
}

static void block_unpack(zm_dtype dtype, uint8_t *block, const uint8_t *src, uint32_t panel,
                         uint32_t lane)
{
    uint8_t words[MOST_BYTES];
    memset(block, 0, zm_dtype_block_size(dtype));
    for (const part *p = forms[dtype]; p < forms[dtype] + MOST_PARTS && p->count; p++) {
        uint8_t *numbers = p->bits == BYTES ? block + p->from : words;
        for (uint32_t i = 0; i < p->count; i++)
            memcpy(numbers + i * p->size, src + ((size_t)i * panel + lane) * p->size, p->size);
        if (p->bits == SIX_BITS)
            six_bits_put(p, dtype, block, words);
        else if (p->bits != BYTES)
            words_put(p, block, words);
        src += (size_t)p->count * p->size * panel;
    }
}

/* ---- rows: the blocks of all of them before the next ones, so that these stay in the cache ----
 */

void zm_blocks_pack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                    uint32_t rows, uint32_t k)
{
    size_t size = zm_dtype_block_size(dtype), row_bytes = zm_dtype_bytes(dtype, k);
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (size_t at = 0; at < row_bytes; at += size, to += panel * size)
        blocks_pack(dtype, to, panel, from + at, row_bytes, lane, rows);
}

void zm_blocks_unpack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                      uint32_t rows, uint32_t k)
{
    size_t size = zm_dtype_block_size(dtype), row_bytes = zm_dtype_bytes(dtype, k);
    const uint8_t *from = src;
    uint8_t *to = dst;
    for (size_t at = 0; at < row_bytes; at += size, from += panel * size)
        for (uint32_t row = 0; row < rows; row++)
            block_unpack(dtype, to + row * row_bytes + at, from, panel, lane + row);
}

/* ---- who reads them ---- */

bool zm_blocks_family_reads(zm_kernel_family family, zm_dtype dtype)
{
    if (family == ZM_FAMILY_REF)
        return zm_quant_can_decode(dtype);
    return (family == ZM_FAMILY_CPU || family == ZM_FAMILY_GPU) && forms[dtype][0].count;
}

zm_status zm_blocks_accept(zm_kernel_family family, const zm_tensor *weight, zm_refusal *refusal)
{
    if (zm_dtype_block_length(weight->dtype) <= 1)
        return ZM_OK;
    uint32_t panel = zm_tuning_of(family)->weight_panel;
    if (zm_blocks_family_reads(family, weight->dtype) && weight->panel == panel)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "weights of %s in panels of %" PRIu32,
                     zm_dtype_name(weight->dtype), weight->panel);
}
