/* SPDX-License-Identifier: Apache-2.0 */
/* The reference itself, against numbers worked out by hand. Both storages run each test. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ref/ref.h"
#include "ref_call.h"
#include "shaders/args.h"

static void test_layer_norm(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        /* mean 2.5, variance 1.25; the stride leaves a gap of one */
        double x[10] = {1, 2, 3, 4, 99, 8, 6, 4, 2, 99}, w[4] = {1, 2, 3, 4}, b[4] = {0, 0, 1, 0};
        double dst[8] = {0}, s = sqrt(1.25), t = sqrt(5);
        double expected[8] = {-1.5 / s, -1 / s,    1.5 / s + 1, 6 / s,
                              3 / t,    1 * 2 / t, -3 / t + 1,  -12 / t};
        struct zm_norm_args args = {.rows = 2,
                                    .d = 4,
                                    .x_stride = 5,
                                    .dst_stride = 4,
                                    .param_type = r->type,
                                    .flags = ZM_FLAG_WEIGHT | ZM_FLAG_BIAS};
        ref_call c = {{x, NULL, w, b, dst}, {10, 0, 4, 4, 8}, {NULL}};
        ref_run("layer_norm", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 8, r->tolerance);
    }
}

static void test_layer_norm_eps_and_offset(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[4] = {7, 7, -1, 1}, dst[4] = {5, 5, 5, 5};
        double expected[4] = {5, -0.5, 0.5, 5};
        struct zm_norm_args args = {.rows = 1,
                                    .d = 2,
                                    .x_offset = 2,
                                    .x_stride = 2,
                                    .dst_offset = 1,
                                    .dst_stride = 2,
                                    .eps = 3};
        ref_call c = {{x, NULL, NULL, NULL, dst}, {4, 0, 0, 0, 4}, {NULL}};
        ref_run("layer_norm", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 4, r->tolerance);
    }
}

/* 3, 4 -> divided by sqrt(12.5); the sum goes over x in place. */
static void test_rms_norm_with_residual(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[2] = {1, 1}, y[2] = {2, 3}, dst[2] = {0}, root = sqrt(12.5);
        double expected[2] = {3 / root, 4 / root}, sum[2] = {3, 4};
        struct zm_norm_args args = {.rows = 1,
                                    .d = 2,
                                    .x_stride = 2,
                                    .residual_stride = 2,
                                    .dst_stride = 2,
                                    .sum_stride = 2,
                                    .flags = ZM_FLAG_RESIDUAL | ZM_FLAG_SUM};
        ref_call c = {{x, y, NULL, NULL, dst, sum}, {2, 2, 0, 0, 2, 2}, {NULL}};
        sum[0] = sum[1] = 0;
        ref_run("rms_norm", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 2, r->tolerance);
        assert_true(sum[0] == 3 && sum[1] == 4);
    }
}

static void test_add_and_recentre(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[3] = {1, 2, 6}, y[3] = {1, 1, 1}, dst[3];
        double sum[3] = {2, 3, 7}, both[3] = {-2, -1, 3}, alone[3] = {-2, -1, 3};
        struct zm_add_args args = {.rows = 1,
                                   .d = 3,
                                   .x_stride = 3,
                                   .y_stride = 3,
                                   .dst_stride = 3,
                                   .flags = ZM_FLAG_RESIDUAL};
        ref_call c = {{x, y, dst}, {3, 3, 3}, {NULL}};
        memset(dst, 0, sizeof(dst));
        ref_run("add", &args, &c, r->type, 1);
        ref_assert_near(dst, sum, 3, 0);
        ref_run("recentre", &args, &c, r->type, 1);
        ref_assert_near(dst, both, 3, r->tolerance);
        args.flags = 0;
        c.reals[1] = NULL;
        ref_run("recentre", &args, &c, r->type, 1);
        ref_assert_near(dst, alone, 3, r->tolerance);
    }
}

