/* SPDX-License-Identifier: Apache-2.0 */
/* rope for CPU devices: rotates pairs (a, b) of each head by position * f_i,
 * f_i = frequency_scale / (factors[i] * base^(i / pairs)), pairs = rotary_dim / 2.
 *
 *   a head, halves    | a0 a1 a2 ... | b0 b1 b2 ... | not rotated |
 *   a head, pairs     | a0 b0 a1 b1 a2 b2 ...       | not rotated |
 *                     |<------- rotary_dim -------->|
 *
 * A work-item owns some whole rows. It makes a table of the frequencies, then for each row sine and
 * cosine of 16 pairs at a time, and turns these pairs of all heads.
 *
 * A float32 angle of a million radians would be off by 0.03. So frequencies are sums of two floats,
 * counted in turns: base^(-1/pairs) comes from its own power by Newton's method, the others are its
 * powers; position * frequency is exact to 2^-46 of itself, whole turns and quarters go before it
 * is rounded. What is left is below 1e-7 in sine and cosine up to a million radians (positions are
 * exact within +-2^24). No double needed. dst may be x. */
#include "args.h"
#include "kernel.clh"
#include "square.clh"
#include "types.clh"
#include "vector.clh"

#pragma OPENCL FP_CONTRACT OFF

#define TABLE 16 /* chunks of 16 pairs; longer heads take another turn */

/* Sums hi + lo, |lo| <= ulp(hi) / 2: of one float in x and y, and 16 of them. */
struct two16 {
    float16 hi, lo;
};

static float2 two_multiply(float2 a, float2 b)
{
    float p = a.x * b.x;
    float rest = fma(a.x, b.x, -p) + fma(a.x, b.y, a.y * b.x);
    return (float2)(p + rest, rest - ((p + rest) - p));
}

/* a *= b */
static void two_multiply16(struct two16 *a, float2 b)
{
    float16 p = a->hi * b.x;
    float16 rest = fma(a->hi, (float16)(b.x), -p) + fma(a->hi, (float16)(b.y), a->lo * b.x);
    a->hi = p + rest;
    a->lo = rest - (a->hi - p);
}

static float2 two_power(float2 a, uint n)
{
    float2 result = (float2)(1.0f, 0.0f);
    for (; n; n >>= 1, a = two_multiply(a, a))
        if (n & 1)
            result = two_multiply(result, a);
    return result;
}

/* base^(-1 / n): y (1 + e)^(-1 / n) where e = y^n base - 1 is how far off y is. */
static float2 two_inverse_root(float base, uint n)
{
    float2 y = (float2)(pow(base, -1.0f / n), 0.0f);
    for (int i = 0; i < 2; i++) {
        float2 power = two_multiply(two_power(y, n), (float2)(base, 0.0f));
        float e = (power.x - 1.0f) + power.y;
        float change = e * (e * (0.5f + 0.5f / n) - 1.0f) / n;
        y = two_multiply(y, (float2)(1.0f, change));
    }
    return y;
}

/* base^(-i / pairs) of the 16 pairs from `first` on becomes turns per position. */
static void to_turns(struct two16 *t, __global const float *factors, const struct zm_rope_args *a,
                     uint first, uint pairs)
{
    const float2 turn = (float2)(0.159154937f, 6.42063824e-09f); /* 1 / (2 pi) */
    two_multiply16(t, two_multiply(turn, (float2)(a->frequency_scale, 0.0f)));
    if (a->flags & ZM_FLAG_FACTORS) {
        float lanes[16];
        for (uint j = 0; j < 16; j++)
            lanes[j] = first + j < pairs ? factors[first + j] : 1.0f;
        float16 factor = vload16(0, lanes);
        float16 quotient = t->hi / factor;
        t->lo = (fma(-quotient, factor, t->hi) + t->lo) / factor;
        t->hi = quotient;
    }
}

/* Sine and cosine of position * turns, times the magnitude. */
static void sine_cosine(float position, const struct two16 *turns, float magnitude, float16 *sine,
                        float16 *cosine)
{
    float16 p = (float16)(position);
    float16 angle = turns->hi * p;
    float16 rest = fma(turns->hi, p, -angle) + turns->lo * p;
    angle -= rint(angle);
    float16 quarter = rint(4.0f * (angle + rest));
    float16 r = fma(quarter, (float16)(-0.25f), angle) + rest;
    float16 u = r * r;
    float16 s = fma(u, (float16)(41.46989059448242f), (float16)(-76.6977767944336f));
    s = fma(s, u, (float16)(81.6052017211914f));
    s = fma(s, u, (float16)(-41.34170150756836f));
    s = fma(s, u, (float16)(6.2831854820251465f)) * r;
    float16 c = fma(u, (float16)(59.202796936035156f), (float16)(-85.44229888916016f));
    c = fma(c, u, (float16)(64.9393081665039f));
    c = fma(c, u, (float16)(-19.739208221435547f));
    c = fma(c, u, (float16)(1.0f));
    int16 q = convert_int16(quarter);
    int16 odd = (q & 1) != 0;
    float16 s_value = select(s, c, odd), c_value = select(c, s, odd);
    *sine = select(s_value, -s_value, (q & 2) != 0) * magnitude;
    *cosine = select(c_value, -c_value, ((q + 1) & 2) != 0) * magnitude;
}

