/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/weight_blocks.h"

#include <inttypes.h>
#include <string.h>

#include "common/quant.h"
#include "ops/tuning.h"

#define LENGTH 32u /* elements of a block that comes in panels */
#define OCTETS 4u

/* What a row has of a block in a file, and where that is in a panel. */
typedef struct form {
    uint32_t halves; /* the scale, and the minimum */
    bool nibbles;
    uint32_t flips; /* of a word: n in 0 .. 15 becomes n - 8 in two's complement */
} form;

static bool form_get(zm_dtype dtype, form *out)
{
    *out = (form){dtype == ZM_Q4_1 ? 2 : 1, dtype != ZM_Q8_0, dtype == ZM_Q4_0 ? 0x88888888u : 0};
    return dtype == ZM_Q8_0 || dtype == ZM_Q4_0 || dtype == ZM_Q4_1;
}

/* ---- eight values of four bits: bytes of which the low half counts, or one word ---- */

static uint64_t octet_load(const uint8_t *bytes)
{
    uint64_t all = 0;
    for (int i = 0; i < 8; i++)
        all |= (uint64_t)bytes[i] << 8 * i;
    return all;
}

static uint32_t octet_join(uint64_t bytes)
{
    bytes &= UINT64_C(0x0f0f0f0f0f0f0f0f);
    bytes = (bytes | bytes >> 4) & UINT64_C(0x00ff00ff00ff00ff);
    bytes = (bytes | bytes >> 8) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(bytes | bytes >> 16);
}

static uint64_t octet_split(uint32_t word)
{
    uint64_t bytes = word;
    bytes = (bytes | bytes << 16) & UINT64_C(0x0000ffff0000ffff);
    bytes = (bytes | bytes << 8) & UINT64_C(0x00ff00ff00ff00ff);
    return (bytes | bytes << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
}

/* ---- one row's block; values: those of the first lane ---- */

/* In the file byte i has elements i and i + 16. */
static void nibbles_pack(const form *f, uint8_t *values, uint32_t panel, const uint8_t *bytes)
{
    for (uint32_t i = 0; i < OCTETS; i++) {
        uint32_t word = octet_join(octet_load(bytes + i % 2 * 8) >> i / 2 * 4) ^ f->flips;
        memcpy(values + (size_t)i * panel * sizeof(word), &word, sizeof(word));
    }
}

static void nibbles_unpack(const form *f, uint8_t *bytes, const uint8_t *values, uint32_t panel)
{
    memset(bytes, 0, LENGTH / 2);
    for (uint32_t i = 0; i < OCTETS; i++) {
        uint32_t word;
        memcpy(&word, values + (size_t)i * panel * sizeof(word), sizeof(word));
        uint64_t octet = octet_split(word ^ f->flips) << i / 2 * 4;
        for (uint32_t j = 0; j < 8; j++)
            bytes[i % 2 * 8 + j] |= (uint8_t)(octet >> 8 * j);
    }
}

/* Where a row's values begin, and its halves, in what the panel has of a block. */
static size_t values_place(const form *f, uint32_t panel, uint32_t lane)
{
    return (size_t)f->halves * panel * 2 + (size_t)lane * (f->nibbles ? sizeof(uint32_t) : 1);
}

static size_t half_place(uint32_t half, uint32_t panel, uint32_t lane)
{
    return 2 * ((size_t)half * panel + lane);
}

static void block_pack(const form *f, uint8_t *dst, uint32_t panel, uint32_t lane,
                       const uint8_t *block)
{
    for (uint32_t i = 0; i < f->halves; i++, block += 2)
        memcpy(dst + half_place(i, panel, lane), block, 2);
    uint8_t *values = dst + values_place(f, panel, lane);
    if (f->nibbles) {
        nibbles_pack(f, values, panel, block);
        return;
    }
    for (uint32_t i = 0; i < LENGTH; i++)
        values[(size_t)i * panel] = block[i];
}

static void block_unpack(const form *f, uint8_t *block, const uint8_t *src, uint32_t panel,
                         uint32_t lane)
{
    for (uint32_t i = 0; i < f->halves; i++, block += 2)
        memcpy(block, src + half_place(i, panel, lane), 2);
    const uint8_t *values = src + values_place(f, panel, lane);
    if (f->nibbles) {
        nibbles_unpack(f, block, values, panel);
        return;
    }
    for (uint32_t i = 0; i < LENGTH; i++)
        block[i] = values[(size_t)i * panel];
}

/* ---- rows: the blocks of all of them before the next ones, so that these stay in the cache ----
 */

void zm_blocks_pack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                    uint32_t rows, uint32_t k)
{
    size_t size = zm_dtype_block_size(dtype), row_bytes = k / LENGTH * size;
    const uint8_t *from = src;
    uint8_t *to = dst;
    form f;
    if (!form_get(dtype, &f))
        return;
    for (size_t at = 0; at < row_bytes; at += size, to += panel * size)
        for (uint32_t row = 0; row < rows; row++)
            block_pack(&f, to, panel, lane + row, from + row * row_bytes + at);
}

void zm_blocks_unpack(void *dst, zm_dtype dtype, uint32_t panel, uint32_t lane, const void *src,
                      uint32_t rows, uint32_t k)
{
    size_t size = zm_dtype_block_size(dtype), row_bytes = k / LENGTH * size;
    const uint8_t *from = src;
    uint8_t *to = dst;
    form f;
    if (!form_get(dtype, &f))
        return;
    for (size_t at = 0; at < row_bytes; at += size, from += panel * size)
        for (uint32_t row = 0; row < rows; row++)
            block_unpack(&f, to + row * row_bytes + at, from, panel, lane + row);
}

/* ---- who reads them ---- */

bool zm_blocks_family_reads(zm_kernel_family family, zm_dtype dtype)
{
    form f;
    if (family == ZM_FAMILY_REF)
        return zm_quant_can_decode(dtype);
    return (family == ZM_FAMILY_CPU || family == ZM_FAMILY_GPU) && form_get(dtype, &f);
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
