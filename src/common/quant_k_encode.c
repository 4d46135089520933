/* SPDX-License-Identifier: Apache-2.0 */
/* Q4_K and Q6_K from float32: for each sub-block several scales around the plain one are tried,
 * each with the levels that are nearest under it and then the scale (and minimum) that fit those
 * levels best by least squares. Then the scales are rounded to their integers; of Q4_K neighbours
 * are tried as well, since scale and minimum can make up for each other. */
#include <math.h>
#include <string.h>

#include "common/quant_blocks.h"

/* Sums are kept in lanes, so that their loops become vector code without another order of adding.
 */
enum { LANES = 8 };

static float total(const float *lanes)
{
    return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) +
           ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

/* To the nearest integer, ties to even, for |x| < 2^22: vector code without SSE 4.1. */
static float nearest(float x)
{
    return (x + 0x1.8p23f) - 0x1.8p23f;
}

static float clamp(float x, float low, float high)
{
    return x < low ? low : x > high ? high : x;
}

/* Huge quotients must not reach nearest. */
static float level(float x, float low, float high)
{
    return nearest(clamp(x, low, high));
}

/* Multiplies by an exact power of two so that the largest magnitude is in 1..2: no square overflows
 * or vanishes. Returns what to multiply by to get back; 0 for zeros. */
static float normalise(float *x, const float *src)
{
    float largest = 0;
    int exponent;
    for (int i = 0; i < 256; i++)
        largest = fmaxf(largest, fabsf(src[i]));
    if (largest == 0)
        return 0;
    frexpf(largest, &exponent);
    for (int i = 0; i < 256; i++)
        x[i] = ldexpf(src[i], 1 - exponent);
    return ldexpf(1, exponent - 1);
}

/* ---- scale and minimum: x ~ scale * level - low, level 0..15, low >= 0 ---- */

typedef struct affine {
    float scale, low;
} affine;

/* The sum of squares that is left with the nearest levels. */
static float affine_error(const float *x, affine f)
{
    float inverse = f.scale > 0 ? 1 / f.scale : 0, errors[LANES] = {0};
    for (int i = 0; i < 32; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float q = level((x[i + k] + f.low) * inverse, 0, 15);
            float rest = f.scale * q - f.low - x[i + k];
            errors[k] += rest * rest;
        }
    }
    return total(errors);
}

/* The best fit to the levels that f gives. */
static affine affine_refit(const float *x, affine f)
{
    float inverse = f.scale > 0 ? 1 / f.scale : 0;
    float qs[LANES] = {0}, qqs[LANES] = {0}, xs[LANES] = {0}, qxs[LANES] = {0};
    for (int i = 0; i < 32; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float q = level((x[i + k] + f.low) * inverse, 0, 15);
            qs[k] += q;
            qqs[k] += q * q;
            xs[k] += x[i + k];
            qxs[k] += q * x[i + k];
        }
    }
    float sum_q = total(qs), sum_qq = total(qqs), sum_x = total(xs), sum_qx = total(qxs);
    float determinant = 32 * sum_qq - sum_q * sum_q;
    if (determinant <= 0)
        return f;
    affine fit = {.scale = (32 * sum_qx - sum_q * sum_x) / determinant};
    fit.low = (fit.scale * sum_q - sum_x) / 32;
    if (fit.low < 0) { /* cannot be stored: through the origin instead */
        fit.low = 0;
        fit.scale = sum_qx / sum_qq;
    }
    return fit.scale > 0 ? fit : f;
}

