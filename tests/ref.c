/* SPDX-License-Identifier: Apache-2.0 */
/* The reference itself, against numbers worked out by hand and against its formulas written down
 * once more in the plainest way. Both storages run each test. */
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
#include "shaders/args.h"

#define SEED 20240607
#define MAX_BUFFERS 8

/* One call of an op: buffers as doubles, turned into the storage under test and back. */
typedef struct call {
    double *reals[MAX_BUFFERS]; /* NULL = not reals */
    size_t counts[MAX_BUFFERS];
    void *others[MAX_BUFFERS]; /* int32_t, or weights in their own type */
} call;

/* Runs the items in parts of `part` items. */
static void run(const char *op, const void *args, call *c, zm_dtype real, size_t part)
{
    const zm_ref_op *ref = zm_ref_find(op);
    assert_non_null(ref);
    void *buffers[MAX_BUFFERS];
    for (size_t i = 0; i < MAX_BUFFERS; ++i) {
        buffers[i] = c->others[i];
        if (c->reals[i]) {
            buffers[i] = malloc(c->counts[i] * zm_dtype_size(real));
            assert_non_null(buffers[i]);
            zm_convert_reals(buffers[i], real, c->reals[i], ZM_F64, c->counts[i]);
        }
    }
    size_t items = ref->items(args);
    for (size_t begin = 0; begin < items; begin += part) {
        size_t end = items - begin < part ? items : begin + part;
        (real == ZM_F64 ? ref->f64 : ref->f32)(args, buffers, begin, end);
    }
    for (size_t i = 0; i < MAX_BUFFERS; ++i) {
        if (c->reals[i]) {
            zm_convert_reals(c->reals[i], ZM_F64, buffers[i], real, c->counts[i]);
            free(buffers[i]);
        }
    }
}

static void assert_near(const double *got, const double *expected, size_t count, double tolerance)
{
    for (size_t i = 0; i < count; ++i) {
        if (isnan(expected[i])
                ? !isnan(got[i])
                : !(fabs(got[i] - expected[i]) <= tolerance * (1 + fabs(expected[i])))) {
            fail_msg("element %zu is %.17g, not %.17g", i, got[i], expected[i]);
        }
    }
}

