/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats in C: IEEE 754 binary16 and bfloat16. */
#ifndef ZM_SRC_COMMON_HALF_H
#define ZM_SRC_COMMON_HALF_H

#include <stddef.h>
#include <stdint.h>
#include <zeromean/common.h>

float zm_half_to_float(uint16_t half);
/* To nearest, ties to even; overflow gives infinity, NaN stays NaN. From double: rounded once. */
uint16_t zm_half_from_float(float value);
uint16_t zm_half_from_double(double value);
float zm_bf16_to_float(uint16_t value);
uint16_t zm_bf16_from_float(float value);

/* Element i of an array of any floating type, exactly. */
double zm_load_real(const void *array, zm_dtype dtype, uint64_t i);
/* Rounds once to the type. */
void zm_store_real(void *array, zm_dtype dtype, uint64_t i, double value);
/* Converts count elements between floating types, rounding once where dst is narrower. */
void zm_convert_reals(void *dst, zm_dtype dst_type, const void *src, zm_dtype src_type,
                      uint64_t count);

#endif