static void test_activate(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[4] = {1, -3, 2, -0.5}, bias[2] = {1, 2}, y[4] = {3, 5, -1, 4}, dst[4];
        double whole[4] = {6, 0, -3, 6}, alone[4] = {1, 0, 2, 0}, sum[4] = {2, -1, 3, 1.5};
        struct zm_activate_args args = {.rows = 2,
                                        .d = 2,
                                        .x_stride = 2,
                                        .param_type = r->type,
                                        .y_stride = 2,
                                        .dst_stride = 2,
                                        .flags = ZM_FLAG_BIAS | ZM_FLAG_FACTOR,
                                        .activation = ZM_ARG_RELU};
        ref_call c = {{x, bias, y, dst}, {4, 2, 4, 4}, {NULL}};
        memset(dst, 0, sizeof(dst));
        ref_run("activate", &args, &c, r->type, 1);
        ref_assert_near(dst, whole, 4, 0);
        args.flags = 0;
        ref_run("activate", &args, &c, r->type, 2);
        ref_assert_near(dst, alone, 4, 0);
        args.flags = ZM_FLAG_BIAS;
        args.activation = 0;
        ref_run("activate", &args, &c, r->type, 2);
        ref_assert_near(dst, sum, 4, 0);
    }
}

static void test_embedding(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        int32_t tokens[4] = {2, 0, 3, -1};
        float table[6] = {-0.5f, -1, -1.5f, -2, -2.5f, -3.5f};
        float panels[8] = {-0.5f, -1.5f, -1, -2, -2.5f, 0, -3.5f, 0};
        double position[8] = {10, 20, 30, 40, 0, 0, 0, 0}, dst[8] = {0};
        double plain[8] = {15, 27, 31, 42, NAN, NAN, NAN, NAN};
        double centred[8] = {-6, 6, -5.5, 5.5, NAN, NAN, NAN, NAN};
        struct zm_embedding_args args = {.rows = 4,
                                         .d = 2,
                                         .vocabulary = 3,
                                         .table_stride = 2,
                                         .table_type = ZM_F32,
                                         .position_stride = 2,
                                         .dst_stride = 2,
                                         .param_type = r->type,
                                         .flags = ZM_FLAG_POSITION,
                                         .scale = -2};
        ref_call c = {{NULL, NULL, position, dst}, {0, 0, 8, 8}, {tokens, table}};
        ref_run("embedding", &args, &c, r->type, 1);
        ref_assert_near(dst, plain, 8, 0);
        args.flags |= ZM_FLAG_RECENTRE;
        args.table_panel = 2;
        c.others[1] = panels;
        ref_run("embedding", &args, &c, r->type, 4);
        ref_assert_near(dst, centred, 8, 0);
    }
}

static void test_argmax(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[12] = {1, 5, 5, 2, NAN, -INFINITY, NAN, -1, NAN, NAN, NAN, NAN};
        int32_t dst[3] = {-1, -1, -1};
        struct zm_argmax_args args = {.rows = 3, .n = 4, .x_stride = 4};
        ref_call c = {{x}, {12}, {NULL, dst}};
        ref_run("argmax", &args, &c, r->type, 2);
        assert_int_equal(dst[0], 1);
        assert_int_equal(dst[1], 3);
        assert_int_equal(dst[2], 0);
        args.n = 2;
        args.rows = 1;
        args.x_offset = 4;
        ref_run("argmax", &args, &c, r->type, 1);
        assert_int_equal(dst[0], 1); /* even -Inf beats NaN */
    }
}

