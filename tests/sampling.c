/* SPDX-License-Identifier: Apache-2.0 */
/* How the next token is chosen: random numbers, each filter, their order, distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "generate/sampler.h"
#include "scratch.h"

/* The numbers of the author's demonstration (pcg32-global-demo, seed 42, sequence 54). */
static void test_random(void **state)
{
    (void)state;
    static const uint32_t expected[] = {0xa15c02b7, 0x7b47f409, 0xba1d3330,
                                        0x83d2f293, 0xbfa4784b, 0xcbed606e};
    zm_random random;
    zm_random_init(&random, 42);
    for (size_t i = 0; i < 6; i++)
        assert_int_equal(zm_random_u32(&random), expected[i]);
    zm_random_init(&random, 42);
    const double unit =
        (double)((uint64_t)(0xa15c02b7u >> 5) << 26 | 0x7b47f409u >> 6) / 9007199254740992.0;
    assert_true(zm_random_unit(&random) == unit);
    zm_random next;
    zm_random_init(&next, zm_random_seed(&random));
    assert_true(next.state == random.state);
    zm_random_init(&next, UINT64_MAX);
    assert_true(zm_random_seed(&next) == UINT64_MAX);
}

static void test_exp(void **state)
{
    (void)state;
    assert_true(zm_exp_same(0) == 1);
    for (double x = -690; x < 0; x += 0.37)
        if (fabs(zm_exp_same(x) / exp(x) - 1) > 2e-15)
            fail_msg("exp(%g) is off by %g", x, zm_exp_same(x) / exp(x) - 1);
    assert_true(zm_exp_same(-1e9) == 0 && zm_exp_same(-INFINITY) == 0);
}

/* log of 1, 2, 3, 4 tenths, out of order. */
static const float logits[4] = {-1.2039728f, -2.3025851f, -0.9162907f, -1.6094379f};

static void init(zm_sampler *sampler, const zm_sampling *rules, uint32_t vocabulary)
{
    assert_int_equal(zm_sampler_init(sampler, rules, vocabulary, NULL), ZM_OK);
}

static int32_t choose(const zm_sampling *rules, const float *values, uint32_t count,
                      const int32_t *tokens, size_t token_count)
{
    zm_sampler sampler;
    int32_t id = -1;
    init(&sampler, rules, count);
    assert_int_equal(zm_sampler_choose(&sampler, values, tokens, token_count, NULL, &id), ZM_OK);
    zm_sampler_finish(&sampler);
    return id;
}

static void test_greedy(void **state)
{
    (void)state;
    const zm_sampling rules = {.top_k = 1, .top_p = 0.1f, .seed = 5};
    const float ties[] = {0, 3, 3, 1}, low[] = {-FLT_MAX, -FLT_MAX};
    assert_int_equal(choose(&rules, logits, 4, NULL, 0), 2);
    assert_int_equal(choose(&rules, ties, 4, NULL, 0), 1);
    assert_int_equal(choose(&rules, low, 2, NULL, 0), 0);
}

/* Positive logits are divided, others multiplied, once for each token among the last ones. */
static void test_penalty(void **state)
{
    (void)state;
    const float values[] = {4, 3, -1, 1.9f}, negative[] = {-1, -1.5f};
    zm_sampling rules = {.repeat_penalty = 2};
    const int32_t tokens[] = {1, 0, 0, 0, 99, -1};
    assert_int_equal(choose(&rules, values, 4, tokens, 0), 0);
    assert_int_equal(choose(&rules, values, 4, tokens + 1, 5), 1);
    assert_int_equal(choose(&rules, values, 4, tokens, 6), 0); /* 2 and 1.5: once only */
    rules.repeat_last = 5;
    assert_int_equal(choose(&rules, values, 4, tokens, 6), 1); /* the 1 is forgotten */
    rules.repeat_last = 0;
    assert_int_equal(choose(&rules, negative, 2, tokens + 1, 1), 1);
    rules.repeat_penalty = 1;
    assert_int_equal(choose(&rules, values, 4, tokens, 6), 0);
    rules.repeat_penalty = FLT_MIN; /* 4 / FLT_MIN overflows */
    assert_int_equal(choose(&rules, values, 4, tokens, 6), 0);
}

