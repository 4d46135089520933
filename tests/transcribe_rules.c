/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of decoding on made-up logits, and the cuts between segments on made-up tokens. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "support/random.h"
#include "transcribe/rules.h"
#include "transcribe/segments.h"

#define SEED 7

/* A vocabulary of 20 texts, the end, special tokens, timestamps and a few tokens of padding. */
enum {
    END = 20,
    START = 21,
    NO_TIMESTAMPS = 29,
    T0 = 30, /* 0.00 s */
    T_LAST = T0 + 1500,
    VOCABULARY = T_LAST + 1 + 5
};

static const int32_t suppressed[] = {3, 7};
static const int32_t begin_suppressed[] = {5, END};

static zm_whisper_info make_info(void)
{
    return (zm_whisper_info){
        .vocabulary = VOCABULARY,
        .start_token = START,
        .end_token = END,
        .no_timestamps_token = NO_TIMESTAMPS,
        .first_timestamp_token = T0,
        .suppress = suppressed,
        .suppress_count = 2,
        .begin_suppress = begin_suppressed,
        .begin_suppress_count = 2,
    };
}

static float logits[VOCABULARY];

/* All logits 0, those of text and the end as given, then the rules for what may follow tokens. */
static void apply(bool timestamps, const int32_t *tokens, size_t count, float text)
{
    zm_token_rules rules;
    const zm_whisper_info info = make_info();
    assert_int_equal(zm_token_rules_init(&rules, &info, timestamps, NULL), ZM_OK);
    for (int i = 0; i < VOCABULARY; i++)
        logits[i] = i <= END ? text : 0;
    zm_token_rules_apply(&rules, tokens, count, logits);
}

static bool allowed(int32_t token)
{
    assert_true(token >= 0 && token < VOCABULARY);
    return logits[token] != -INFINITY;
}

static void assert_range(int32_t begin, int32_t last, bool expected)
{
    for (int32_t i = begin; i <= last; i++)
        if (allowed(i) != expected)
            fail_msg("token %d is %s", (int)i, expected ? "forbidden" : "allowed");
}

#define APPLY(timestamps, text, ...)                                         \
    do {                                                                     \
        const int32_t so_far[] = {__VA_ARGS__};                              \
        apply(timestamps, so_far, sizeof(so_far) / sizeof(so_far[0]), text); \
    } while (0)

static void test_suppressed_tokens(void **state)
{
    (void)state;
    apply(false, NULL, 0, 0);
    assert_false(allowed(3) || allowed(7));
    assert_false(allowed(5) || allowed(END));
    assert_true(allowed(0) && allowed(4));
    APPLY(false, 0, 4);
    assert_false(allowed(3) || allowed(7));
    assert_true(allowed(5) && allowed(END));
    APPLY(true, 20, T0);
    assert_false(allowed(3) || allowed(7));
    assert_true(allowed(5) && allowed(END));
}

static void test_special_tokens(void **state)
{
    (void)state;
    APPLY(false, 0, 4);
    assert_range(START, NO_TIMESTAMPS, false);
    APPLY(true, 0, T0, 4);
    assert_range(START, NO_TIMESTAMPS, false);
}

static void test_no_timestamps(void **state)
{
    (void)state;
    apply(false, NULL, 0, 0);
    assert_range(T0, VOCABULARY - 1, false);
    APPLY(false, 0, 4);
    assert_range(T0, VOCABULARY - 1, false);
}

static void test_first_timestamp(void **state)
{
    (void)state;
    apply(true, NULL, 0, 1000); /* however probable text is */
    assert_range(0, T0 - 1, false);
    assert_range(T0, T0 + 50, true);
    assert_range(T0 + 51, VOCABULARY - 1, false);
}

static void test_text_follows_the_first_timestamp(void **state)
{
    (void)state;
    APPLY(true, 0, T0 + 10);
    assert_range(T0, VOCABULARY - 1, false);
    assert_true(allowed(0) && allowed(END));
}

static void test_timestamps_come_in_pairs(void **state)
{
    (void)state;
    APPLY(true, 20, T0, 4, T0 + 10); /* one behind text: another one or the end */
    assert_range(0, END - 1, false);
    assert_true(allowed(END));
    assert_range(T0 + 10, T_LAST, true);
    APPLY(true, 0, T0, 4, T0 + 10, T0 + 10); /* two: text or the end */
    assert_true(allowed(0) && allowed(4) && allowed(END));
    assert_range(T0, VOCABULARY - 1, false);
}

static void test_time_does_not_go_back(void **state)
{
    (void)state;
    APPLY(true, 20, T0, 4, T0 + 10); /* a segment may begin where the last one ended */
    assert_range(T0, T0 + 9, false);
    assert_true(allowed(T0 + 10));
    APPLY(true, 20, T0, 4, T0 + 10, T0 + 12, 4, 4);
    assert_range(T0, T0 + 11, false);
    assert_range(T0 + 13, T_LAST, true);
}

