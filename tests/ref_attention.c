/* SPDX-License-Identifier: Apache-2.0 */
/* The references of attention and its cache, against numbers worked out by hand. Both storages run
 * each test. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/half.h"
#include "ref_call.h"
#include "shaders/args.h"

/* Keys in panels of 2: [capacity / 2][dim][2]; values in rows. */
static void test_kv_store(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double k[4] = {1, 2, 3, 4}, v[4] = {5, 6, 7, 8}, keys[8] = {0}, values[8] = {0};
        double rows_k[8] = {0, 0, 1, 2, 3, 4, 0, 0}, rows_v[8] = {0, 0, 5, 6, 7, 8, 0, 0};
        double panels_k[8] = {0, 1, 0, 2, 3, 0, 4, 0};
        struct zm_kv_store_args args = {.sequences = 1,
                                        .kv_type = r->type,
                                        .rows = 2,
                                        .heads = 1,
                                        .head_dim = 2,
                                        .k_stride = 2,
                                        .v_stride = 2,
                                        .head_stride = 8,
                                        .position = 1};
        ref_call c = {{k, v, NULL, NULL, keys, values}, {4, 4, 0, 0, 8, 8}, {NULL}};
        ref_run("kv_store", &args, &c, r->type, 1);
        ref_assert_near(keys, rows_k, 8, 0);
        ref_assert_near(values, rows_v, 8, 0);
        args.panel = 2;
        memset(keys, 0, sizeof(keys));
        ref_run("kv_store", &args, &c, r->type, 2);
        ref_assert_near(keys, panels_k, 8, 0);
        ref_assert_near(values, rows_v, 8, 0);
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
        struct zm_attention_args args = {.sequences = 1,
                                         .kv_type = r->type,
                                         .rows = 2,
                                         .heads = 2,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 2,
                                         .head_stride = 2,
                                         .kv_length = 2,
                                         .dst_stride = 2,
                                         .scale = 0.5f};
        ref_call c = {{q, keys, values, NULL, NULL, NULL, dst}, {4, 2, 2, 0, 0, 0, 4}, {NULL}};
        ref_run("attention", &args, &c, r->type, 1);
        ref_assert_near(dst, cross, 4, r->tolerance);
        args.flags = ZM_FLAG_CAUSAL;
        ref_run("attention", &args, &c, r->type, 4);
        ref_assert_near(dst, causal, 4, r->tolerance);
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
        struct zm_attention_args args = {.sequences = 1,
                                         .kv_type = r->type,
                                         .rows = 1,
                                         .heads = 1,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 1,
                                         .head_stride = KEYS,
                                         .kv_length = KEYS,
                                         .dst_stride = 1,
                                         .scale = 1};
        ref_call c = {
            {q, keys, values, NULL, NULL, NULL, dst}, {1, KEYS, KEYS, 0, 0, 0, 1}, {NULL}};
        for (int i = 0; i < KEYS; ++i) {
            keys[i] = 500;
            values[i] = i;
        }
        ref_run("attention", &args, &c, r->type, 1);
        ref_assert_near(dst, &mean, 1, r->tolerance);
        for (int i = 0; i < KEYS - 1; ++i) {
            keys[i] = -INFINITY;
        }
        ref_run("attention", &args, &c, r->type, 1);
        assert_true(dst[0] == KEYS - 1);
        keys[KEYS - 1] = -INFINITY;
        ref_run("attention", &args, &c, r->type, 1);
        assert_true(isnan(dst[0]));
    }
}

/* A cache of halves: 1 + 2^-12 is no half. Keys in panels of 2. */
static void test_kv_store_halves(void **state)
{
    static const uint16_t expected_keys[4] = {0x3c00, 0, 0xc000, 0};
    static const uint16_t expected_values[4] = {0x4200, 0x4400, 0, 0};
    (void)state;
    EACH_REAL(r)
    {
        double k[2] = {1 + 0x1p-12, -2}, v[2] = {3, 4};
        uint16_t keys[4] = {0}, values[4] = {0};
        struct zm_kv_store_args args = {.sequences = 1,
                                        .rows = 1,
                                        .heads = 1,
                                        .head_dim = 2,
                                        .k_stride = 2,
                                        .v_stride = 2,
                                        .head_stride = 4,
                                        .panel = 2,
                                        .kv_type = ZM_F16};
        ref_call c = {{k, v}, {2, 2}, {NULL, NULL, NULL, NULL, keys, values}};
        ref_run("kv_store", &args, &c, r->type, 1);
        assert_memory_equal(keys, expected_keys, sizeof(keys));
        assert_memory_equal(values, expected_values, sizeof(values));
    }
}

