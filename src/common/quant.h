/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised blocks to float32 and back. Layouts and meanings are those of GGUF files; how many
 * elements and bytes a block has is in zeromean/common.h. */
#ifndef ZM_SRC_COMMON_QUANT_H
#define ZM_SRC_COMMON_QUANT_H

#include <stdbool.h>
#include <stdint.h>
#include <zeromean/common.h>

/* The types of quantised blocks, and F32, F16, BF16 and F64. */
bool zm_quant_can_decode(zm_dtype type);
/* count elements, a multiple of the block's length. The arithmetic is float32, rounded after each
 * operation: the same bits as the Python package gguf on every machine. src needs the alignment of
 * its plain numbers only: none for blocks. Does nothing for a type that it cannot decode. */
void zm_quant_decode(float *dst, const void *src, zm_dtype type, uint64_t count);

/* Are they all finite? Of a block its scales say so: the rest of it is small integers. For
 * quantised types only. */
bool zm_quant_is_finite(const void *src, zm_dtype type, uint64_t count);

/* The elements first .. first+count-1 of src, which need not begin or end a block. */
void zm_quant_load(double *dst, const void *src, zm_dtype type, uint64_t first, uint64_t count);

/* F32, F16, BF16, F64, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K. */
bool zm_quant_can_encode(zm_dtype type);
/* As above, the other way round. Q8_0, Q4_0 and Q4_1 give the bytes of the Python package gguf.
 * Q4_K and Q6_K search for the scales with the least squared error; on normally distributed values
 * the RMS error is about 10 % less than with the plain range of each sub-block as its scale.
 * A block that holds NaN or infinity decodes to NaN; one whose scale is over the largest half to
 * infinities or NaN. */
void zm_quant_encode(void *dst, zm_dtype type, const float *src, uint64_t count);

#endif