/* z = 1, 2, 3 of a row whose fourth element is -6: squares 14, the sum's 36. */
static void test_crms_norm(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[3] = {1, 2, 3}, w[3] = {2, 1, 1}, dst[3] = {0}, root = sqrt(50 / 4.0 + 0.25);
        double expected[3] = {2 / root, 2 / root, 3 / root};
        struct zm_norm_args args = {.rows = 1,
                                    .d = 3,
                                    .x_stride = 3,
                                    .dst_stride = 3,
                                    .true_d = 4,
                                    .eps = 0.25f,
                                    .param_type = r->type,
                                    .flags = ZM_FLAG_WEIGHT};
        ref_call c = {{x, NULL, w, NULL, dst}, {3, 0, 3, 0, 3}, {NULL}};
        ref_run("crms_norm", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 3, r->tolerance);
    }
}

/* A CRMSNorm is the RMSNorm of the whole zero-mean row, but for the element that is left out. */
static void test_crms_norm_is_rms_norm(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[5] = {0.5, -3, 2, 4, -3.5}, rms[5] = {0}, crms[4] = {0};
        struct zm_norm_args args = {
            .rows = 1, .d = 5, .x_stride = 5, .dst_stride = 5, .true_d = 5, .eps = 1e-3f};
        ref_call whole = {{x, NULL, NULL, NULL, rms}, {5, 0, 0, 0, 5}, {NULL}};
        ref_call part = {{x, NULL, NULL, NULL, crms}, {5, 0, 0, 0, 4}, {NULL}};
        ref_run("rms_norm", &args, &whole, r->type, 1);
        args.d = 4;
        ref_run("crms_norm", &args, &part, r->type, 1);
        ref_assert_near(crms, rms, 4, r->tolerance);
    }
}

static void test_row_statistics(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[10] = {1, 2, 3, -4, 5, 0, 0, 0, -1, 7}, statistics[12] = {0};
        double expected[12] = {5, 3, 25, -1, 25, 5, 0, 0, 1, -1, 49, 7};
        struct zm_row_statistics_args args = {.rows = 2,
                                              .d = 5,
                                              .group = 2,
                                              .x_stride = 5,
                                              .statistics_stride = 6,
                                              .flags = ZM_FLAG_STATISTICS};
        ref_call c = {{x, statistics}, {10, 12}, {NULL}};
        ref_run("row_statistics", &args, &c, r->type, 1);
        ref_assert_near(statistics, expected, 12, 0);
        double weight[6] = {99, 2, 1, 0.5, -1, 3}, weighted[12] = {0};
        double multiplied[12] = {2, 2, 1.5, 4, 15, 0, 0, 0, 0, 1, 21, 0};
        args.weight_offset = 1;
        args.param_type = r->type;
        args.weighted_stride = 6;
        args.flags |= ZM_FLAG_WEIGHT;
        ref_call of_norm = {{x, statistics, weight, weighted}, {10, 12, 6, 12}, {NULL}};
        ref_run("row_statistics", &args, &of_norm, r->type, 1);
        ref_assert_near(statistics, expected, 12, 0);
        ref_assert_near(weighted, multiplied, 12, 0);
        args.flags = ZM_FLAG_WEIGHT;
        expected[0] = statistics[0] = weighted[0] = 99;
        of_norm = (ref_call){{x, statistics, weight, weighted}, {10, 12, 6, 12}, {NULL}};
        ref_run("row_statistics", &args, &of_norm, r->type, 1);
        ref_assert_near(statistics, expected, 12, 0);
        ref_assert_near(weighted, multiplied, 12, 0);
    }
}

