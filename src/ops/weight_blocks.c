/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/weight_blocks.h"

#include <inttypes.h>
#include <string.h>

#include "common/quant.h"
#include "common/quant_blocks.h"
#include "ops/tuning.h"

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

/* ---- eight elements: bytes of which the low bits count, or those bits on end ---- */

static uint64_t octet_load(const uint8_t *bytes)
{
    uint64_t all = 0;
    for (int i = 0; i < 8; i++)
        all |= (uint64_t)bytes[i] << 8 * i;
    return all;
}

static const uint64_t masks[5][3] = {
    [1] = {UINT64_C(0x0101010101010101), UINT64_C(0x0003000300030003),
           UINT64_C(0x0000000f0000000f)},
    [2] = {UINT64_C(0x0303030303030303), UINT64_C(0x000f000f000f000f),
           UINT64_C(0x000000ff000000ff)},
    [4] = {UINT64_C(0x0f0f0f0f0f0f0f0f), UINT64_C(0x00ff00ff00ff00ff),
           UINT64_C(0x0000ffff0000ffff)},
};

static uint32_t octet_join(uint64_t bytes, uint32_t bits)
{
    const uint64_t *mask = masks[bits];
    uint32_t gap = 8 - bits;
    bytes &= mask[0];
    bytes = (bytes | bytes >> gap) & mask[1];
    bytes = (bytes | bytes >> 2 * gap) & mask[2];
    return (uint32_t)(bytes | bytes >> 4 * gap);
}

static uint64_t octet_split(uint32_t word, uint32_t bits)
{
    const uint64_t *mask = masks[bits];
    uint32_t gap = 8 - bits;
    uint64_t bytes = word;
    bytes = (bytes | bytes << 4 * gap) & mask[2];
    bytes = (bytes | bytes << 2 * gap) & mask[1];
    return (bytes | bytes << gap) & mask[0];
}

/* ---- one word of elements, in a file's block ---- */

/* Where the bytes of an octet are, from those of the first one on, and in which of their bits. */
static inline uint32_t octet_place(uint32_t bits, uint32_t span, uint32_t octet, uint32_t *shift)
{
    uint32_t across = span - 3, around = span - bits / 2; /* octets, as powers of two */
    *shift = (octet >> across & ((1u << (around - across)) - 1)) * bits;
    return (octet >> around << span) + (octet & ((1u << across) - 1)) * 8;
}

/* bits and span are constants in each call: most of the work is done at compile time. */
static inline void words_pack(const part *p, uint8_t *dst, size_t step, const uint8_t *block,
                              uint32_t bits, uint32_t span)
{
    uint32_t octets = 4 / bits, mask = UINT32_MAX >> (32 - 8 * bits), shift;
    for (uint32_t i = 0; i < p->count; i++, dst += step) {
        uint32_t word = 0;
        for (uint32_t j = 0; j < octets; j++) {
            uint32_t place = octet_place(bits, span, i * octets + j, &shift);
            uint64_t bytes = octet_load(block + p->from + place) >> shift;
            word |= (octet_join(bytes, bits) & mask) << 8 * bits * j;
        }
        memcpy(dst, &word, sizeof(word));
    }
}

static void bits_pack(const part *p, uint8_t *dst, size_t step, const uint8_t *block)
{
    if (p->bits == 1)
        words_pack(p, dst, step, block, 1, 5);
    else if (p->bits == 2)
        words_pack(p, dst, step, block, 2, 5);
    else if (p->span == 4)
        words_pack(p, dst, step, block, 4, 4);
    else if (p->span == 5)
        words_pack(p, dst, step, block, 4, 5);
    else
        words_pack(p, dst, step, block, 4, 6);
}

static void word_put(const part *p, uint8_t *block, uint32_t i, uint32_t word)
{
    uint32_t octets = 4u / p->bits, shift;
    for (uint32_t j = 0; j < octets; j++) {
        uint8_t *bytes = block + p->from + octet_place(p->bits, p->span, i * octets + j, &shift);
        uint32_t some = word >> 8 * p->bits * j & UINT32_MAX >> (32 - 8 * p->bits);
        uint64_t octet = octet_split(some, p->bits) << shift;
        for (uint32_t k = 0; k < 8; k++)
            bytes[k] |= (uint8_t)(octet >> 8 * k);
    }
}