static const struct {
    zm_dtype type;
    double tolerance;
} reals[] = {{ZM_F32, 1e-7}, {ZM_F64, 1e-15}};
#define EACH_REAL(r) for (size_t r = 0; r < 2; ++r)

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
                                    .flags = ZM_FLAG_WEIGHT | ZM_FLAG_BIAS};
        call c = {{x, NULL, w, b, dst}, {10, 0, 4, 4, 8}, {NULL}};
        run("layer_norm", &args, &c, reals[r].type, 1);
        assert_near(dst, expected, 8, reals[r].tolerance);
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
        call c = {{x, NULL, NULL, NULL, dst}, {4, 0, 0, 0, 4}, {NULL}};
        run("layer_norm", &args, &c, reals[r].type, 1);
        assert_near(dst, expected, 4, reals[r].tolerance);
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
        call c = {{x, y, NULL, NULL, dst, sum}, {2, 2, 0, 0, 2, 2}, {NULL}};
        sum[0] = sum[1] = 0;
        run("rms_norm", &args, &c, reals[r].type, 1);
        assert_near(dst, expected, 2, reals[r].tolerance);
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
        call c = {{x, y, dst}, {3, 3, 3}, {NULL}};
        memset(dst, 0, sizeof(dst));
        run("add", &args, &c, reals[r].type, 1);
        assert_near(dst, sum, 3, 0);
        run("recentre", &args, &c, reals[r].type, 1);
        assert_near(dst, both, 3, reals[r].tolerance);
        args.flags = 0;
        c.reals[1] = NULL;
        run("recentre", &args, &c, reals[r].type, 1);
        assert_near(dst, alone, 3, reals[r].tolerance);
    }
}

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
                                      .weight_stride = 1,
                                      .m = 5,
                                      .n = 1,
                                      .k = 1,
                                      .x_stride = 1,
                                      .dst_stride = 1,
                                      .weight_type = ZM_F64,
                                      .activation = ZM_ARG_GELU};
        call c = {{x, NULL, NULL, NULL, dst}, {5, 0, 0, 0, 5}, {NULL, &one}};
        run("matmul", &args, &c, reals[r].type, 5);
        assert_near(dst, expected, 5, reals[r].tolerance);
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
                                  .weight_stride = p->k,
                                  .m = p->m,
                                  .n = p->n,
                                  .k = p->k,
                                  .x_stride = p->k,
                                  .weight_type = p->type,
                                  .weight_panel = p->panel,
                                  .residual_stride = p->n,
                                  .dst_stride = p->n,
                                  .flags = ZM_FLAG_BIAS | ZM_FLAG_RESIDUAL};
    call c = {{p->x, NULL, p->bias, p->residual, p->dst},
              {(size_t)p->m * p->k, 0, p->n, outputs, outputs},
              {NULL, p->packed}};
    run("matmul", &args, &c, real, part);
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
            product_run(&p, reals[r].type, SIZE_MAX);
            assert_near(p.dst, p.expected, (size_t)p.m * p.n, 8 * reals[r].tolerance);
            double *whole = malloc(bytes);
            assert_non_null(whole);
            memcpy(whole, p.dst, bytes);
            memset(p.dst, 0, bytes);
            product_run(&p, reals[r].type, 7);
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
                                      .flags = ZM_FLAG_BIAS};
        call c = {{x, NULL, bias, dst}, {8, 0, 1, 4}, {NULL, w}};
        run("conv1d", &args, &c, reals[r].type, 3);
        assert_near(dst, every, 4, 0);
        args.stride = 2;
        args.dst_rows = 2;
        run("conv1d", &args, &c, reals[r].type, 1);
        assert_near(dst, second, 2, 0);
    }
}

static void test_embedding(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        int32_t tokens[4] = {2, 0, 3, -1};
        float table[6] = {1, 2, 3, 4, 5, 7}, panels[8] = {1, 3, 2, 4, 5, 0, 7, 0};
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
                                         .flags = ZM_FLAG_POSITION};
        call c = {{NULL, NULL, position, dst}, {0, 0, 8, 8}, {tokens, table}};
        run("embedding", &args, &c, reals[r].type, 1);
        assert_near(dst, plain, 8, 0);
        args.flags |= ZM_FLAG_RECENTRE;
        args.table_panel = 2;
        c.others[1] = panels;
        run("embedding", &args, &c, reals[r].type, 4);
        assert_near(dst, centred, 8, 0);
    }
}

/* Keys in panels of 2: [capacity / 2][dim][2]; values in rows. */
static void test_kv_store(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double k[4] = {1, 2, 3, 4}, v[4] = {5, 6, 7, 8}, keys[8] = {0}, values[8] = {0};
        double rows_k[8] = {0, 0, 1, 2, 3, 4, 0, 0}, rows_v[8] = {0, 0, 5, 6, 7, 8, 0, 0};
        double panels_k[8] = {0, 1, 0, 2, 3, 0, 4, 0};
        struct zm_kv_store_args args = {.kv_type = reals[r].type,
                                        .rows = 2,
                                        .heads = 1,
                                        .head_dim = 2,
                                        .k_stride = 2,
                                        .v_stride = 2,
                                        .head_stride = 8,
                                        .position = 1};
        call c = {{k, v, keys, values}, {4, 4, 8, 8}, {NULL}};
        run("kv_store", &args, &c, reals[r].type, 1);
        assert_near(keys, rows_k, 8, 0);
        assert_near(values, rows_v, 8, 0);
        args.panel = 2;
        memset(keys, 0, sizeof(keys));
        run("kv_store", &args, &c, reals[r].type, 2);
        assert_near(keys, panels_k, 8, 0);
        assert_near(values, rows_v, 8, 0);
    }
}

