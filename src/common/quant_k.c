/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of 256 elements. Each sub-block has a small integer as its scale, and for some types one
 * as its minimum; the block's halves d and dmin turn those into numbers.
 *
 *   Q2_K  scales[16] quarters[64] d dmin         16 sub-blocks of 16; a scale byte is min << 4 |
 * scale Q3_K  high[32] quarters[64] scales[12] d     16 sub-blocks of 16; value - 4 where high is 0
 *   Q4_K  d dmin scales[12] nibbles[128]         8 sub-blocks of 32
 *   Q5_K  d dmin scales[12] high[32] nibbles[128]
 *   Q6_K  nibbles[128] quarters[64] scales[16] d 16 sub-blocks of 16; signed scales; value - 32
 *
 * quarters: two bits of elements k, k + 32, k + 64 and k + 96 in byte k, from the low end, for each
 * half of the block. high: the bit of element 32 b + k is bit b of byte k. nibbles: of the elements
 * k and k + 32 of each 64, in Q6_K k and k + 64 of each 128. */
#include "common/quant_blocks.h"

static int quarter(const uint8_t *quarters, int i)
{
    return quarters[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static int nibble(const uint8_t *nibbles, int i)
{
    return nibbles[i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
}

static int high_bit(const uint8_t *high, int i)
{
    return high[i % 32] >> i / 32 & 1;
}

void zm_q2_k_decode(float *dst, const uint8_t *block)
{
    const uint8_t *quarters = block + 16;
    float d = zm_block_get_half(block + 80), dmin = zm_block_get_half(block + 82);
    for (int s = 0; s < 16; s++) {
        float scale = d * (float)(block[s] & 15), low = dmin * (float)(block[s] >> 4);
        for (int i = 16 * s; i < 16 * s + 16; i++)
            dst[i] = scale * (float)quarter(quarters, i) - low;
    }
}

/* Six bits: the low four in bytes 0..7, two rows of nibbles; the others in bytes 8..11. */
static int q3_k_scale(const uint8_t *scales, int s)
{
    int low = scales[s % 8] >> s / 8 * 4 & 15, high = scales[8 + s % 4] >> s / 4 * 2 & 3;
    return (low | high << 4) - 32;
}

void zm_q3_k_decode(float *dst, const uint8_t *block)
{
    const uint8_t *quarters = block + 32, *scales = block + 96;
    float d = zm_block_get_half(block + 108);
    for (int s = 0; s < 16; s++) {
        float scale = d * (float)q3_k_scale(scales, s);
        for (int i = 16 * s; i < 16 * s + 16; i++)
            dst[i] = scale * (float)(quarter(quarters, i) - (high_bit(block, i) ? 0 : 4));
    }
}

/* Eight scales and eight minima of six bits. The first four of each have a byte of their own, whose
 * top bits are those of the last four. */
static void unpack_scales(const uint8_t *packed, int scales[8], int minima[8])
{
    for (int s = 0; s < 4; s++) {
        scales[s] = packed[s] & 63;
        minima[s] = packed[4 + s] & 63;
        scales[4 + s] = (packed[8 + s] & 15) | packed[s] >> 6 << 4;
        minima[4 + s] = packed[8 + s] >> 4 | packed[4 + s] >> 6 << 4;
    }
}

void zm_q4_k_decode(float *dst, const uint8_t *block)
{
    int scales[8], minima[8];
    const uint8_t *nibbles = block + 16;
    float d = zm_block_get_half(block), dmin = zm_block_get_half(block + 2);
    unpack_scales(block + 4, scales, minima);
    for (int s = 0; s < 8; s++) {
        float scale = d * (float)scales[s], low = dmin * (float)minima[s];
        for (int i = 32 * s; i < 32 * s + 32; i++)
            dst[i] = scale * (float)nibble(nibbles, i) - low;
    }
}

void zm_q5_k_decode(float *dst, const uint8_t *block)
{
    int scales[8], minima[8];
    const uint8_t *high = block + 16, *nibbles = block + 48;
    float d = zm_block_get_half(block), dmin = zm_block_get_half(block + 2);
    unpack_scales(block + 4, scales, minima);
    for (int s = 0; s < 8; s++) {
        float scale = d * (float)scales[s], low = dmin * (float)minima[s];
        for (int i = 32 * s; i < 32 * s + 32; i++)
            dst[i] = scale * (float)(nibble(nibbles, i) | high_bit(high, i) << 4) - low;
    }
}

void zm_q6_k_decode(float *dst, const uint8_t *block)
{
    const uint8_t *quarters = block + 128;
    const int8_t *scales = (const int8_t *)block + 192;
    float d = zm_block_get_half(block + 208);
    for (int s = 0; s < 16; s++) {
        float scale = d * (float)scales[s];
        for (int i = 16 * s; i < 16 * s + 16; i++) {
            int low = block[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
            dst[i] = scale * (float)((low | quarter(quarters, i) << 4) - 32);
        }
    }
}
