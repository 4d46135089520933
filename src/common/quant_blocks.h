/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of quant.h share. */
#ifndef ZM_SRC_COMMON_QUANT_BLOCKS_H
#define ZM_SRC_COMMON_QUANT_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

/* The bytes of one block, and its elements. */
typedef void (*zm_block_decode_fn)(float *dst, const uint8_t *block);
typedef void (*zm_block_encode_fn)(uint8_t *block, const float *src);

/* Blocks of 256 elements in sub-blocks of 16 or 32. */
void zm_q2_k_decode(float *dst, const uint8_t *block);
void zm_q3_k_decode(float *dst, const uint8_t *block);
void zm_q4_k_decode(float *dst, const uint8_t *block);
void zm_q5_k_decode(float *dst, const uint8_t *block);
void zm_q6_k_decode(float *dst, const uint8_t *block);
void zm_q4_k_encode(uint8_t *block, const float *src);
void zm_q6_k_encode(uint8_t *block, const float *src);

/* The sixteen numbers of six bits in twelve bytes: the scales of Q3_K; of Q4_K and Q5_K eight
 * scales and eight minima. */
void zm_block_get_six_bits(uint8_t numbers[16], const uint8_t *packed, bool q3_k);
void zm_block_put_six_bits(uint8_t *packed, const uint8_t numbers[16], bool q3_k);

/* A half in two bytes. */
float zm_block_get_half(const uint8_t *bytes);
void zm_block_put_half(uint8_t *bytes, float value);

#endif