/* Scores 0 and ln 3: weights 1/4 and 3/4. Two query heads share a head of keys. */
static void test_attention(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double q[4] = {1, 2, 1, 2}, keys[2] = {0, 0}, values[2] = {8, 16}, dst[4] = {0};
        keys[1] = log(3) * 2; /* scale 0.5 */
        double cross[4] = {14, 15.2, 14, 15.2}, causal[4] = {8, 8, 14, 15.2};
        struct zm_attention_args args = {.kv_type = reals[r].type,
                                         .rows = 2,
                                         .heads = 2,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 2,
                                         .head_stride = 2,
                                         .kv_length = 2,
                                         .dst_stride = 2,
                                         .scale = 0.5f};
        call c = {{q, keys, values, NULL, dst}, {4, 2, 2, 0, 4}, {NULL}};
        run("attention", &args, &c, reals[r].type, 1);
        assert_near(dst, cross, 4, reals[r].tolerance);
        args.flags = ZM_FLAG_CAUSAL;
        run("attention", &args, &c, reals[r].type, 4);
        assert_near(dst, causal, 4, reals[r].tolerance);
    }
}

/* Many blocks of keys, all of them alike but for the values: their mean. Then every score but the
 * last is -Inf: the last value. Then all of them: NaN. */
static void test_attention_over_blocks(void **state)
{
    enum { KEYS = 200 };
    (void)state;
    EACH_REAL(r)
    {
        double q[1] = {1}, keys[KEYS], values[KEYS], dst[1] = {0}, mean = (KEYS - 1) / 2.0;
        struct zm_attention_args args = {.kv_type = reals[r].type,
                                         .rows = 1,
                                         .heads = 1,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 1,
                                         .head_stride = KEYS,
                                         .kv_length = KEYS,
                                         .dst_stride = 1,
                                         .scale = 1};
        call c = {{q, keys, values, NULL, dst}, {1, KEYS, KEYS, 0, 1}, {NULL}};
        for (int i = 0; i < KEYS; ++i) {
            keys[i] = 500;
            values[i] = i;
        }
        run("attention", &args, &c, reals[r].type, 1);
        assert_near(dst, &mean, 1, reals[r].tolerance);
        for (int i = 0; i < KEYS - 1; ++i) {
            keys[i] = -INFINITY;
        }
        run("attention", &args, &c, reals[r].type, 1);
        assert_true(dst[0] == KEYS - 1);
        keys[KEYS - 1] = -INFINITY;
        run("attention", &args, &c, reals[r].type, 1);
        assert_true(isnan(dst[0]));
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
        call c = {{x}, {12}, {NULL, dst}};
        run("argmax", &args, &c, reals[r].type, 2);
        assert_int_equal(dst[0], 1);
        assert_int_equal(dst[1], 3);
        assert_int_equal(dst[2], 0);
        args.n = 2;
        args.rows = 1;
        args.x_offset = 4;
        run("argmax", &args, &c, reals[r].type, 1);
        assert_int_equal(dst[0], 1); /* even -Inf beats NaN */
    }
}

static void test_find(void **state)
{
    (void)state;
    assert_null(zm_ref_find("no such op"));
    assert_null(zm_ref_find(""));
    struct zm_matmul_args matmul = {.batch = 1, .m = 3, .n = ZM_REF_OUTPUTS + 1, .k = 1};
    struct zm_attention_args attention = {.rows = 5, .heads = 7};
    assert_int_equal(zm_ref_find("matmul")->items(&matmul), 6);
    assert_int_equal(zm_ref_find("attention")->items(&attention), 35);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm),
        cmocka_unit_test(test_layer_norm_eps_and_offset),
        cmocka_unit_test(test_rms_norm_with_residual),
        cmocka_unit_test(test_add_and_recentre),
        cmocka_unit_test(test_gelu),
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_over_blocks),
        cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_find),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("ref", tests, NULL, NULL);
}
