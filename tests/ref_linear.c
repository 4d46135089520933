/* SPDX-License-Identifier: Apache-2.0 */
/* The references of the linear ops, against numbers worked out by hand and against their formulas
 * written down once more in the plainest way. Both storages run each test. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"
#include "ops/fill.h"
#include "ref/ref.h"
#include "ref_call.h"
#include "shaders/args.h"

#define SEED 20240607

static void test_gelu(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        /* x Phi(x) */
        double x[5] = {0, 1, -1, -10, 3}, dst[5] = {0}, one = 1;
        double expected[5] = {0, 0.84134474606854293, -0.15865525393145707, -7.6198530241605261e-23,
                              2.9959503059051110};
        struct zm_matmul_args args = {.batch = 1,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F64) |
                                               ZM_KIND_SET(ZM_KIND_ACTIVATION, ZM_ARG_GELU),
                                      .weight_stride = 1,
                                      .m = 5,
                                      .n = 1,
                                      .k = 1,
                                      .x_stride = 1,
                                      .dst_stride = 1};
        ref_call c = {{x, NULL, NULL, NULL, dst}, {5, 0, 0, 0, 5}, {NULL, &one}};
        ref_run("matmul", &args, &c, r->type, 5);
        ref_assert_near(dst, expected, 5, r->tolerance);
        assert_true(fabs(dst[3] / expected[3] - 1) < 1e-6);
    }
}

/* A matmul of any shape, with weights in any type and layout, and the same with three loops. */
typedef struct product {
    uint32_t m, n, k, panel;
    zm_dtype type;
    double *x, *bias, *residual, *dst, *expected;
    double *weight; /* [n][k], representable in type */
    void *packed;
    size_t packed_bytes;
} product;

static double *random_reals(op_random *random, size_t count, zm_dtype type)
{
    double *values = calloc(count, sizeof(double));
    assert_non_null(values);
    for (size_t i = 0; i < count; ++i) {
        char element[8];
        zm_store_real(element, type, 0, op_random_normal(random));
        values[i] = zm_load_real(element, type, 0);
    }
    return values;
}

static void product_init(product *p, op_random *random)
{
    size_t panels = p->panel ? (p->n + p->panel - 1) / p->panel : 0;
    size_t elements = p->panel ? panels * p->panel * p->k : (size_t)p->n * p->k;
    p->x = random_reals(random, (size_t)p->m * p->k, ZM_F32);
    p->weight = random_reals(random, (size_t)p->n * p->k, p->type);
    p->bias = random_reals(random, p->n, ZM_F32);
    p->residual = random_reals(random, (size_t)p->m * p->n, ZM_F32);
    p->dst = calloc((size_t)p->m * p->n, sizeof(double));
    p->expected = calloc((size_t)p->m * p->n, sizeof(double));
    p->packed = calloc(elements, zm_dtype_size(p->type));
    assert_true(p->dst && p->expected && p->packed);
    for (size_t o = 0; o < p->n; ++o) {
        for (size_t i = 0; i < p->k; ++i) {
            size_t place =
                p->panel ? (o / p->panel * p->k + i) * p->panel + o % p->panel : o * p->k + i;
            zm_store_real(p->packed, p->type, place, p->weight[o * p->k + i]);
        }
    }
    for (size_t row = 0; row < p->m; ++row) {
        for (size_t o = 0; o < p->n; ++o) {
            double sum = 0;
            for (size_t i = 0; i < p->k; ++i) {
                sum += p->x[row * p->k + i] * p->weight[o * p->k + i];
            }
            p->expected[row * p->n + o] = sum + p->bias[o] + p->residual[row * p->n + o];
        }
    }
}

static void product_finish(product *p)
{
    free(p->x);
    free(p->weight);
    free(p->bias);
    free(p->residual);
    free(p->dst);
    free(p->expected);
    free(p->packed);
}

static void product_run(product *p, zm_dtype real, size_t part)
{
    size_t outputs = (size_t)p->m * p->n;
    struct zm_matmul_args args = {.batch = 1,
                                  .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, p->type) |
                                           ZM_KIND_SET(ZM_KIND_PARAM_TYPE, real),
                                  .weight_stride = p->k,
                                  .m = p->m,
                                  .n = p->n,
                                  .k = p->k,
                                  .x_stride = p->k,
                                  .weight_panel = p->panel,
                                  .residual_stride = p->n,
                                  .dst_stride = p->n,
                                  .flags = ZM_FLAG_BIAS | ZM_FLAG_RESIDUAL};
    ref_call c = {{p->x, NULL, p->bias, p->residual, p->dst},
                  {(size_t)p->m * p->k, 0, p->n, outputs, outputs},
                  {NULL, p->packed}};
    ref_run("matmul", &args, &c, real, part);
}