/* What a draw may give, the most probable first. */
static void assert_kept(const zm_sampling *rules, const float *values, uint32_t count,
                        const int32_t *expected, size_t expected_count)
{
    zm_sampler sampler;
    int32_t id;
    zm_sampling with = *rules;
    if (with.temperature == 0)
        with.temperature = 1;
    init(&sampler, &with, count);
    assert_int_equal(zm_sampler_choose(&sampler, values, NULL, 0, NULL, &id), ZM_OK);
    assert_int_equal(zm_sampler_keep(&sampler), expected_count);
    for (size_t i = 0; i < expected_count; i++)
        assert_int_equal(sampler.candidates[i].id, expected[i]);
    zm_sampler_finish(&sampler);
}

/* Probabilities .3 .1 .4 .2, or the logits 1 2 1 2 1: what is kept, as digits. */
typedef struct kept_case {
    zm_sampling rules;
    bool ties;
    const char *kept;
} kept_case;

static void assert_cases(const kept_case *cases, size_t count)
{
    static const float ties[] = {1, 2, 1, 2, 1};
    for (size_t i = 0; i < count; i++) {
        int32_t expected[8];
        const size_t kept = strlen(cases[i].kept);
        for (size_t k = 0; k < kept; k++)
            expected[k] = cases[i].kept[k] - '0';
        assert_kept(&cases[i].rules, cases[i].ties ? ties : logits, cases[i].ties ? 5 : 4, expected,
                    kept);
    }
}