static void test_segments_are_not_empty(void **state)
{
    (void)state;
    APPLY(true, 20, T0 + 7, 4); /* text has taken some time */
    assert_true(!allowed(T0 + 7) && allowed(T0 + 8));
    APPLY(true, 20, T0, 4, T0 + 10, T0 + 12, 4);
    assert_true(!allowed(T0 + 12) && allowed(T0 + 13));
}

/* 1493 timestamps of logit 0 weigh 7.31 together. */
static void test_time_is_due(void **state)
{
    (void)state;
    APPLY(true, 7.2f, T0 + 7, 4);
    assert_range(0, T0 - 1, false);
    assert_true(allowed(T0 + 8));
    APPLY(true, 7.4f, T0 + 7, 4);
    assert_true(allowed(0) && allowed(END) && allowed(T0 + 8));
    APPLY(true, -50, T0 + 7, 4, T0 + 10, T0 + 10); /* no timestamp may come: none is due */
    assert_true(allowed(0) && allowed(END));
}

static void test_padding_of_the_vocabulary(void **state)
{
    (void)state;
    APPLY(true, 20, T0, 4);
    assert_true(allowed(T_LAST));
    assert_range(T_LAST + 1, VOCABULARY - 1, false);
}

static void test_no_time_left(void **state)
{
    (void)state;
    APPLY(true, 0, T0, 4, T_LAST, T_LAST, 4);
    assert_range(T0, VOCABULARY - 1, false);
    assert_true(allowed(0) && allowed(END));
}

static void test_vocabularies_that_are_not_whispers(void **state)
{
    (void)state;
    static const int32_t outside[] = {VOCABULARY};
    static const int32_t negative[] = {-1};
    zm_token_rules rules;
    zm_whisper_info info[9];
    for (size_t i = 0; i < 9; i++)
        info[i] = make_info();
    info[0].end_token = -1;
    info[1].start_token = END;
    info[2].no_timestamps_token = START;
    info[3].first_timestamp_token = NO_TIMESTAMPS;
    info[4].vocabulary = T_LAST;
    info[5].first_timestamp_token = INT32_MAX;
    info[6].suppress = outside;
    info[6].suppress_count = 1;
    info[7].begin_suppress = negative;
    info[7].begin_suppress_count = 1;
    for (size_t i = 0; i < 8; i++)
        if (zm_token_rules_init(&rules, &info[i], true, NULL) != ZM_ERROR_BAD_FORMAT)
            fail_msg("vocabulary %zu is taken", i);
    info[8].vocabulary = T_LAST + 1;
    assert_int_equal(zm_token_rules_init(&rules, &info[8], true, NULL), ZM_OK);
}

static void test_best_token(void **state)
{
    (void)state;
    const float plain[] = {-3, 2, 5, 5, -INFINITY};
    const float none[] = {-INFINITY, NAN, -INFINITY};
    const float some[] = {NAN, -INFINITY, -7};
    assert_int_equal(zm_token_best(plain, 5), 2);
    assert_int_equal(zm_token_best(plain, 2), 1);
    assert_int_equal(zm_token_best(none, 3), -1);
    assert_int_equal(zm_token_best(some, 3), 2);
    assert_int_equal(zm_token_best(plain, 0), -1);
}

static void test_log_probability(void **state)
{
    (void)state;
    const float some[] = {1, 2, 3, -INFINITY};
    const float large[] = {1000, 1000};
    assert_true(fabs(zm_token_log_probability(some, 4, 2) - -0.40760596444438) < 1e-12);
    assert_true(fabs(zm_token_log_probability(some, 4, 0) - -2.40760596444438) < 1e-12);
    assert_true(zm_token_log_probability(some, 4, 3) == -INFINITY);
    assert_true(fabs(zm_token_log_probability(large, 2, 1) - -0.69314718055995) < 1e-12);
}