static void test_matmul(void **state)
{
    static const product shapes[] = {
        {.m = 1, .n = 1, .k = 1, .type = ZM_F32},
        {.m = 3, .n = 65, .k = 129, .type = ZM_F32},
        {.m = 67, .n = 64, .k = 63, .type = ZM_F16},
        {.m = 1, .n = 130, .k = 200, .type = ZM_BF16},
        {.m = 33, .n = 5, .k = 64, .type = ZM_F64},
        {.m = 5, .n = 70, .k = 65, .panel = 48, .type = ZM_F16},
        {.m = 2, .n = 100, .k = 7, .panel = 32, .type = ZM_F32},
    };
    op_random random = {SEED};
    (void)state;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); ++i) {
        product p = shapes[i];
        product_init(&p, &random);
        EACH_REAL(r)
        {
            size_t bytes = (size_t)p.m * p.n * sizeof(double);
            product_run(&p, r->type, SIZE_MAX);
            ref_assert_near(p.dst, p.expected, (size_t)p.m * p.n, 8 * r->tolerance);
            double *whole = malloc(bytes);
            assert_non_null(whole);
            memcpy(whole, p.dst, bytes);
            memset(p.dst, 0, bytes);
            product_run(&p, r->type, 7);
            assert_memory_equal(p.dst, whole, bytes); /* parts don't change a bit */
            free(whole);
        }
        product_finish(&p);
    }
}

/* Two channels, kernel 3, padding 1; rows outside count as zeros. */
static void test_conv1d(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[8] = {1, 10, 2, 20, 3, 30, 4, 40}, bias[1] = {0.5};
        float w[6] = {1, 0, 0, 1, 2, 0}; /* x[t-1][0] + x[t][1] + 2 x[t+1][0] */
        double dst[4] = {0}, every[4] = {14.5, 27.5, 40.5, 43.5}, second[2] = {14.5, 40.5};
        struct zm_conv1d_args args = {.rows = 4,
                                      .channels = 2,
                                      .n = 1,
                                      .kernel_size = 3,
                                      .stride = 1,
                                      .padding = 1,
                                      .dst_rows = 4,
                                      .weight_type = ZM_F32,
                                      .dst_stride = 1,
                                      .param_type = r->type,
                                      .flags = ZM_FLAG_BIAS};
        ref_call c = {{x, NULL, bias, dst}, {8, 0, 1, 4}, {NULL, w}};
        ref_run("conv1d", &args, &c, r->type, 3);
        ref_assert_near(dst, every, 4, 0);
        args.stride = 2;
        args.dst_rows = 2;
        ref_run("conv1d", &args, &c, r->type, 1);
        ref_assert_near(dst, second, 2, 0);
    }
}

static void test_activations(void **state)
{
    static const struct {
        uint32_t activation;
        double expected[6];
    } activations[] = {
        {0, {0, 1, -1, 3, INFINITY, NAN}},
        {ZM_ARG_GELU_TANH,
         {0, 0.84119199060827676, -0.15880800939172324, 2.996362607918227, INFINITY, NAN}},
        {ZM_ARG_SILU,
         {0, 0.73105857863000489, -0.26894142136999512, 2.8577223804673, INFINITY, NAN}},
        {ZM_ARG_RELU, {0, 1, 0, 3, INFINITY, NAN}},
        {ZM_ARG_QUICK_GELU,
         {0, 0.8457957659328212, -0.1542042340671787, 2.981928690292214, INFINITY, NAN}},
    };
    (void)state;
    EACH_REAL(r)
    {
        for (size_t i = 0; i < sizeof(activations) / sizeof(activations[0]); ++i) {
            double x[6] = {0, 1, -1, 3, INFINITY, NAN}, dst[6] = {0}, one = 1;
            struct zm_matmul_args args = {
                .batch = 1,
                .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F64) |
                         ZM_KIND_SET(ZM_KIND_ACTIVATION, activations[i].activation),
                .weight_stride = 1,
                .m = 6,
                .n = 1,
                .k = 1,
                .x_stride = 1,
                .dst_stride = 1};
            ref_call c = {{x, NULL, NULL, NULL, dst}, {6, 0, 0, 0, 6}, {NULL, &one}};
            ref_run("matmul", &args, &c, r->type, 6);
            assert_true(isinf(dst[4]));
            dst[4] = 0;
            double expected[6];
            memcpy(expected, activations[i].expected, sizeof(expected));
            expected[4] = 0;
            ref_assert_near(dst, expected, 6, r->tolerance);
        }
    }
}

