/* SPDX-License-Identifier: Apache-2.0 */
/* Half floats: every one of them, and every border between two neighbours. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"

#define HALF_INFINITY 0x7c00u

/* The value as IEEE 754 defines it. */
static double half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double magnitude = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return half & 0x8000u ? -magnitude : magnitude;
}

static void test_every_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; ++i) {
        uint16_t half = (uint16_t)i;
        float value = zm_half_to_float(half);
        if ((half & 0x7fffu) > HALF_INFINITY) {
            assert_true(isnan(value));
            assert_true(isnan(zm_half_to_float(zm_half_from_float(value))));
            continue;
        }
        if ((half & 0x7fffu) == HALF_INFINITY) {
            assert_true(isinf(value) && (value < 0) == (half >> 15));
        } else {
            assert_true((double)value == half_value(half));
            assert_int_equal(signbit(value) != 0, half >> 15);
        }
        assert_int_equal(zm_half_from_float(value), half);
        assert_int_equal(zm_half_from_double(value), half);
    }
}

/* Halfway goes to the even neighbour, the smallest step past it to the nearer one. From 65504 on
 * the upper neighbour is infinity, at 65536. */
static void test_every_border(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < HALF_INFINITY; ++i) {
        uint16_t low = (uint16_t)i, high = (uint16_t)(i + 1), even = i % 2 ? high : low;
        double upper = high == HALF_INFINITY ? 65536 : half_value(high);
        double middle = (half_value(low) + upper) / 2;
        assert_int_equal(zm_half_from_double(middle), even);
        assert_int_equal(zm_half_from_double(nextafter(middle, 0)), low);
        assert_int_equal(zm_half_from_double(nextafter(middle, INFINITY)), high);
        assert_int_equal(zm_half_from_double(-middle), even | 0x8000u);
        assert_int_equal(zm_half_from_float((float)middle), even);
        assert_int_equal(zm_half_from_float(nextafterf((float)middle, 0)), low);
        assert_int_equal(zm_half_from_float(nextafterf((float)middle, INFINITY)), high);
    }
}

static void test_extremes(void **state)
{
    (void)state;
    assert_int_equal(zm_half_from_double(1e300), HALF_INFINITY);
    assert_int_equal(zm_half_from_double(-1e300), HALF_INFINITY | 0x8000u);
    assert_int_equal(zm_half_from_double(INFINITY), HALF_INFINITY);
    assert_int_equal(zm_half_from_double(5e-324), 0);
    assert_int_equal(zm_half_from_double(-5e-324), 0x8000u);
    assert_int_equal(zm_half_from_double(-0.0), 0x8000u);
    assert_true(isnan(zm_half_to_float(zm_half_from_double(NAN))));
}

static void test_bfloat16(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 65536; ++i) {
        float value = zm_bf16_to_float((uint16_t)i);
        if (isnan(value)) {
            assert_true(isnan(zm_bf16_to_float(zm_bf16_from_float(value))));
        } else {
            assert_int_equal(zm_bf16_from_float(value), i);
        }
    }
    assert_int_equal(zm_bf16_from_float(1.00390625f), 0x3f80); /* tie, to even */
    assert_int_equal(zm_bf16_from_float(nextafterf(1.00390625f, 2)), 0x3f81);
    assert_int_equal(zm_bf16_from_float(1.01171875f), 0x3f82); /* tie, to even */
    assert_int_equal(zm_bf16_from_float(3.4028235e38f), 0x7f80);
}

/* A double just past a tie of the narrow type: going through float would lose that. */
static void test_stores_round_once(void **state)
{
    (void)state;
    uint16_t half = 0;
    double past[] = {1 + 0x1p-11 + 0x1p-40, -1 - 0x1p-8 - 0x1p-40, 1 + 3 * 0x1p-8 - 0x1p-40};
    zm_store_real(&half, ZM_F16, 0, past[0]);
    assert_int_equal(half, 0x3c01);
    zm_store_real(&half, ZM_BF16, 0, past[1]);
    assert_int_equal(half, 0xbf81);
    zm_store_real(&half, ZM_BF16, 0, past[2]);
    assert_int_equal(half, 0x3f81);
    zm_store_real(&half, ZM_BF16, 0, -1e300);
    assert_int_equal(half, 0xff80);
    zm_store_real(&half, ZM_BF16, 0, NAN);
    assert_true(isnan(zm_bf16_to_float(half)));
}

/* From each type to each other and back; the values are exact in all of them. */
static void test_conversions(void **state)
{
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, ZM_F64};
    static const double values[] = {0, 1, -2.5, 96, 0x1p-14, -0x1p10, INFINITY};
    enum { COUNT = sizeof(values) / sizeof(values[0]) };
    (void)state;
    for (size_t i = 0; i < 4; ++i) {
        for (size_t j = 0; j < 4; ++j) {
            double a[COUNT], b[COUNT], back[COUNT];
            zm_convert_reals(a, types[i], values, ZM_F64, COUNT);
            zm_convert_reals(b, types[j], a, types[i], COUNT);
            zm_convert_reals(back, ZM_F64, b, types[j], COUNT);
            assert_memory_equal(back, values, sizeof(values));
            for (size_t k = 0; k < COUNT; ++k) {
                assert_true(zm_load_real(b, types[j], k) == values[k]);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_half),        cmocka_unit_test(test_every_border),
        cmocka_unit_test(test_extremes),          cmocka_unit_test(test_bfloat16),
        cmocka_unit_test(test_stores_round_once), cmocka_unit_test(test_conversions),
    };
    return cmocka_run_group_tests_name("half", tests, NULL, NULL);
}
