/* SPDX-License-Identifier: Apache-2.0 */
/* Quantised blocks: the bits of the Python package gguf, as quant_vectors.py has written them down,
 * and how near the types that we search scales for come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>

#include "common/half.h"
#include "common/hash.h"
#include "common/quant.h"
#include "support/random.h"

enum { COUNT = 64 * 256, SEED = 7 };

typedef struct vector {
    zm_dtype type;
    const char *decoded, *encoded; /* SHA-256; NULL: not compared */
} vector;

static const vector vectors[] = {
#include "quant_vectors.inc"
};

#define VECTOR_COUNT (sizeof(vectors) / sizeof(vectors[0]))

static uint64_t bytes_of(zm_dtype type, uint64_t count)
{
    return count / zm_dtype_block_length(type) * zm_dtype_block_size(type);
}

static void *random_bytes(uint64_t size)
{
    uint64_t state = SEED;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    for (uint64_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)test_random(&state);
    return bytes;
}

/* One NaN is as good as another. */
static void hash_floats(const float *x, char hex[65])
{
    zm_sha256 hash;
    zm_sha256_init(&hash);
    uint32_t canonical = 0x7fc00000;
    for (int i = 0; i < COUNT; i++)
        zm_sha256_update(&hash, isnan(x[i]) ? (const void *)&canonical : &x[i], 4);
    zm_sha256_finish(&hash, hex);
}

static void test_decode(void **state)
{
    (void)state;
    static float decoded[COUNT];
    char hex[65];
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        zm_dtype type = vectors[v].type;
        void *blocks = random_bytes(bytes_of(type, COUNT));
        assert_true(zm_quant_can_decode(type));
        zm_quant_decode(decoded, blocks, type, COUNT);
        hash_floats(decoded, hex);
        if (strcmp(hex, vectors[v].decoded) != 0)
            print_error("%s decodes to other bits\n", zm_dtype_name(type));
        assert_string_equal(hex, vectors[v].decoded);
        free(blocks);
    }
}

/* Blocks of 32 whose magnitudes differ, with zeros, equal values, ties and lone outliers. */
static void fill(float *x)
{
    uint64_t state = SEED;
    for (int block = 0; block < COUNT / 32; block++, x += 32) {
        double scale = ldexp(1, (int)test_random_below(&state, 24) - 18);
        uint64_t kind = test_random_below(&state, 8);
        for (int i = 0; i < 32; i++) {
            double value = test_random_between(&state, -1, 1);
            if (kind == 0)
                value = 0;
            else if (kind == 1)
                value = 0.625;
            else if (kind == 2)
                value = floor(value * 255) / 2;
            else if (kind == 3)
                value = value * value * value + (i == 5 ? -30 : 0);
            else if (kind == 4)
                value += 3;
            x[i] = (float)(value * scale);
        }
    }
}

static void test_encode(void **state)
{
    (void)state;
    static float x[COUNT];
    char hex[65];
    fill(x);
    for (size_t v = 0; v < VECTOR_COUNT; v++) {
        zm_dtype type = vectors[v].type;
        if (!vectors[v].encoded)
            continue;
        uint64_t size = bytes_of(type, COUNT);
        uint8_t *blocks = malloc(size);
        zm_sha256 hash;
        assert_non_null(blocks);
        assert_true(zm_quant_can_encode(type));
        zm_quant_encode(blocks, type, x, COUNT);
        zm_sha256_init(&hash);
        zm_sha256_update(&hash, blocks, size);
        zm_sha256_finish(&hash, hex);
        if (strcmp(hex, vectors[v].encoded) != 0)
            print_error("%s encodes to other bytes\n", zm_dtype_name(type));
        assert_string_equal(hex, vectors[v].encoded);
        free(blocks);
    }
}

/* ---- types whose encoding is a search ---- */

enum { NORMAL, POSITIVE, SHIFTED, OUTLIERS, KINDS };

static double normal(uint64_t *state)
{
    double sum = -6;
    for (int i = 0; i < 12; i++)
        sum += test_random_between(state, 0, 1);
    return sum;
}