/* relu(gate) * up + 100 with gates 1, 2, 3 + 1 and ups 4 + 1, 5, 6; rows that alternate, then
 * panels of 4 whose first half is gates. */
static void test_gated(void **state)
{
    static float rows[6] = {1, 4, 2, 5, 3, 6}, panels[8] = {1, 2, 4, 5, 3, 0, 6, 0};
    (void)state;
    EACH_REAL(r)
    {
        double x[2] = {1, -1}, row_bias[6] = {0, 1, 0, 0, 1, 0};
        double panel_bias[6] = {0, 0, 1, 0, 1, 0}, dst[6];
        double expected[6] = {105, 110, 124, 100, 100, 100};
        struct zm_matmul_args args = {.batch = 1,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32) |
                                               ZM_KIND_SET(ZM_KIND_PARAM_TYPE, r->type) |
                                               ZM_KIND_SET(ZM_KIND_ACTIVATION, ZM_ARG_RELU),
                                      .m = 2,
                                      .n = 3,
                                      .k = 1,
                                      .x_stride = 1,
                                      .weight_stride = 1,
                                      .residual_stride = 3,
                                      .dst_stride = 3,
                                      .flags = ZM_FLAG_BIAS | ZM_FLAG_RESIDUAL | ZM_FLAG_GATED};
        double residual[6] = {100, 100, 100, 100, 100, 100};
        ref_call c = {{x, NULL, row_bias, residual, dst}, {2, 0, 6, 6, 6}, {NULL, rows}};
        memset(dst, 0, sizeof(dst));
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 6, 0);
        args.weight_panel = 4;
        c.reals[2] = panel_bias;
        c.others[1] = panels;
        memset(dst, 0, sizeof(dst));
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 6, 0);
    }
}

/* silu(x w) times a factor whose rows have gaps, in two matrices. */
static void test_factor(void **state)
{
    static float weight[2] = {1, -1};
    (void)state;
    EACH_REAL(r)
    {
        double x[2] = {1, 3}, dst[4] = {0}, factor[6] = {10, -2, 99, 0.5, NAN, 99};
        double expected[4] = {7.3105857863000489, 0.53788284273999023, 1.4288611902336499, NAN};
        struct zm_matmul_args args = {.batch = 1,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32) |
                                               ZM_KIND_SET(ZM_KIND_ACTIVATION, ZM_ARG_SILU),
                                      .m = 2,
                                      .n = 2,
                                      .k = 1,
                                      .x_stride = 1,
                                      .weight_stride = 1,
                                      .residual_stride = 3,
                                      .dst_stride = 2,
                                      .flags = ZM_FLAG_FACTOR};
        ref_call c = {{x, NULL, NULL, factor, dst}, {2, 0, 0, 6, 4}, {NULL, weight}};
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 4, r->tolerance);
        args.batch = 2; /* one row each */
        args.m = args.x_batch = 1;
        args.dst_batch = 2;
        args.residual_batch = 3;
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 4, r->tolerance);
    }
}

/* dst = 1 .. 65: squares and sums of the first 64, and of the one that is left; then dst times a
 * norm's weight as well. */
