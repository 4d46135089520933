/* SPDX-License-Identifier: Apache-2.0 */
#include "common/half.h"

#include <string.h>

#include "common/compiler.h"

static float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* Without branches, so that loops over it become vector code: a choice between values that are not
 * masked becomes a branch where one of them comes of floating-point arithmetic. */
float zm_half_to_float(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t magnitude = half & 0x7fffu;
    uint32_t normal = (magnitude << 13) + (112u << 23);
    uint32_t subnormal = bits_of_float((float)(int32_t)magnitude * 0x1p-24f);
    uint32_t is_subnormal = -(uint32_t)(magnitude < 0x0400u);
    uint32_t is_special = -(uint32_t)(magnitude >= 0x7c00u) & 0x7f800000u;
    uint32_t bits = (subnormal & is_subnormal) | (normal & ~is_subnormal);
    return float_of_bits(bits | is_special | sign);
}

/* value / 2^shift to nearest, ties to even; shift 1..63. */
static uint64_t shift_to_even(uint64_t value, int shift)
{
    uint64_t quotient = value >> shift;
    uint64_t rest = value & ((UINT64_C(1) << shift) - 1);
    uint64_t tie = UINT64_C(1) << (shift - 1);
    return quotient + (rest > tie || (rest == tie && (quotient & 1)));
}

uint16_t zm_half_from_double(double value)
{
    uint64_t bits = bits_of_double(value);
    uint16_t sign = (uint16_t)(bits >> 48 & 0x8000u);
    int exponent = (int)(bits >> 52 & 0x7ffu) - 1023;
    uint64_t fraction = bits & ((UINT64_C(1) << 52) - 1);
    if (exponent == 1024) {
        /* The quiet bit keeps a NaN whose payload is shifted out from turning into infinity. */
        uint64_t payload = fraction ? 0x0200u | fraction >> 42 : 0;
        return (uint16_t)(sign | 0x7c00u | payload);
    }
    if (exponent > 15) {
        return (uint16_t)(sign | 0x7c00u);
    }
    if (exponent >= -14) {
        /* A carry out of the fraction goes into the exponent, up to infinity. */
        uint64_t scaled = (uint64_t)(exponent + 15) << 52 | fraction;
        return (uint16_t)(sign | shift_to_even(scaled, 42));
    }
    if (exponent < -25) {
        return sign;
    }
    return (uint16_t)(sign | shift_to_even(fraction | UINT64_C(1) << 52, 28 - exponent));
}

uint16_t zm_half_from_float(float value)
{
    return zm_half_from_double(value);
}

float zm_bf16_to_float(uint16_t value)
{
    return float_of_bits((uint32_t)value << 16);
}

uint16_t zm_bf16_from_float(float value)
{
    uint32_t bits = bits_of_float(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) {
        return (uint16_t)(bits >> 16 | 0x0040u);
    }
    return (uint16_t)shift_to_even(bits, 16);
}

/* Rounds to float so that a second rounding to bfloat16 gives the nearest value: toward zero, with
 * the last bit set where anything was cut off (rounding to odd). */
static float float_to_odd(double value)
{
    float nearest = (float)value;
    uint32_t bits = bits_of_float(nearest);
    if ((double)nearest == value || value != value) {
        return nearest;
    }
    if ((value > 0 && (double)nearest > value) || (value < 0 && (double)nearest < value)) {
        --bits;
    }
    return float_of_bits(bits | 1u);
}

double zm_load_real(const void *array, zm_dtype dtype, uint64_t i)
{
    switch (dtype) {
    case ZM_F32: return ((const float *)array)[i];
    case ZM_F16: return zm_half_to_float(((const uint16_t *)array)[i]);
    case ZM_BF16: return zm_bf16_to_float(((const uint16_t *)array)[i]);
    case ZM_F64: return ((const double *)array)[i];
    default: return 0;
    }
}

void zm_store_real(void *array, zm_dtype dtype, uint64_t i, double value)
{
    switch (dtype) {
    case ZM_F32: ((float *)array)[i] = (float)value; break;
    case ZM_F16: ((uint16_t *)array)[i] = zm_half_from_double(value); break;
    case ZM_BF16: ((uint16_t *)array)[i] = zm_bf16_from_float(float_to_odd(value)); break;
    case ZM_F64: ((double *)array)[i] = value; break;
    default: break;
    }
}

ZM_VECTORISED
static void widen_to_double(double *dst, const void *src, zm_dtype src_type, uint64_t count)
{
    const uint16_t *halves = src;
    const float *floats = src;
    switch (src_type) {
    case ZM_F16:
        for (uint64_t i = 0; i < count; ++i) {
            dst[i] = zm_half_to_float(halves[i]);
        }
        break;
    case ZM_BF16:
        for (uint64_t i = 0; i < count; ++i) {
            dst[i] = zm_bf16_to_float(halves[i]);
        }
        break;
    default:
        for (uint64_t i = 0; i < count; ++i) {
            dst[i] = floats[i];
        }
        break;
    }
}

ZM_VECTORISED
static void widen_to_float(float *dst, const uint16_t *src, zm_dtype src_type, uint64_t count)
{
    if (src_type == ZM_F16) {
        for (uint64_t i = 0; i < count; ++i) {
            dst[i] = zm_half_to_float(src[i]);
        }
    } else {
        for (uint64_t i = 0; i < count; ++i) {
            dst[i] = zm_bf16_to_float(src[i]);
        }
    }
}

ZM_VECTORISED
static void narrow_to_float(float *dst, const double *src, uint64_t count)
{
    for (uint64_t i = 0; i < count; ++i) {
        dst[i] = (float)src[i];
    }
}

void zm_convert_reals(void *dst, zm_dtype dst_type, const void *src, zm_dtype src_type,
                      uint64_t count)
{
    if (dst_type == src_type) {
        memmove(dst, src, count * zm_dtype_size(dst_type));
    } else if (dst_type == ZM_F64) {
        widen_to_double(dst, src, src_type, count);
    } else if (dst_type == ZM_F32 && src_type != ZM_F64) {
        widen_to_float(dst, src, src_type, count);
    } else if (dst_type == ZM_F32) {
        narrow_to_float(dst, src, count);
    } else {
        for (uint64_t i = 0; i < count; ++i) {
            zm_store_real(dst, dst_type, i, zm_load_real(src, src_type, i));
        }
    }
}