/* ---- numbers of six bits: their low halves in two words, the others in the third ---- */

static void six_bits_get(const part *p, zm_dtype dtype, const uint8_t *block, uint32_t words[3])
{
    uint8_t numbers[16];
    zm_block_get_six_bits(numbers, block + p->from, dtype == ZM_Q3_K);
    words[0] = words[1] = words[2] = 0;
    for (uint32_t i = 0; i < 16; i++) {
        words[i / 8] |= (uint32_t)(numbers[i] & 15) << i % 8 * 4;
        words[2] |= (uint32_t)(numbers[i] >> 4) << 2 * i;
    }
}

static void six_bits_put(const part *p, zm_dtype dtype, uint8_t *block, const uint32_t words[3])
{
    uint8_t numbers[16];
    for (uint32_t i = 0; i < 16; i++)
        numbers[i] = (uint8_t)((words[i / 8] >> i % 8 * 4 & 15) | (words[2] >> 2 * i & 3) << 4);
    zm_block_put_six_bits(block + p->from, numbers, dtype == ZM_Q3_K);
}

/* ---- one row's block; the panel's begins at dst or src ---- */

static inline void numbers_pack(const part *p, uint8_t *dst, size_t step, const uint8_t *numbers,
                                size_t size)
{
    for (uint32_t i = 0; i < p->count; i++, dst += step, numbers += size)
        memcpy(dst, numbers, size);
}

static void part_pack(const part *p, zm_dtype dtype, uint8_t *dst, size_t step,
                      const uint8_t *block)
{
    uint32_t words[3];
    if (p->bits == SIX_BITS) {
        six_bits_get(p, dtype, block, words);
        numbers_pack(p, dst, step, (const uint8_t *)words, 4);
    } else if (p->bits != BYTES) {
        bits_pack(p, dst, step, block);
    } else if (p->size == 1) {
        numbers_pack(p, dst, step, block + p->from, 1);
    } else if (p->size == 2) {
        numbers_pack(p, dst, step, block + p->from, 2);
    } else {
        numbers_pack(p, dst, step, block + p->from, 4);
    }
}

static void part_unpack(const part *p, zm_dtype dtype, uint8_t *block, const uint8_t *src,
                        size_t step)
{
    uint32_t words[3] = {0}, word;
    for (uint32_t i = 0; i < p->count; i++, src += step) {
        if (p->bits == BYTES) {
            memcpy(block + p->from + i * p->size, src, p->size);
            continue;
        }
        memcpy(&word, src, sizeof(word));
        if (p->bits == SIX_BITS)
            words[i] = word;
        else
            word_put(p, block, i, word);
    }
    if (p->bits == SIX_BITS)
        six_bits_put(p, dtype, block, words);
}

static void block_pack(zm_dtype dtype, uint8_t *dst, uint32_t panel, uint32_t lane,
                       const uint8_t *block)
{
    for (const part *p = forms[dtype]; p < forms[dtype] + MOST_PARTS && p->count; p++) {
        part_pack(p, dtype, dst + (size_t)lane * p->size, (size_t)panel * p->size, block);
        dst += (size_t)p->count * p->size * panel;
    }
}

static void block_unpack(zm_dtype dtype, uint8_t *block, const uint8_t *src, uint32_t panel,
                         uint32_t lane)
{
    memset(block, 0, zm_dtype_block_size(dtype));
    for (const part *p = forms[dtype]; p < forms[dtype] + MOST_PARTS && p->count; p++) {
        part_unpack(p, dtype, block, src + (size_t)lane * p->size, (size_t)panel * p->size);
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
        for (uint32_t row = 0; row < rows; row++)
            block_pack(dtype, to, panel, lane + row, from + row * row_bytes + at);
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