static void test_loops(void **state)
{
    (void)state;
    static const struct {
        size_t lead, period, count;
        bool expected;
    } cases[] = {
        {0, 1, 23, false},   {0, 1, 24, true},   {9, 1, 23, false},   {9, 1, 24, true},
        {0, 3, 23, false},   {0, 3, 24, true},   {0, 8, 39, false},   {0, 8, 40, true},
        {5, 40, 199, false}, {5, 40, 200, true}, {0, 41, 224, false}, {100, 2, 24, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int32_t text[400];
        size_t count = 0;
        while (count < cases[i].lead) {
            text[count] = (int32_t)(1000 + count);
            count++;
        }
        for (size_t k = 0; k < cases[i].count; k++)
            text[count++] = (int32_t)(k % cases[i].period);
        if (zm_tokens_loop(text, count) != cases[i].expected)
            fail_msg("case %zu", i);
    }
    assert_false(zm_tokens_loop(NULL, 0));
}

typedef struct split_case {
    int32_t tokens[12];
    size_t count;
    uint32_t length, advance;
    zm_span spans[4];
    size_t span_count;
} split_case;

#define TOKENS(...) {__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)

static void test_splits(void **state)
{
    (void)state;
    static const split_case cases[] = {
        /* text alone, and text with one timestamp: the whole window */
        {TOKENS(1, 2), 500, 500, {{0, 2, 0, 500}}, 1},
        {TOKENS(T0 + 10, 1, 2), 500, 500, {{0, 3, 10, 500}}, 1},
        {TOKENS(T0, 1, T0 + 90), 500, 500, {{0, 3, 0, 90}}, 1},
        {TOKENS(T0), 500, 500, {{0, 1, 0, 500}}, 1},
        {TOKENS(1, T0), 500, 500, {{0, 2, 0, 500}}, 1},
        /* unfinished text behind a pair is for the next window */
        {TOKENS(T0, 1, T0 + 90, T0 + 95, 2), 500, 90, {{0, 3, 0, 90}}, 1},
        {TOKENS(T0, 1, T0 + 90, T0 + 95), 500, 90, {{0, 3, 0, 90}}, 1},
        {TOKENS(T0, 1, T0 + 90, T0 + 90, 2, T0 + 120, T0 + 130, 3),
         500,
         120,
         {{0, 3, 0, 90}, {3, 6, 90, 120}},
         2},
        /* one timestamp at the end: nothing was said after it */
        {TOKENS(T0, 1, T0 + 90, T0 + 95, 2, T0 + 200),
         500,
         500,
         {{0, 3, 0, 90}, {3, 6, 95, 200}},
         2},
        /* a pair at the end of the window or beyond it, or one that says 0.00 */
        {TOKENS(T0, 1, T0 + 500, T0 + 500, 2), 500, 500, {{0, 3, 0, 500}}, 1},
        {TOKENS(T0, 1, T0 + 700, T0 + 700, 2), 500, 500, {{0, 3, 0, 700}}, 1},
        {TOKENS(1, T0, T0, 2), 500, 500, {{0, 2, 0, 0}}, 1},
    };
    zm_span spans[12];
    uint32_t advance = 7;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const split_case *c = &cases[i];
        size_t count = zm_window_split(c->tokens, c->count, T0, c->length, spans, &advance);
        if (count != c->span_count || advance != c->advance)
            fail_msg("case %zu: %zu spans, advance %u", i, count, (unsigned)advance);
        for (size_t k = 0; k < count; k++)
            if (spans[k].begin != c->spans[k].begin || spans[k].end != c->spans[k].end ||
                spans[k].start != c->spans[k].start || spans[k].stop != c->spans[k].stop)
                fail_msg("case %zu, span %zu: %zu..%zu, %u to %u", i, k, spans[k].begin,
                         spans[k].end, (unsigned)spans[k].start, (unsigned)spans[k].stop);
    }
    assert_int_equal(zm_window_split(NULL, 0, T0, 321, spans, &advance), 0);
    assert_int_equal(advance, 321);
}

/* The bounds that the caller's arrays rely on, for tokens that no rule has seen. */
static void test_splits_of_any_tokens(void **state)
{
    (void)state;
    uint64_t random = SEED;
    print_message("seed %d\n", SEED);
    for (int round = 0; round < 20000; round++) {
        int32_t tokens[9];
        zm_span spans[9];
        uint32_t advance;
        size_t count = test_random_below(&random, 10);
        for (size_t i = 0; i < count; i++) {
            const int32_t time = T0 + (int32_t)test_random_below(&random, 1501);
            tokens[i] = test_random_below(&random, 2) ? time : 4;
        }
        size_t found = zm_window_split(tokens, count, T0, 1000, spans, &advance);
        assert_true(found <= count && advance > 0 && advance <= 1000);
        for (size_t i = 0; i < found; i++) {
            assert_true(spans[i].begin == (i ? spans[i - 1].end : 0));
            assert_true(spans[i].begin < spans[i].end && spans[i].end <= count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_suppressed_tokens),
        cmocka_unit_test(test_special_tokens),
        cmocka_unit_test(test_no_timestamps),
        cmocka_unit_test(test_first_timestamp),
        cmocka_unit_test(test_text_follows_the_first_timestamp),
        cmocka_unit_test(test_timestamps_come_in_pairs),
        cmocka_unit_test(test_time_does_not_go_back),
        cmocka_unit_test(test_segments_are_not_empty),
        cmocka_unit_test(test_time_is_due),
        cmocka_unit_test(test_padding_of_the_vocabulary),
        cmocka_unit_test(test_no_time_left),
        cmocka_unit_test(test_vocabularies_that_are_not_whispers),
        cmocka_unit_test(test_best_token),
        cmocka_unit_test(test_log_probability),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_splits_of_any_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
