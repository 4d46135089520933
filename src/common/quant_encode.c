/* SPDX-License-Identifier: Apache-2.0 */
/* float32 to blocks. Blocks of 32 follow the usual definition to the bit: scales and quotients in
 * float32, quantised with the scale before that is rounded to half. */
#include <math.h>
#include <string.h>

#include "common/half.h"
#include "common/quant.h"
#include "common/quant_blocks.h"

/* Cut off to 0..most. */
static uint8_t level(float x, int most)
{
    return x >= (float)(most + 1) ? (uint8_t)most : x >= 1 ? (uint8_t)x : 0;
}

static float inverse(float d)
{
    return d != 0 ? 1 / d : 0;
}

static void q4_0_encode(uint8_t *block, const float *src)
{
    float largest = src[0]; /* by magnitude, the first one of equals */
    for (int i = 1; i < 32; i++)
        if (fabsf(src[i]) > fabsf(largest))
            largest = src[i];
    float d = largest / -8, id = inverse(d);
    zm_block_put_half(block, d);
    for (int i = 0; i < 16; i++)
        block[2 + i] =
            (uint8_t)(level(src[i] * id + 8.5f, 15) | level(src[i + 16] * id + 8.5f, 15) << 4);
}

static void q4_1_encode(uint8_t *block, const float *src)
{
    float low = src[0], high = src[0];
    for (int i = 1; i < 32; i++) {
        low = src[i] < low ? src[i] : low;
        high = src[i] > high ? src[i] : high;
    }
    float d = (high - low) / 15, id = inverse(d);
    zm_block_put_half(block, d);
    zm_block_put_half(block + 2, low);
    for (int i = 0; i < 16; i++)
        block[4 + i] = (uint8_t)(level((src[i] - low) * id + 0.5f, 15) |
                                 level((src[i + 16] - low) * id + 0.5f, 15) << 4);
}

static void q8_0_encode(uint8_t *block, const float *src)
{
    float largest = 0;
    for (int i = 0; i < 32; i++)
        largest = fmaxf(largest, fabsf(src[i]));
    float d = largest / 127, id = inverse(d);
    zm_block_put_half(block, d);
    for (int i = 0; i < 32; i++) {
        float q = roundf(src[i] * id); /* over 127 only where 1 / d overflows */
        block[2 + i] = (uint8_t)(int8_t)fmaxf(-127, fminf(127, q));
    }
}

/* Where a block has its scale, and how to make one. */
static const struct {
    zm_block_encode_fn encode;
    uint32_t scale;
} encoders[ZM_DTYPE_COUNT] = {
    [ZM_Q4_0] = {q4_0_encode, 0},      [ZM_Q4_1] = {q4_1_encode, 0},
    [ZM_Q8_0] = {q8_0_encode, 0},      [ZM_Q4_K] = {zm_q4_k_encode, 0},
    [ZM_Q6_K] = {zm_q6_k_encode, 208},
};

static bool is_plain(zm_dtype type)
{
    return type == ZM_F32 || type == ZM_F16 || type == ZM_BF16 || type == ZM_F64;
}

bool zm_quant_can_encode(zm_dtype type)
{
    return is_plain(type) || (zm_dtype_block_length(type) > 1 && encoders[type].encode);
}

static bool is_finite(const float *src, uint32_t count)
{
    bool finite = true;
    for (uint32_t i = 0; i < count; i++)
        finite &= isfinite(src[i]) != 0;
    return finite;
}

void zm_quant_encode(void *dst, zm_dtype type, const float *src, uint64_t count)
{
    if (!zm_quant_can_encode(type))
        return;
    if (is_plain(type)) {
        zm_convert_reals(dst, type, src, ZM_F32, count);
        return;
    }
    uint32_t length = zm_dtype_block_length(type);
    size_t size = zm_dtype_block_size(type);
    uint8_t *block = dst;
    for (uint64_t i = 0; i < count; i += length, block += size) {
        if (is_finite(src + i, length)) {
            encoders[type].encode(block, src + i);
        } else {
            memset(block, 0, size);
            zm_block_put_half(block + encoders[type].scale, NAN);
        }
    }
}