static affine affine_fit(const float *x)
{
    enum { TRIES = 12 };
    float low = 0, high = x[0], least = INFINITY;
    for (int i = 0; i < 32; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    affine best = {0, -low};
    if (high <= low) /* one value, not above 0 */
        return best;
    for (int i = 0; i <= TRIES; i++) {
        affine f = {.scale = (high - low) / (14.0f + 0.25f * (float)i), .low = -low};
        if (i > 0)
            f = affine_refit(x, f);
        float error = affine_error(x, f);
        if (error < least) {
            least = error;
            best = f;
        }
    }
    return best;
}

/* Integers 0..63 for one sub-block: the rounded ones or a neighbour. */
static void affine_round(const float *x, affine f, affine unit, int *scale, int *low)
{
    float least = INFINITY;
    int s0 = unit.scale > 0 ? (int)level(f.scale / unit.scale, 0, 63) : 0;
    int l0 = unit.low > 0 ? (int)level(f.low / unit.low, 0, 63) : 0;
    for (int s = s0 > 0 ? s0 - 1 : 0; s <= s0 + 1 && s < 64; s++) {
        for (int l = l0 > 0 ? l0 - 1 : 0; l <= l0 + 1 && l < 64; l++) {
            affine tried = {unit.scale * (float)s, unit.low * (float)l};
            float error = affine_error(x, tried);
            if (error < least) {
                least = error;
                *scale = s;
                *low = l;
            }
        }
    }
}

/* The halves d and dmin of the block as they will be read; unit is in the normalised scale. */
static affine affine_units(uint8_t *block, const affine *fits, float norm)
{
    affine largest = {0};
    for (int s = 0; s < 8; s++) {
        largest.scale = fmaxf(largest.scale, fits[s].scale);
        largest.low = fmaxf(largest.low, fits[s].low);
    }
    zm_block_put_half(block, largest.scale / 63 * norm);
    zm_block_put_half(block + 2, largest.low / 63 * norm);
    return (affine){zm_block_get_half(block) / norm, zm_block_get_half(block + 2) / norm};
}

static void put_scales(uint8_t *packed, const int *scales, const int *lows)
{
    uint8_t numbers[16];
    for (int s = 0; s < 8; s++) {
        numbers[s] = (uint8_t)scales[s];
        numbers[8 + s] = (uint8_t)lows[s];
    }
    zm_block_put_six_bits(packed, numbers, false);
}

void zm_q4_k_encode(uint8_t *block, const float *src)
{
    float x[256];
    affine fits[8];
    int scales[8] = {0}, lows[8] = {0};
    memset(block, 0, 144);
    float norm = normalise(x, src);
    if (norm == 0)
        return;
    for (int s = 0; s < 8; s++)
        fits[s] = affine_fit(x + 32 * s);
    affine unit = affine_units(block, fits, norm);
    if (!isfinite(unit.scale) || !isfinite(unit.low))
        return; /* over the largest half: decodes to NaN */
    for (int s = 0; s < 8; s++)
        affine_round(x + 32 * s, fits[s], unit, &scales[s], &lows[s]);
    put_scales(block + 4, scales, lows);
    for (int i = 0; i < 256; i++) {
        int s = i / 32;
        float scale = unit.scale * (float)scales[s], low = unit.low * (float)lows[s];
        int q = (int)level(scale > 0 ? (x[i] + low) / scale : 0, 0, 15);
        block[16 + i / 64 * 32 + i % 32] |= (uint8_t)(q << i % 64 / 32 * 4);
    }
}

/* ---- scale alone: x ~ scale * level, level -32..31, scale of either sign ---- */

static float linear_error(const float *x, float scale)
{
    float inverse = scale != 0 ? 1 / scale : 0, errors[LANES] = {0};
    for (int i = 0; i < 16; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float rest = scale * level(x[i + k] * inverse, -32, 31) - x[i + k];
            errors[k] += rest * rest;
        }
    }
    return total(errors);
}

static float linear_refit(const float *x, float scale)
{
    float qqs[LANES] = {0}, qxs[LANES] = {0};
    for (int i = 0; i < 16; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float q = level(x[i + k] / scale, -32, 31);
            qqs[k] += q * q;
            qxs[k] += q * x[i + k];
        }
    }
    float sum_qq = total(qqs), sum_qx = total(qxs);
    return sum_qq > 0 && sum_qx != 0 ? sum_qx / sum_qq : scale;
}

static float linear_fit(const float *x)
{
    enum { TRIES = 16 };
    float largest = x[0], best = 0, least = INFINITY;
    for (int i = 1; i < 16; i++)
        if (fabsf(x[i]) > fabsf(largest))
            largest = x[i];
    if (largest == 0)
        return 0;
    for (int i = 0; i <= TRIES; i++) {
        float scale = -largest / (30.0f + 0.25f * (float)i);
        if (i != TRIES / 2)
            scale = linear_refit(x, scale);
        float error = linear_error(x, scale);
        if (error < least) {
            least = error;
            best = scale;
        }
    }
    return best;
}

void zm_q6_k_encode(uint8_t *block, const float *src)
{
    float x[256], fits[16], largest = 0;
    memset(block, 0, 210);
    float norm = normalise(x, src);
    if (norm == 0)
        return;
    for (int s = 0; s < 16; s++) {
        fits[s] = linear_fit(x + 16 * s);
        largest = fabsf(fits[s]) > fabsf(largest) ? fits[s] : largest;
    }
    zm_block_put_half(block + 208, largest / -128 * norm);
    float unit = zm_block_get_half(block + 208) / norm;
    if (!isfinite(unit))
        return;
    for (int s = 0; s < 16; s++) {
        int rounded = unit != 0 ? (int)level(fits[s] / unit, -128, 127) : 0;
        float scale = unit * (float)rounded;
        block[192 + s] = (uint8_t)rounded;
        for (int i = 16 * s; i < 16 * s + 16; i++) {
            int q = (int)level(scale != 0 ? x[i] / scale : 0, -32, 31) + 32;
            block[i / 128 * 64 + i % 64] |= (uint8_t)((q & 15) << i % 128 / 64 * 4);
            block[128 + i / 128 * 32 + i % 32] |= (uint8_t)(q >> 4 << i % 128 / 32 * 2);
        }
    }
}