static void test_statistics(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        float weight[65];
        double x[2] = {1, -1}, dst[130] = {0}, statistics[8] = {0};
        double expected[8] = {89440, 2080, 4225, 65, 89440, -2080, 4225, -65};
        struct zm_matmul_args args = {.batch = 1,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32),
                                      .m = 2,
                                      .n = 65,
                                      .k = 1,
                                      .x_stride = 1,
                                      .weight_stride = 1,
                                      .dst_stride = 65,
                                      .statistics_stride = 4,
                                      .flags = ZM_FLAG_STATISTICS};
        ref_call c = {{x, NULL, NULL, NULL, dst, NULL, NULL, statistics},
                      {2, 0, 0, 0, 130, 0, 0, 8},
                      {NULL, weight}};
        for (int i = 0; i < 65; ++i) {
            weight[i] = (float)(i + 1);
        }
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(statistics, expected, 8, 0);
        double norm_weight[66], weighted[131] = {0}, multiplied[131] = {0};
        for (int i = 0; i < 65; ++i) {
            norm_weight[1 + i] = i % 7 - 3;
            multiplied[i] = (i + 1) * norm_weight[1 + i];
            multiplied[66 + i] = -multiplied[i];
        }
        args.kinds |= ZM_KIND_SET(ZM_KIND_PARAM_TYPE, r->type);
        args.flags |= ZM_FLAG_WEIGHT;
        args.norm_weight_offset = 1;
        args.weighted_stride = 66;
        ref_call of_norm = {
            {x, NULL, NULL, NULL, dst, NULL, NULL, statistics, norm_weight, weighted},
            {2, 0, 0, 0, 130, 0, 0, 8, 66, 131},
            {NULL, weight}};
        ref_run("matmul", &args, &of_norm, r->type, 1);
        ref_assert_near(statistics, expected, 8, 0);
        ref_assert_near(weighted, multiplied, 131, 0);
    }
}

/* Two products at once; rows and matrices of weights have gaps. */
static void test_batch(void **state)
{
    static float weight[11] = {1, 2, 99, 3, 4, 99, 99, 5, 6, 99, 7};
    (void)state;
    EACH_REAL(r)
    {
        double x[3] = {10, 99, -1}, dst[7] = {0};
        double expected[7] = {10, 30, 0, 0, 0, -5, -7};
        struct zm_matmul_args args = {.batch = 2,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32),
                                      .m = 1,
                                      .n = 2,
                                      .k = 1,
                                      .x_stride = 1,
                                      .weight_stride = 3,
                                      .dst_stride = 2,
                                      .x_batch = 2,
                                      .weight_batch = 7,
                                      .dst_batch = 5};
        ref_call c = {{x, NULL, NULL, NULL, dst}, {3, 0, 0, 0, 7}, {NULL, weight}};
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 7, 0);
    }
}

enum { NORM_M = 5, NORM_K = 150, NORM_N = 9, NORM_GROUP = 32, NORM_GROUPS = 5 };

/* What the two ways of a product behind a norm share. */
typedef struct normed_product {
    double x[NORM_M * NORM_K], y[NORM_M * NORM_K], bias[NORM_N];
    double statistics[NORM_M * NORM_GROUPS * 2], sums[NORM_N];
    double dst[NORM_M * NORM_N], expected[NORM_M * NORM_N];
    float weight[NORM_N * NORM_K];
} normed_product;

static void normed_init(normed_product *p)
{
    op_random random = {SEED};
    for (size_t i = 0; i < NORM_M * NORM_K; ++i) {
        p->x[i] = (float)(0.5 + op_random_normal(&random) * (double)(1 + i / NORM_K));
    }
    for (size_t o = 0; o < NORM_N; ++o) {
        p->bias[o] = (float)op_random_normal(&random);
        p->sums[o] = 0;
        for (size_t i = 0; i < NORM_K; ++i) {
            p->weight[o * NORM_K + i] = (float)(op_random_normal(&random) / 16);
            p->sums[o] += (double)p->weight[o * NORM_K + i];
        }
    }
}