/* Two heads of 6, of which 4 turn; the second pair by half the position's angle. */
static void test_rope(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[12] = {1, 2, 3, 4, 5, 6, 1, 0, 0, 1, 7, 8}, dst[12] = {0};
        double c1 = cos(3), s1 = sin(3), c2 = cos(1.5), s2 = sin(1.5);
        double halves[12] = {c1 - 3 * s1, 2 * c2 - 4 * s2,
                             3 * c1 + s1, 4 * c2 + 2 * s2,
                             5,           6,
                             c1,          -s2,
                             s1,          c2,
                             7,           8};
        double pairs[12] = {c1 - 2 * s1,
                            2 * c1 + s1,
                            3 * c2 - 4 * s2,
                            4 * c2 + 3 * s2,
                            5,
                            6,
                            c1,
                            s1,
                            -s2,
                            c2,
                            7,
                            8};
        int32_t positions[1] = {6};
        struct zm_rope_args args = {.rows = 1,
                                    .heads = 2,
                                    .head_dim = 6,
                                    .rotary_dim = 4,
                                    .x_stride = 12,
                                    .dst_stride = 12,
                                    .base = 4, /* 4^(2/4) = 2 */
                                    .frequency_scale = 0.5f,
                                    .magnitude = 1};
        ref_call c = {{x, NULL, NULL, dst}, {12, 0, 0, 12}, {NULL, positions}};
        ref_run("rope", &args, &c, r->type, 1);
        ref_assert_near(dst, halves, 12, r->tolerance);
        args.layout = ZM_ARG_ROPE_PAIRS;
        ref_run("rope", &args, &c, r->type, 1);
        ref_assert_near(dst, pairs, 12, r->tolerance);
    }
}

/* Factors divide the frequencies, the magnitude multiplies, and x may be dst. */
static void test_rope_in_place(void **state)
{
    double x[4] = {1, 0, 0, 1}, factors[1] = {3};
    double expected[4] = {2, 0, -2 * sin(2), 2 * cos(2)};
    int32_t positions[2] = {0, 6};
    struct zm_rope_args args = {.rows = 2,
                                .heads = 1,
                                .head_dim = 2,
                                .rotary_dim = 2,
                                .x_stride = 2,
                                .dst_stride = 2,
                                .flags = ZM_FLAG_FACTORS,
                                .base = 10000,
                                .frequency_scale = 1,
                                .magnitude = 2};
    void *buffers[4] = {x, positions, factors, x};
    (void)state;
    zm_ref_find("rope")->f64(&args, buffers, 0, 2);
    ref_assert_near(x, expected, 4, 1e-15);
}

static void test_softmax(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[9] = {0, log(2) * 2, log(5) * 2, 1000, -INFINITY, 1000, NAN, 1, 2}, dst[9] = {0};
        double expected[9] = {1 / 8.0, 2 / 8.0, 5 / 8.0, 0.5, 0, 0.5, NAN, NAN, NAN};
        struct zm_softmax_args args = {
            .rows = 3, .n = 3, .x_stride = 3, .dst_stride = 3, .scale = 0.5f};
        ref_call c = {{x, dst}, {9, 9}, {NULL}};
        ref_run("softmax", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 9, 2 * r->tolerance);
    }
}

static void test_copy_transposes(void **state)
{
    static const uint16_t halves[6] = {0x3c00, 0x4000, 0x4200, 0x4400, 0x4500, 0xfc00};
    float dst[8] = {0}, expected[8] = {1, 4, 0, 2, 5, 0, 3, -INFINITY};
    (void)state;
    struct zm_copy_args args = {.shape = {1, 1, 3, 2},
                                .x_stride = {0, 0, 1, 3},
                                .x_type = ZM_F16,
                                .dst_stride = {0, 0, 3, 1},
                                .dst_type = ZM_F32};
    void *buffers[2] = {(void *)halves, dst};
    zm_ref_find("copy")->f32(&args, buffers, 0, 3);
    assert_memory_equal(dst, expected, sizeof(dst));
}

static void test_copy_rounds(void **state)
{
    static const float values[5] = {1 + 0x1p-11f, 1 + 3 * 0x1p-11f, 65520, -65519, 0x1p-25f};
    static const uint16_t expected[5] = {0x3c00, 0x3c02, 0x7c00, 0xfbff, 0};
    uint16_t dst[5];
    (void)state;
    struct zm_copy_args args = {.shape = {1, 1, 1, 5},
                                .x_stride = {0, 0, 0, 1},
                                .x_type = ZM_F32,
                                .dst_stride = {0, 0, 0, 1},
                                .dst_type = ZM_F16};
    void *buffers[2] = {(void *)values, dst};
    zm_ref_find("copy")->f32(&args, buffers, 0, 1);
    assert_memory_equal(dst, expected, sizeof(dst));
}