/* 16 pairs of a head from pair i on. */
static void rotate16(__global const act_t *x, __global act_t *dst, uint i,
                     const struct zm_rope_args *a, float16 sine, float16 cosine)
{
    bool interleaved = a->layout == ZM_ARG_ROPE_PAIRS;
    uint first = interleaved ? 2 * i : i;
    uint second = interleaved ? first + 16 : i + a->rotary_dim / 2;
    float16 v = LOAD_ACT16(x, first), w = LOAD_ACT16(x, second);
    float16 p = interleaved ? (float16)(v.even, w.even) : v;
    float16 q = interleaved ? (float16)(v.odd, w.odd) : w;
    float16 y = p * cosine - q * sine, z = q * cosine + p * sine;
    STORE_ACT16(interleaved ? zip_low(y, z) : y, dst, first);
    STORE_ACT16(interleaved ? zip_high(y, z) : z, dst, second);
}

/* One pair of a head. */
static void rotate(__global const act_t *x, __global act_t *dst, uint i,
                   const struct zm_rope_args *a, float sine, float cosine)
{
    bool interleaved = a->layout == ZM_ARG_ROPE_PAIRS;
    uint first = interleaved ? 2 * i : i;
    uint second = interleaved ? first + 1 : i + a->rotary_dim / 2;
    float p = LOAD_ACT(x, first), q = LOAD_ACT(x, second);
    STORE_ACT(p * cosine - q * sine, dst, first);
    STORE_ACT(q * cosine + p * sine, dst, second);
}

/* The 16 pairs from i on of all heads of a row, as far as there are any. */
static void rotate_heads(__global const act_t *x, __global act_t *dst, uint i,
                         const struct zm_rope_args *a, float16 sine, float16 cosine)
{
    uint count = min(16u, a->rotary_dim / 2 - i);
    float s[16], c[16];
    KEEP16(sine, s, 0);
    KEEP16(cosine, c, 0);
    for (uint head = 0; head < a->heads; head++, x += a->head_dim, dst += a->head_dim) {
        if (count == 16)
            rotate16(x, dst, i, a, sine, cosine);
        else
            for (uint j = 0; j < count; j++)
                rotate(x, dst, i + j, a, s[j], c[j]);
    }
}

static void copy_rest(__global const act_t *x, __global act_t *dst, const struct zm_rope_args *a)
{
    for (uint head = 0; head < a->heads; head++, x += a->head_dim, dst += a->head_dim)
        for (uint i = a->rotary_dim; i < a->head_dim; i++)
            STORE_ACT(LOAD_ACT(x, i), dst, i);
}

/* base^(-i / pairs) of the pairs first .. first+15. */
static void powers_get(float2 root, uint first, struct two16 *result)
{
    float2 f = two_power(root, first);
    float hi[16], lo[16];
    for (uint j = 0; j < 16; j++, f = two_multiply(f, root)) {
        hi[j] = f.x;
        lo[j] = f.y;
    }
    result->hi = vload16(0, hi);
    result->lo = vload16(0, lo);
}

KERNEL(rope, __global const act_t *x, __global const int *positions, __global const float *factors,
       __global act_t *dst, struct zm_rope_args a)
{
    const uint pairs = a.rotary_dim / 2;
    const float2 root = two_inverse_root(a.base, pairs), step = two_power(root, 16);
    for (uint first = 0; first < pairs; first += 16 * TABLE) {
        struct two16 table[TABLE], powers;
        powers_get(root, first, &powers);
        uint chunks = min((uint)TABLE, (pairs - first + 15) / 16);
        for (uint c = 0; c < chunks; c++, two_multiply16(&powers, step)) {
            table[c] = powers;
            to_turns(&table[c], factors + a.factors_offset, &a, first + 16 * c, pairs);
        }
        for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
            float position = (float)positions[a.positions_offset + row];
            __global const act_t *from = x + a.x_offset + (size_t)row * a.x_stride;
            __global act_t *to = dst + a.dst_offset + (size_t)row * a.dst_stride;
            for (uint c = 0; c < chunks; c++) {
                float16 sine, cosine;
                sine_cosine(position, &table[c], a.magnitude, &sine, &cosine);
                rotate_heads(from, to, first + 16 * c, &a, sine, cosine);
            }
            if (first == 0)
                copy_rest(from, to, &a);
        }
    }
}