/* A norm deferred to the epilogue is the norm. */
static void test_row_scale(void **state)
{
    static normed_product p;
    static const char *const norms[] = {"", "rms_norm", "layer_norm", "crms_norm"};
    (void)state;
    EACH_REAL(r)
    {
        normed_init(&p);
        for (uint32_t kind = ZM_ARG_SCALE_RMS; kind <= ZM_ARG_SCALE_CRMS; ++kind) {
            struct zm_norm_args norm = {.rows = NORM_M,
                                        .d = NORM_K,
                                        .x_stride = NORM_K,
                                        .dst_stride = NORM_K,
                                        .eps = 0.01f,
                                        .true_d = NORM_K + 1};
            struct zm_row_statistics_args statistics = {.rows = NORM_M,
                                                        .d = NORM_K,
                                                        .group = NORM_GROUP,
                                                        .x_stride = NORM_K,
                                                        .statistics_stride = 2 * NORM_GROUPS,
                                                        .flags = ZM_FLAG_STATISTICS};
            struct zm_matmul_args args = {.batch = 1,
                                          .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32) |
                                                   ZM_KIND_SET(ZM_KIND_PARAM_TYPE, r->type) |
                                                   ZM_KIND_SET(ZM_KIND_ACTIVATION, ZM_ARG_SILU),
                                          .m = NORM_M,
                                          .n = NORM_N,
                                          .k = NORM_K,
                                          .x_stride = NORM_K,
                                          .weight_stride = NORM_K,
                                          .dst_stride = NORM_N,
                                          .flags = ZM_FLAG_BIAS};
            size_t rows = NORM_M * NORM_K, outputs = NORM_M * NORM_N;
            ref_call norm_call = {{p.x, NULL, NULL, NULL, p.y}, {rows, 0, 0, 0, rows}, {NULL}};
            ref_call plain = {{p.y, NULL, p.bias, NULL, p.expected},
                              {rows, 0, NORM_N, 0, outputs},
                              {NULL, p.weight}};
            ref_call of_x = {{p.x, p.statistics}, {rows, NORM_M * NORM_GROUPS * 2}, {NULL}};
            ref_call deferred = {{p.x, NULL, p.bias, NULL, p.dst, p.statistics, p.sums},
                                 {rows, 0, NORM_N, 0, outputs, NORM_M * NORM_GROUPS * 2, NORM_N},
                                 {NULL, p.weight}};
            ref_run(norms[kind], &norm, &norm_call, r->type, 2);
            ref_run("matmul", &args, &plain, r->type, 2);
            ref_run("row_statistics", &statistics, &of_x, r->type, 2);
            args.kinds |= ZM_KIND_SET(ZM_KIND_SCALE, kind);
            args.scale_stride = 2 * NORM_GROUPS;
            args.scale_groups = NORM_GROUPS;
            args.scale_d = norm.d + (kind == ZM_ARG_SCALE_CRMS);
            args.scale_eps = norm.eps;
            ref_run("matmul", &args, &deferred, r->type, 2);
            ref_assert_near(p.dst, p.expected, outputs, 10 * r->tolerance);
        }
    }
}

/* Rows of 0: the variance that comes out below 0 counts as 0. */
static void test_row_scale_of_constant_rows(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        /* mean 3; the squares have been rounded down */
        double x[1] = {1}, statistics[2] = {8.9375, 3}, sums[1] = {0.25}, dst[1] = {0};
        double expected = (1 - 3 * 0.25) / sqrt(0.25);
        float weight[1] = {1};
        struct zm_matmul_args args = {.batch = 1,
                                      .kinds = ZM_KIND_SET(ZM_KIND_WEIGHT_TYPE, ZM_F32) |
                                               ZM_KIND_SET(ZM_KIND_SCALE, ZM_ARG_SCALE_LAYER),
                                      .m = 1,
                                      .n = 1,
                                      .k = 1,
                                      .x_stride = 1,
                                      .weight_stride = 1,
                                      .dst_stride = 1,
                                      .scale_stride = 2,
                                      .scale_groups = 1,
                                      .scale_d = 1,
                                      .scale_eps = 0.25f};
        ref_call c = {
            {x, NULL, NULL, NULL, dst, statistics, sums}, {1, 0, 0, 0, 1, 2, 1}, {NULL, weight}};
        ref_run("matmul", &args, &c, r->type, 1);
        ref_assert_near(dst, &expected, 1, r->tolerance);
    }
}

/* Two channels of 2 x 4, patches of 2 x 2. */
static void test_patch_embedding(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double x[16] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 20, 30, 40, 50, 60, 70, 80};
        double bias[1] = {0.5}, position[3] = {1000, 99, 2000}, dst[2] = {0};
        float w[8] = {1, 0, 0, 2, 0, 1, 1, 0}; /* x[0][0][0] + 2 x[0][1][1] + x[1][0][1] + ... */
        double expected[2] = {1 + 12 + 20 + 50 + 1000.5, 3 + 16 + 40 + 70 + 2000.5};
        struct zm_patch_embedding_args args = {.channels = 2,
                                               .height = 2,
                                               .width = 4,
                                               .patch = 2,
                                               .n = 1,
                                               .weight_type = ZM_F32,
                                               .position_stride = 2,
                                               .dst_stride = 1,
                                               .param_type = r->type,
                                               .flags = ZM_FLAG_BIAS | ZM_FLAG_POSITION};
        ref_call c = {{x, NULL, bias, position, dst}, {16, 0, 1, 3, 2}, {NULL, w}};
        ref_run("patch_embedding", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 2, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_activations),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_gated),
        cmocka_unit_test(test_factor),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_row_scale),
        cmocka_unit_test(test_row_scale_of_constant_rows),
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_patch_embedding),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("ref_linear", tests, NULL, NULL);
}