static void test_filters(void **state)
{
    (void)state;
    static const kept_case cases[] = {
        {{0}, false, "0123"},
        {{.top_k = 1}, false, "2"},
        {{.top_k = 3}, false, "203"},
        {{.top_k = 99}, false, "0123"},
        {{.top_k = 3}, true, "130"},
        {{.top_p = 0.39f}, false, "2"},
        {{.top_p = 0.41f}, false, "20"},
        {{.top_p = 0.69f}, false, "20"},
        {{.top_p = 0.71f}, false, "203"},
        {{.top_p = 0.95f}, false, "2031"},
        {{.top_p = 1e-9f}, false, "2"},
        {{.min_p = 0.26f}, false, "203"},
        {{.min_p = 0.24f}, false, "2031"},
        {{.min_p = 1}, false, "2"},
        {{.min_p = 1}, true, "13"},
    };
    assert_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* top_p is about what top_k has left, .4 and .3 of .7, and about probabilities at the temperature;
 * min_p does not change what top_p is a part of. */
static void test_order(void **state)
{
    (void)state;
    static const kept_case cases[] = {
        {{.top_k = 2, .top_p = 0.56f}, false, "2"},
        {{.top_k = 2, .top_p = 0.58f}, false, "20"},
        {{.top_p = 0.56f, .min_p = 0.7f}, false, "20"},
        {{.top_p = 0.9f, .min_p = 0.6f}, false, "20"},
        {{.top_k = 3, .top_p = 0.9f, .min_p = 0.6f}, false, "20"},
        {{.top_p = 0.8f, .temperature = 0.5f}, false, "20"},  /* 16 9 4 1 of 30 */
        {{.min_p = 0.26f, .temperature = 0.5f}, false, "20"}, /* ... of 16 */
        {{.min_p = 0.45f, .temperature = 2}, false, "2031"},  /* 2 1.7 1.4 1 */
    };
    assert_cases(cases, sizeof(cases) / sizeof(cases[0]));
}

/* More tokens than are sorted at once, so flat that most of them count. */
static void test_flat(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static float values[COUNT];
    const zm_sampling rules = {.temperature = 1, .top_p = 0.9f};
    zm_sampler sampler;
    int32_t id;
    for (int i = 0; i < COUNT; i++)
        values[i] = (float)(i * 7919 % COUNT) * 1e-4f;
    init(&sampler, &rules, COUNT);
    assert_int_equal(zm_sampler_choose(&sampler, values, NULL, 0, NULL, &id), ZM_OK);
    const size_t kept = zm_sampler_keep(&sampler);
    double sum = 0, part = 0;
    for (int i = 0; i < COUNT; i++)
        sum += exp((double)values[i]);
    for (size_t i = 0; i < kept; i++) {
        if (i > 0)
            assert_true(sampler.candidates[i].logit < sampler.candidates[i - 1].logit);
        if (i == kept - 1)
            assert_true(part < 0.9 * sum);
        part += exp((double)sampler.candidates[i].logit);
    }
    assert_true(part >= 0.9 * sum * (1 - 1e-6) && kept > 2000);
    zm_sampler_finish(&sampler);
}

/* 20000 draws: each part within five standard deviations of what it should be. */
static void assert_parts(const zm_sampling *rules, const double expected[4])
{
    enum { DRAWS = 20000 };
    zm_sampler sampler;
    int counts[4] = {0};
    init(&sampler, rules, 4);
    for (int i = 0; i < DRAWS; i++) {
        int32_t id = -1;
        assert_int_equal(zm_sampler_choose(&sampler, logits, NULL, 0, NULL, &id), ZM_OK);
        counts[id]++;
    }
    for (int i = 0; i < 4; i++) {
        const double deviation = sqrt(expected[i] * (1 - expected[i]) / DRAWS);
        if (fabs((double)counts[i] / DRAWS - expected[i]) > 5 * deviation)
            fail_msg("token %d: %d of %d instead of %g", i, counts[i], DRAWS, expected[i]);
    }
    zm_sampler_finish(&sampler);
}

static void test_distributions(void **state)
{
    (void)state;
    assert_parts(&(zm_sampling){.temperature = 1, .seed = 1}, (double[]){0.3, 0.1, 0.4, 0.2});
    assert_parts(&(zm_sampling){.temperature = 0.5f, .seed = 2},
                 (double[]){9 / 30.0, 1 / 30.0, 16 / 30.0, 4 / 30.0});
    assert_parts(&(zm_sampling){.temperature = 1, .top_k = 2}, (double[]){3 / 7.0, 0, 4 / 7.0, 0});
    assert_parts(&(zm_sampling){.temperature = 1, .top_p = 0.8f},
                 (double[]){3 / 9.0, 0, 4 / 9.0, 2 / 9.0});
}

static void test_seeds(void **state)
{
    (void)state;
    int32_t drawn[3][40];
    for (int i = 0; i < 3; i++) {
        const zm_sampling rules = {.temperature = 1, .seed = i == 2 ? 8 : 7};
        zm_sampler sampler;
        init(&sampler, &rules, 4);
        for (int k = 0; k < 40; k++)
            assert_int_equal(zm_sampler_choose(&sampler, logits, NULL, 0, NULL, &drawn[i][k]),
                             ZM_OK);
        zm_sampler_finish(&sampler);
    }
    assert_memory_equal(drawn[0], drawn[1], sizeof(drawn[0]));
    assert_memory_not_equal(drawn[0], drawn[2], sizeof(drawn[0]));
    /* Written down once, by a calculation of its own: other platforms have to give the same. */
    static const int32_t first[] = {2, 0, 2, 3, 2, 0, 2, 2, 0, 1, 3, 0};
    assert_memory_equal(drawn[0], first, sizeof(first));
}

static void test_extremes(void **state)
{
    (void)state;
    const float far[] = {-FLT_MAX, FLT_MAX, 0}, same[] = {5, 5};
    int32_t id = -1;
    zm_sampler sampler;
    zm_sampling rules = {.temperature = 1e-40f};
    assert_int_equal(choose(&rules, far, 3, NULL, 0), 1);
    assert_int_equal(choose(&rules, logits, 4, NULL, 0), 2);
    rules.temperature = FLT_MAX;
    assert_in_range(choose(&rules, same, 2, NULL, 0), 0, 1);
    for (int i = 0; i < 3; i++) {
        const float bad[] = {1, i == 0 ? NAN : i == 1 ? INFINITY : -INFINITY};
        scratch_log seen;
        scratch_log_init(&seen);
        init(&sampler, &rules, 2);
        assert_int_equal(zm_sampler_choose(&sampler, bad, NULL, 0, &seen.log, &id),
                         ZM_ERROR_DEVICE);
        assert_non_null(strstr(seen.error, "not finite"));
        zm_sampler_finish(&sampler);
    }
}

static void test_rules(void **state)
{
    (void)state;
    static const zm_sampling bad[] = {
        {.temperature = -1},    {.temperature = NAN},   {.temperature = INFINITY}, {.top_p = 1.5f},
        {.top_p = -0.5f},       {.top_p = NAN},         {.min_p = 1.01f},          {.min_p = -1},
        {.repeat_penalty = -1}, {.repeat_penalty = NAN}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        zm_sampler sampler;
        scratch_log seen;
        scratch_log_init(&seen);
        assert_int_equal(zm_sampler_init(&sampler, &bad[i], 4, &seen.log),
                         ZM_ERROR_INVALID_ARGUMENT);
        assert_int_equal(seen.errors, 1);
        zm_sampler_finish(&sampler);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),  cmocka_unit_test(test_exp),
        cmocka_unit_test(test_greedy),  cmocka_unit_test(test_penalty),
        cmocka_unit_test(test_filters), cmocka_unit_test(test_order),
        cmocka_unit_test(test_flat),    cmocka_unit_test(test_distributions),
        cmocka_unit_test(test_seeds),   cmocka_unit_test(test_extremes),
        cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