/* Many rows over more keys than a block, with and without everything that shapes a score, against
 * the formula. */
typedef struct attention_case {
    uint32_t rows, heads, kv_heads, dim, length, window;
    bool causal, slopes;
    float soft_cap;
    uint32_t panel;
    zm_dtype kv_type;
} attention_case;

enum { MOST = 200 * 4 * 70 };

typedef struct attention_data {
    double q[MOST], keys[MOST], values[MOST], slopes[8], dst[MOST], expected[MOST];
    float stored_keys[MOST], stored_values[MOST];
} attention_data;

static double test_value(size_t i, size_t salt)
{
    return sin((double)(i * 7 + salt * 13 + i * i % 11)); /* then rounded to float */
}

static double score_of(const attention_case *a, const attention_data *d, size_t row, size_t head,
                       size_t key)
{
    size_t kv_head = head / (a->heads / a->kv_heads);
    int64_t position = (int64_t)a->length - a->rows + (int64_t)row;
    double score = 0, cap = (double)a->soft_cap;
    for (size_t i = 0; i < a->dim; ++i) {
        score += d->q[(row * a->heads + head) * a->dim + i] *
                 d->keys[(kv_head * a->length + key) * a->dim + i] * 0.25;
    }
    score = cap > 0 ? cap * tanh(score / cap) : score;
    score += a->slopes ? d->slopes[head] * (double)((int64_t)key - position) : 0;
    bool hidden = (a->causal && (int64_t)key > position) ||
                  (a->window && (int64_t)key <= position - (int64_t)a->window);
    return hidden ? -INFINITY : score;
}

static void expect(const attention_case *a, attention_data *d)
{
    for (size_t row = 0; row < a->rows; ++row) {
        for (size_t head = 0; head < a->heads; ++head) {
            size_t kv_head = head / (a->heads / a->kv_heads);
            double *out = d->expected + (row * a->heads + head) * a->dim, sum = 0;
            memset(out, 0, a->dim * sizeof(double));
            for (size_t key = 0; key < a->length; ++key) {
                double weight = exp(score_of(a, d, row, head, key));
                sum += weight;
                for (size_t i = 0; i < a->dim; ++i) {
                    out[i] += weight * d->values[(kv_head * a->length + key) * a->dim + i];
                }
            }
            for (size_t i = 0; i < a->dim; ++i) {
                out[i] /= sum;
            }
        }
    }
}

static size_t capacity_of(const attention_case *a)
{
    return a->panel ? (a->length + a->panel - 1) / a->panel * a->panel : a->length;
}

static void store_cache(const attention_case *a, attention_data *d)
{
    size_t capacity = capacity_of(a), panel = a->panel;
    for (size_t head = 0; head < a->kv_heads; ++head) {
        for (size_t key = 0; key < a->length; ++key) {
            for (size_t i = 0; i < a->dim; ++i) {
                size_t from = (head * a->length + key) * a->dim + i;
                size_t to = head * capacity * a->dim;
                size_t place =
                    panel ? (key / panel * a->dim + i) * panel + key % panel : key * a->dim + i;
                zm_store_real(d->stored_keys, a->kv_type, to + place, d->keys[from]);
                zm_store_real(d->stored_values, a->kv_type, to + key * a->dim + i, d->values[from]);
                d->keys[from] = zm_load_real(d->stored_keys, a->kv_type, to + place);
                d->values[from] = zm_load_real(d->stored_values, a->kv_type, to + key * a->dim + i);
            }
        }
    }
}

