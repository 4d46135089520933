/* SPDX-License-Identifier: Apache-2.0 */
#include "common/quant.h"

#include "common/half.h"
#include "common/quant_blocks.h"

float zm_block_get_half(const uint8_t *bytes)
{
    return zm_half_to_float((uint16_t)(bytes[0] | bytes[1] << 8));
}

void zm_block_put_half(uint8_t *bytes, float value)
{
    uint16_t half = zm_half_from_float(value);
    bytes[0] = (uint8_t)(half & 0xff);
    bytes[1] = (uint8_t)(half >> 8);
}

/* ---- blocks of 32: byte i has elements i and i + 16, the low half first ---- */

static void q4_0_decode(float *dst, const uint8_t *block)
{
    float d = zm_block_get_half(block);
    const uint8_t *q = block + 2;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)((q[i] & 15) - 8);
        dst[i + 16] = d * (float)((q[i] >> 4) - 8);
    }
}

static void q4_1_decode(float *dst, const uint8_t *block)
{
    float d = zm_block_get_half(block), low = zm_block_get_half(block + 2);
    const uint8_t *q = block + 4;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)(q[i] & 15) + low;
        dst[i + 16] = d * (float)(q[i] >> 4) + low;
    }
}

/* The fifth bit of element i, as 16 or 0; high has 32 of them in four bytes. */
static int fifth(const uint8_t *high, int i)
{
    return (high[i / 8] >> i % 8 & 1) << 4;
}

static void q5_0_decode(float *dst, const uint8_t *block)
{
    float d = zm_block_get_half(block);
    const uint8_t *high = block + 2, *q = block + 6;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)(((q[i] & 15) | fifth(high, i)) - 16);
        dst[i + 16] = d * (float)((q[i] >> 4 | fifth(high, i + 16)) - 16);
    }
}

static void q5_1_decode(float *dst, const uint8_t *block)
{
    float d = zm_block_get_half(block), low = zm_block_get_half(block + 2);
    const uint8_t *high = block + 4, *q = block + 8;
    for (int i = 0; i < 16; i++) {
        dst[i] = d * (float)((q[i] & 15) | fifth(high, i)) + low;
        dst[i + 16] = d * (float)(q[i] >> 4 | fifth(high, i + 16)) + low;
    }
}

static void q8_0_decode(float *dst, const uint8_t *block)
{
    float d = zm_block_get_half(block);
    const int8_t *q = (const int8_t *)block + 2;
    for (int i = 0; i < 32; i++)
        dst[i] = d * (float)q[i];
}

static const zm_block_decode_fn decoders[ZM_DTYPE_COUNT] = {
    [ZM_Q4_0] = q4_0_decode,    [ZM_Q4_1] = q4_1_decode,    [ZM_Q5_0] = q5_0_decode,
    [ZM_Q5_1] = q5_1_decode,    [ZM_Q8_0] = q8_0_decode,    [ZM_Q2_K] = zm_q2_k_decode,
    [ZM_Q3_K] = zm_q3_k_decode, [ZM_Q4_K] = zm_q4_k_decode, [ZM_Q5_K] = zm_q5_k_decode,
    [ZM_Q6_K] = zm_q6_k_decode,
};

static bool is_plain(zm_dtype type)
{
    return type == ZM_F32 || type == ZM_F16 || type == ZM_BF16 || type == ZM_F64;
}

bool zm_quant_can_decode(zm_dtype type)
{
    return is_plain(type) || (zm_dtype_block_length(type) > 1 && decoders[type]);
}

void zm_quant_decode(float *dst, const void *src, zm_dtype type, uint64_t count)
{
    if (!zm_quant_can_decode(type))
        return;
    if (is_plain(type)) {
        zm_convert_reals(dst, ZM_F32, src, type, count);
        return;
    }
    uint32_t length = zm_dtype_block_length(type);
    size_t size = zm_dtype_block_size(type);
    const uint8_t *block = src;
    for (uint64_t i = 0; i < count; i += length, block += size)
        decoders[type](dst + i, block);
}

/* Where the float16 numbers of a block are. */
static const struct {
    uint8_t offset, count;
} scales[ZM_DTYPE_COUNT] = {
    [ZM_Q4_0] = {0, 1}, [ZM_Q4_1] = {0, 2},   [ZM_Q5_0] = {0, 1},   [ZM_Q5_1] = {0, 2},
    [ZM_Q8_0] = {0, 1}, [ZM_Q2_K] = {80, 2},  [ZM_Q3_K] = {108, 1}, [ZM_Q4_K] = {0, 2},
    [ZM_Q5_K] = {0, 2}, [ZM_Q6_K] = {208, 1},
};

bool zm_quant_is_finite(const void *src, zm_dtype type, uint64_t count)
{
    const size_t size = zm_dtype_block_size(type);
    const uint8_t *exponent = (const uint8_t *)src + scales[type].offset + 1; /* and a sign */
    uint32_t second = scales[type].count == 2 ? 2 : 0, bad = 0;
    for (uint64_t blocks = count / zm_dtype_block_length(type); blocks > 0; blocks--) {
        bad |= (exponent[0] & 0x7c) == 0x7c;
        bad |= (exponent[second] & 0x7c) == 0x7c;
        exponent += size;
    }
    return !bad;
}

void zm_quant_load(double *dst, const void *src, zm_dtype type, uint64_t first, uint64_t count)
{
    float block[256];
    uint32_t length = zm_dtype_block_length(type);
    size_t size = zm_dtype_block_size(type);
    if (is_plain(type)) {
        zm_convert_reals(dst, ZM_F64, (const uint8_t *)src + first * size, type, count);
        return;
    }
    for (uint64_t i = 0; i < count;) {
        uint64_t at = (first + i) % length;
        zm_quant_decode(block, (const uint8_t *)src + (first + i) / length * size, type, length);
        for (; i < count && at < length; i++, at++)
            dst[i] = (double)block[at];
    }
}