static void fill_kind(float *x, int kind, double scale)
{
    uint64_t state = SEED + (uint64_t)kind;
    for (int i = 0; i < COUNT; i++) {
        double value = normal(&state);
        if (kind == POSITIVE)
            value = fabs(value);
        else if (kind == SHIFTED)
            value += 4;
        else if (kind == OUTLIERS)
            value = value * value * value;
        x[i] = (float)(value * scale);
    }
}

static double squared(const float *a, const float *b, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

static float as_half(float x)
{
    return zm_half_to_float(zm_half_from_float(x));
}

static float to_level(float x, float low, float high)
{
    return fmaxf(low, fminf(high, roundf(x)));
}

/* Each sub-block of 32 from its minimum, or 0, to its maximum. */
static void plain_q4_k(float *out, const float *x)
{
    float scales[8], lows[8], d = 0, dmin = 0;
    for (int s = 0; s < 8; s++) {
        float low = 0, high = x[32 * s];
        for (int i = 32 * s; i < 32 * s + 32; i++) {
            low = fminf(low, x[i]);
            high = fmaxf(high, x[i]);
        }
        scales[s] = (high - low) / 15;
        lows[s] = -low;
        d = fmaxf(d, scales[s] / 63);
        dmin = fmaxf(dmin, lows[s] / 63);
    }
    for (int i = 0; i < 256; i++) {
        float scale = as_half(d) * to_level(scales[i / 32] / d, 0, 63);
        float low = dmin > 0 ? as_half(dmin) * to_level(lows[i / 32] / dmin, 0, 63) : 0;
        out[i] = scale * to_level((x[i] + low) / scale, 0, 15) - low;
    }
}

/* The largest magnitude of each sub-block of 16 becomes -32. */
static void plain_q6_k(float *out, const float *x)
{
    float scales[16], largest_scale = 0;
    for (int s = 0; s < 16; s++) {
        float largest = 0;
        for (int i = 16 * s; i < 16 * s + 16; i++)
            largest = fabsf(x[i]) > fabsf(largest) ? x[i] : largest;
        scales[s] = largest / -32;
        largest_scale = fabsf(scales[s]) > fabsf(largest_scale) ? scales[s] : largest_scale;
    }
    float d = largest_scale / -128;
    for (int i = 0; i < 256; i++) {
        float scale = as_half(d) * to_level(scales[i / 16] / d, -128, 127);
        out[i] = scale * to_level(x[i] / scale, -32, 31);
    }
}

static void test_search(void **state)
{
    (void)state;
    static float x[COUNT], decoded[COUNT], plain[COUNT];
    static uint8_t blocks[COUNT];
    static const struct {
        zm_dtype type;
        void (*plain)(float *out, const float *x);
        double most[KINDS]; /* of the plain one's RMS error */
    } searches[] = {{ZM_Q4_K, plain_q4_k, {0.901, 0.935, 0.915, 0.772}},
                    {ZM_Q6_K, plain_q6_k, {0.898, 0.901, 0.869, 0.948}}};
    for (size_t t = 0; t < 2; t++) {
        for (int kind = 0; kind < KINDS; kind++) {
            fill_kind(x, kind, kind == OUTLIERS ? 1e-3 : 1);
            zm_quant_encode(blocks, searches[t].type, x, COUNT);
            zm_quant_decode(decoded, blocks, searches[t].type, COUNT);
            for (int i = 0; i < COUNT; i += 256)
                searches[t].plain(plain + i, x + i);
            double ratio = sqrt(squared(x, decoded, COUNT) / squared(x, plain, COUNT));
            if (!(ratio <= searches[t].most[kind]))
                print_error("%s, kind %d: %.4f\n", zm_dtype_name(searches[t].type), kind, ratio);
            assert_true(ratio <= searches[t].most[kind]);
        }
    }
}

/* A power of two goes through, as long as its scale is a normal half. */
static void test_scaling(void **state)
{
    (void)state;
    static float x[COUNT], small[COUNT], y[COUNT];
    static uint8_t blocks[COUNT * 2];
    static const zm_dtype types[] = {ZM_Q4_0, ZM_Q4_1, ZM_Q8_0, ZM_Q4_K, ZM_Q6_K};
    fill_kind(x, NORMAL, 1);
    fill_kind(small, NORMAL, 0.25);
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        uint64_t size = bytes_of(types[t], COUNT);
        zm_quant_encode(blocks, types[t], x, COUNT);
        zm_quant_decode(x, blocks, types[t], COUNT);
        zm_quant_encode(blocks + size / 2, types[t], small, COUNT / 2);
        zm_quant_decode(y, blocks + size / 2, types[t], COUNT / 2);
        for (int i = 0; i < COUNT / 2; i++)
            assert_true(x[i] == y[i] * 4);
        fill_kind(x, NORMAL, 1);
    }
}

