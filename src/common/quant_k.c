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

#include <string.h>

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

/* Q3_K: the low four in bytes 0..7, two rows of nibbles; the others in bytes 8..11. Else the first
 * four of each eight have a byte of their own, whose top bits are those of the last four. */
void zm_block_get_six_bits(uint8_t numbers[16], const uint8_t *packed, bool q3_k)
{
    for (int i = 0; i < 16 && q3_k; i++)
        numbers[i] = (uint8_t)((packed[i % 8] >> i / 8 * 4 & 15) |
                               (packed[8 + i % 4] >> i / 4 * 2 & 3) << 4);
    for (int i = 0; i < 4 && !q3_k; i++) {
        numbers[i] = packed[i] & 63;
        numbers[8 + i] = packed[4 + i] & 63;
        numbers[4 + i] = (uint8_t)((packed[8 + i] & 15) | packed[i] >> 6 << 4);
        numbers[12 + i] = (uint8_t)(packed[8 + i] >> 4 | packed[4 + i] >> 6 << 4);
    }
}

void zm_block_put_six_bits(uint8_t *packed, const uint8_t numbers[16], bool q3_k)
{
    memset(packed, 0, 12);
    for (int i = 0; i < 16 && q3_k; i++) {
        packed[i % 8] |= (uint8_t)((numbers[i] & 15) << i / 8 * 4);
        packed[8 + i % 4] |= (uint8_t)(numbers[i] >> 4 << i / 4 * 2);
    }
    for (int i = 0; i < 4 && !q3_k; i++) {
        packed[i] = (uint8_t)(numbers[i] | numbers[4 + i] >> 4 << 6);
        packed[4 + i] = (uint8_t)(numbers[8 + i] | numbers[12 + i] >> 4 << 6);
        packed[8 + i] = (uint8_t)((numbers[4 + i] & 15) | (numbers[12 + i] & 15) << 4);
    }
}

void zm_q3_k_decode(float *dst, const uint8_t *block)
{
    uint8_t scales[16];
    const uint8_t *quarters = block + 32;
    float d = zm_block_get_half(block + 108);
    zm_block_get_six_bits(scales, block + 96, true);
    for (int s = 0; s < 16; s++) {
        float scale = d * (float)(scales[s] - 32);
        for (int i = 16 * s; i < 16 * s + 16; i++)
            dst[i] = scale * (float)(quarter(quarters, i) - (high_bit(block, i) ? 0 : 4));
    }
}

void zm_q4_k_decode(float *dst, const uint8_t *block)
{
    uint8_t numbers[16];
    const uint8_t *nibbles = block + 16;
    float d = zm_block_get_half(block), dmin = zm_block_get_half(block + 2);
    zm_block_get_six_bits(numbers, block + 4, false);
    for (int s = 0; s < 8; s++) {
        float scale = d * (float)numbers[s], low = dmin * (float)numbers[8 + s];
        for (int i = 32 * s; i < 32 * s + 32; i++)
            dst[i] = scale * (float)nibble(nibbles, i) - low;
    }
}

void zm_q5_k_decode(float *dst, const uint8_t *block)
{
    uint8_t numbers[16];
    const uint8_t *high = block + 16, *nibbles = block + 48;
    float d = zm_block_get_half(block), dmin = zm_block_get_half(block + 2);
    zm_block_get_six_bits(numbers, block + 4, false);
    for (int s = 0; s < 8; s++) {
        float scale = d * (float)numbers[s], low = dmin * (float)numbers[8 + s];
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