/* Four dimensions, a gap after each, integers. */
static void test_copy_dimensions(void **state)
{
    int32_t x[2 * 31 + 5], dst[16];
    (void)state;
    for (int32_t i = 0; i < 67; ++i) {
        x[i] = i;
    }
    struct zm_copy_args args = {.shape = {2, 2, 2, 2},
                                .x_offset = 1,
                                .x_stride = {31, 13, 5, 2},
                                .x_type = ZM_I32,
                                .dst_stride = {8, 4, 2, 1},
                                .dst_type = ZM_I32};
    void *buffers[2] = {x, dst};
    zm_ref_find("copy")->f64(&args, buffers, 0, 3);
    zm_ref_find("copy")->f64(&args, buffers, 3, 8);
    for (int32_t i = 0; i < 16; ++i) {
        assert_int_equal(dst[i], 1 + i / 8 * 31 + i / 4 % 2 * 13 + i / 2 % 2 * 5 + i % 2 * 2);
    }
}

static void test_top_k(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[15] = {1, 5, 5, 2, 9, NAN, -1, NAN, -INFINITY, NAN, 3, 3, 3, 3, 3};
        double values[9] = {0}, low = -INFINITY;
        double expected[9] = {9, 5, 5, -1, low, low, 3, 3, 3};
        int32_t indices[9] = {0}, places[9] = {4, 1, 2, 1, 3, -1, 0, 1, 2};
        struct zm_top_k_args args = {
            .rows = 3, .n = 5, .k = 3, .x_stride = 5, .values_stride = 3, .indices_stride = 3};
        ref_call c = {{x, values}, {15, 9}, {NULL, NULL, indices}};
        ref_run("top_k", &args, &c, r->type, 2);
        for (size_t i = 0; i < 9; ++i) {
            assert_true(values[i] == expected[i]);
            assert_int_equal(indices[i], places[i]);
        }
    }
}

static void test_find(void **state)
{
    (void)state;
    assert_null(zm_ref_find("no such op"));
    assert_null(zm_ref_find(""));
    struct zm_matmul_args matmul = {.batch = 1, .m = 3, .n = ZM_REF_OUTPUTS + 1, .k = 1};
    struct zm_attention_args attention = {.sequences = 2, .rows = 5, .heads = 7};
    struct zm_patch_embedding_args patches = {.height = 6, .width = 4, .patch = 2, .n = 65};
    struct zm_copy_args copy = {.shape = {2, 3, 5, 7}};
    assert_int_equal(zm_ref_find("matmul")->items(&matmul), 6);
    matmul.batch = 4;
    assert_int_equal(zm_ref_find("matmul")->items(&matmul), 24);
    assert_int_equal(zm_ref_find("attention")->items(&attention), 70);
    assert_int_equal(zm_ref_find("patch_embedding")->items(&patches), 12);
    assert_int_equal(zm_ref_find("copy")->items(&copy), 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_layer_norm_eps_and_offset),
        cmocka_unit_test(test_rms_norm_with_residual),
        cmocka_unit_test(test_add_and_recentre),
        cmocka_unit_test(test_activate),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_crms_norm),
        cmocka_unit_test(test_crms_norm_is_rms_norm),
        cmocka_unit_test(test_row_statistics),
        cmocka_unit_test(test_rope),
        cmocka_unit_test(test_rope_in_place),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_copy_transposes),
        cmocka_unit_test(test_copy_rounds),
        cmocka_unit_test(test_copy_dimensions),
        cmocka_unit_test(test_top_k),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests_name("ref", tests, NULL, NULL);
}