/* What cannot be stored is seen when it is read; nothing is written outside. */
static void test_extremes(void **state)
{
    (void)state;
    static const zm_dtype types[] = {ZM_Q4_0, ZM_Q4_1, ZM_Q8_0, ZM_Q4_K, ZM_Q6_K};
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -1e-44f, 0, 1e-6f};
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        uint32_t length = zm_dtype_block_length(types[t]);
        size_t size = zm_dtype_block_size(types[t]);
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            float x[256] = {0}, y[256];
            uint8_t block[256];
            bool finite = true;
            memset(block, 0xa5, sizeof(block));
            x[7] = values[v];
            zm_quant_encode(block, types[t], x, length);
            assert_int_equal(block[size], 0xa5);
            zm_quant_decode(y, block, types[t], length);
            for (uint32_t i = 0; i < length; i++) {
                finite &= isfinite(y[i]) != 0;
                assert_true(isfinite(values[v]) || isnan(y[i]));
                assert_true(!(fabsf(values[v]) < 1) || fabsf(y[i] - x[i]) <= 1e-6f);
            }
            assert_int_equal(finite, fabsf(values[v]) < 1);
        }
    }
}

static void test_types(void **state)
{
    (void)state;
    static const zm_dtype none[] = {ZM_DTYPE_NONE, ZM_I32, ZM_I64, ZM_U8, ZM_DTYPE_COUNT};
    float x = 3;
    for (size_t t = 0; t < sizeof(none) / sizeof(none[0]); t++) {
        assert_false(zm_quant_can_decode(none[t]) || zm_quant_can_encode(none[t]));
        zm_quant_decode(&x, &x, none[t], 1);
        zm_quant_encode(&x, none[t], &x, 1);
    }
    assert_true(x == 3);
    assert_false(zm_quant_can_encode(ZM_Q2_K) || zm_quant_can_encode(ZM_Q5_1));
    for (zm_dtype type = ZM_F32; type < ZM_DTYPE_COUNT; type++) {
        bool plain = zm_dtype_block_length(type) == 1;
        assert_int_equal(zm_dtype_size(type), plain ? zm_dtype_block_size(type) : 0);
        assert_true(zm_dtype_block_size(type) > 0);
    }
    assert_int_equal(zm_dtype_block_length(ZM_DTYPE_COUNT) + zm_dtype_block_size(-1), 0);
}

/* Blocks of any bytes are finite where all that they decode to is. */
static void test_finite(void **state)
{
    (void)state;
    static const zm_dtype types[] = {ZM_Q4_0, ZM_Q4_1, ZM_Q5_0, ZM_Q5_1, ZM_Q8_0,
                                     ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        uint32_t length = zm_dtype_block_length(types[t]), seen[2] = {0};
        size_t size = zm_dtype_block_size(types[t]);
        uint8_t *blocks = random_bytes(256 * size);
        for (uint32_t i = 0; i < 256; i++) {
            float decoded[256];
            bool finite = true;
            zm_quant_decode(decoded, blocks + i * size, types[t], length);
            for (uint32_t j = 0; j < length; j++)
                finite &= isfinite(decoded[j]) != 0;
            assert_int_equal(zm_quant_is_finite(blocks + i * size, types[t], length), finite);
            seen[finite]++;
        }
        assert_true(seen[false] && seen[true]);
        free(blocks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),   cmocka_unit_test(test_encode),
        cmocka_unit_test(test_search),   cmocka_unit_test(test_scaling),
        cmocka_unit_test(test_extremes), cmocka_unit_test(test_types),
        cmocka_unit_test(test_finite),
    };
    return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