static void check_attention(const attention_case *a, attention_data *d, const ref_real *r)
{
    size_t queries = (size_t)a->rows * a->heads * a->dim, width = a->heads * a->dim;
    struct zm_attention_args args = {.sequences = 1,
                                     .rows = a->rows,
                                     .heads = a->heads,
                                     .kv_heads = a->kv_heads,
                                     .head_dim = a->dim,
                                     .q_stride = (uint32_t)width,
                                     .head_stride = (uint32_t)(capacity_of(a) * a->dim),
                                     .panel = a->panel,
                                     .kv_type = a->kv_type,
                                     .kv_length = a->length,
                                     .window = a->window,
                                     .dst_stride = (uint32_t)width,
                                     .flags = (a->causal ? ZM_FLAG_CAUSAL : 0) |
                                              (a->slopes ? ZM_FLAG_SLOPES : 0),
                                     .scale = 0.25f,
                                     .soft_cap = a->soft_cap};
    ref_call c = {{d->q, NULL, NULL, d->slopes, NULL, NULL, d->dst},
                  {queries, 0, 0, a->heads, 0, 0, queries},
                  {NULL, d->stored_keys, d->stored_values}};
    ref_run("attention", &args, &c, r->type, SIZE_MAX);
    ref_assert_near(d->dst, d->expected, queries, 10 * r->tolerance);
    ref_run("attention", &args, &c, r->type, 3);
    ref_assert_near(d->dst, d->expected, queries, 10 * r->tolerance);
}

static void test_attention_options(void **state)
{
    static attention_data d;
    static const attention_case cases[] = {
        {5, 2, 2, 8, 150, 0, false, false, 0, 0, ZM_F32},
        {20, 4, 2, 70, 90, 0, true, false, 0, 16, ZM_F16},
        {33, 3, 1, 16, 100, 7, true, false, 0, 0, ZM_BF16},
        {9, 2, 2, 5, 200, 100, true, true, 0, 32, ZM_F32},
        {70, 2, 1, 3, 70, 64, true, false, 2, 0, ZM_F16},
        {1, 4, 4, 64, 130, 1, true, true, 30, 0, ZM_F32},
        {6, 2, 1, 4, 5, 0, false, true, 1, 0, ZM_F32}, /* more rows than keys */
        {4, 1, 1, 2, 9, 1000, true, false, 0, 0, ZM_F32},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        for (size_t j = 0; j < MOST; ++j) {
            d.q[j] = (double)(float)test_value(j, i);
            d.keys[j] = test_value(j, i + 1);
            d.values[j] = test_value(j, i + 2);
        }
        for (size_t j = 0; j < 8; ++j) {
            d.slopes[j] = 0.25 / (double)(1u << j);
        }
        store_cache(&cases[i], &d);
        expect(&cases[i], &d);
        EACH_REAL(r)
        {
            check_attention(&cases[i], &d, r);
        }
    }
}

/* What the mask hides is not read: it may hold anything. */
static void test_attention_hidden_keys(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double q[1] = {1}, keys[5] = {NAN, 1, 1, 1, NAN}, values[5] = {NAN, 2, 4, 6, NAN};
        double dst[1] = {0}, expected = 4;
        struct zm_attention_args args = {.sequences = 1,
                                         .kv_type = r->type,
                                         .rows = 1,
                                         .heads = 1,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 1,
                                         .head_stride = 5,
                                         .kv_length = 4,
                                         .window = 3,
                                         .dst_stride = 1,
                                         .flags = ZM_FLAG_CAUSAL,
                                         .scale = 1};
        ref_call c = {{q, keys, values, NULL, NULL, NULL, dst}, {1, 5, 5, 0, 0, 0, 1}, {NULL}};
        ref_run("attention", &args, &c, r->type, 1);
        ref_assert_near(dst, &expected, 1, r->tolerance);
    }
}

/* Two sequences of two rows: of one key, so that only the second row sees it, and of two keys of
 * which the second row, by a window of 1, sees the second. Row 0 of the first sees nothing: NaN.
 * Then lengths that are none. */
static void test_sequences(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double q[4] = {1, 1, 1, 1}, keys[4] = {0, NAN, 5, 6}, values[4] = {3, NAN, 7, 8};
        double dst[4] = {0}, expected[4] = {NAN, 3, 7, 8}, nothing[4] = {NAN, NAN, NAN, NAN};
        int32_t lengths[3] = {99, 1, 2};
        struct zm_attention_args args = {.sequences = 2,
                                         .kv_type = r->type,
                                         .rows = 2,
                                         .heads = 1,
                                         .kv_heads = 1,
                                         .head_dim = 1,
                                         .q_stride = 1,
                                         .head_stride = 2,
                                         .kv_length = 2,
                                         .window = 1,
                                         .lengths_offset = 1,
                                         .dst_stride = 1,
                                         .flags = ZM_FLAG_CAUSAL | ZM_FLAG_LENGTHS,
                                         .scale = 1};
        ref_call c = {{q, keys, values, NULL, NULL, NULL, dst},
                      {4, 4, 4, 0, 0, 0, 4},
                      {NULL, NULL, NULL, NULL, lengths}};
        ref_run("attention", &args, &c, r->type, 1);
        ref_assert_near(dst, expected, 4, 0);
        ref_run("attention", &args, &c, r->type, 4);
        ref_assert_near(dst, expected, 4, 0);
        lengths[1] = -1;
        lengths[2] = 3;
        ref_run("attention", &args, &c, r->type, 3);
        ref_assert_near(dst, nothing, 4, 0);
    }
}

/* Two sequences: rows 1 and 2 of four are the first one's; the second one has none, more than there
 * may be, fewer than none, or some that aren't there, all of which are none. */
static void test_starts(void **state)
{
    static const int32_t none[] = {3, 6, 2, -1, INT32_MIN};
    (void)state;
    EACH_REAL(r)
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        double q[4] = {1, 1, 1, 1}, keys[4] = {0, 0, 5, 6}, values[4] = {3, 4, 7, 8};
        double dst[4] = {-1, -1, -1, -1}, expected[4] = {-1, 3, 4, -1};
        double k[4] = {1, 2, 3, 4}, v[4] = {5, 6, 7, 8}, expected_v[4] = {6, 7, 7, 8};
        int32_t starts[4] = {99, 1, 3, none[i]};
        const struct zm_attention_args args = {.sequences = 2,
                                               .kv_type = r->type,
                                               .rows = 2,
                                               .all_rows = 4,
                                               .heads = 1,
                                               .kv_heads = 1,
                                               .head_dim = 1,
                                               .q_stride = 1,
                                               .head_stride = 2,
                                               .kv_length = 2,
                                               .window = 1,
                                               .starts_offset = 1,
                                               .dst_stride = 1,
                                               .flags = ZM_FLAG_CAUSAL | ZM_FLAG_STARTS,
                                               .scale = 1};
        const struct zm_kv_store_args store = {.sequences = 2,
                                               .kv_type = r->type,
                                               .rows = 2,
                                               .all_rows = 4,
                                               .heads = 1,
                                               .head_dim = 1,
                                               .k_stride = 1,
                                               .v_stride = 1,
                                               .head_stride = 2,
                                               .starts_offset = 1,
                                               .flags = ZM_FLAG_STARTS};
        ref_call c = {{q, keys, values, NULL, NULL, NULL, dst},
                      {4, 4, 4, 0, 0, 0, 4},
                      {NULL, NULL, NULL, NULL, NULL, starts}};
        ref_call s = {
            {k, v, NULL, NULL, keys, values}, {4, 4, 0, 0, 4, 4}, {NULL, NULL, NULL, starts}};
        ref_run("attention", &args, &c, r->type, i + 1);
        ref_assert_near(dst, expected, 4, 0);
        ref_run("kv_store", &store, &s, r->type, i + 1);
        ref_assert_near(values, expected_v, 4, 0);
    }
}

/* Two sequences of two rows in caches of three positions: one begins before the cache, one ends
 * behind it. */
static void test_kv_store_sequences(void **state)
{
    (void)state;
    EACH_REAL(r)
    {
        double k[4] = {1, 2, 3, 4}, v[4] = {5, 6, 7, 8}, keys[6] = {0}, values[6] = {0};
        double expected_k[6] = {2, 0, 0, 0, 0, 3}, expected_v[6] = {6, 0, 0, 0, 0, 7};
        int32_t positions[2] = {-2, 1};
        struct zm_kv_store_args args = {.sequences = 2,
                                        .kv_type = r->type,
                                        .rows = 2,
                                        .heads = 1,
                                        .head_dim = 1,
                                        .k_stride = 1,
                                        .v_stride = 1,
                                        .head_stride = 3,
                                        .position = 1,
                                        .flags = ZM_FLAG_POSITION};
        ref_call c = {
            {k, v, NULL, NULL, keys, values}, {4, 4, 0, 0, 6, 6}, {NULL, NULL, positions}};
        ref_run("kv_store", &args, &c, r->type, 3);
        ref_assert_near(keys, expected_k, 6, 0);
        ref_assert_near(values, expected_v, 6, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_kv_store_halves),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_over_blocks),
        cmocka_unit_test(test_attention_options),
        cmocka_unit_test(test_attention_hidden_keys),
        cmocka_unit_test(test_sequences),
        cmocka_unit_test(test_kv_store_sequences),
        cmocka_unit_test(test_starts),
    };
    return cmocka_run_group_tests_name("ref_attention", tests, NULL, NULL);
}
