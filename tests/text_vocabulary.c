/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers from the metadata of a GGUF file, and tokens that come back as text bit by bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/text.h>

#include "scratch.h"

enum {
    N = ZM_TOKEN_NORMAL,
    U = ZM_TOKEN_UNKNOWN,
    C = ZM_TOKEN_CONTROL,
    D = ZM_TOKEN_USER_DEFINED,
    B = ZM_TOKEN_BYTE
};

#define T(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }
#define SPACE "\xE2\x96\x81" /* SentencePiece's character for a space */

static const uint32_t zero = 0, one = 1, two = 2, many = 99;

static zm_tokenizer *create(const zm_vocabulary *vocabulary)
{
    scratch_log seen;
    scratch_log_init(&seen);
    zm_vocabulary from = *vocabulary;
    zm_tokenizer *tokenizer = NULL;
    from.log = &seen.log;
    if (zm_tokenizer_create(&from, &tokenizer) != ZM_OK)
        fail_msg("%s", seen.error);
    return tokenizer;
}

static void assert_ids(const zm_tokenizer *tokenizer, const char *text, const char *expected)
{
    char words[4096] = "";
    scratch_log seen;
    int32_t *ids = NULL;
    size_t count = 0, used = 0;
    scratch_log_init(&seen);
    const zm_encode_params params = {.text = text, .size = strlen(text), .log = &seen.log};
    if (zm_tokenizer_encode(tokenizer, &params, &ids, &count) != ZM_OK)
        snprintf(words, sizeof(words), "%s", seen.error);
    for (size_t i = 0; i < count; i++)
        used += (size_t)sprintf(words + used, "%s%d", i ? " " : "", (int)ids[i]);
    free(ids);
    if (expected[0] == '?' ? !strstr(words, expected + 1) : strcmp(words, expected) != 0)
        fail_msg("'%s': '%s' instead of '%s'", text, words, expected);
}

static void assert_text(const zm_tokenizer *tokenizer, const int32_t *ids, size_t count,
                        bool special, const char *expected)
{
    char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(zm_tokenizer_decode(tokenizer, ids, count, special, &bytes, &size), ZM_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(bytes, expected);
    free(bytes);
}

static const zm_text byte_level_tokens[] = {
    T("<|end|>"),
    T("a"),
    T("b"),
    T("1"),
    T("2"),
    T("\xC4\xA0"),
    T("ab"),
    T("12"),
    T("\xC4\xA0"
      "a"),
    T("<tool x>"),
};
static const int32_t byte_level_types[] = {C, N, N, N, N, N, N, N, N, D};
static const zm_text byte_level_merges[] = {T("a b"), T("1 2"), T("\xC4\xA0 a")};

static const zm_vocabulary byte_level = {
    .model = "gpt2",
    .pre = "gpt-2",
    .tokens = byte_level_tokens,
    .token_count = 10,
    .types = byte_level_types,
    .merges = byte_level_merges,
    .merge_count = 3,
    .bos = &zero,
};

/* One word of it for each thing that the pre-tokenizers do otherwise. */
static void test_pre_tokenizers(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *ids;
    } cases[] = {
        {"gpt-2", "6 7 8 9 0 1"},    {"phi-2", "6 7 8 9 0 1"},    {"mpt", "6 7 8 9 0 1"},
        {"smollm", "6 3 4 8 9 0 1"}, {"qwen2", "6 3 4 8 9 0 1"},  {"llama-bpe", "6 7 8 9 0 1"},
        {"falcon", "6 7 8 9 0 1"},   {"bloom", "6 7 8 9 0 1"},    {"starcoder", "6 3 4 8 9 0 1"},
        {"gpt-5", "?'gpt-5'"},       {NULL, "?pre-tokenizer ''"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        zm_vocabulary from = byte_level;
        from.pre = cases[i].pre;
        zm_tokenizer *tokenizer = create(&from);
        assert_ids(tokenizer, "ab12 a<tool x><|end|>a", cases[i].ids);
        zm_tokenizer_close(&tokenizer);
    }
}

static void test_begin_and_end(void **state)
{
    (void)state;
    zm_vocabulary from = byte_level;
    zm_tokenizer *tokenizer = create(&from);
    assert_ids(tokenizer, "a", "1");
    zm_tokenizer_close(&tokenizer);
    from.add_bos = 1;
    from.eos = &one;
    from.add_eos = 1;
    tokenizer = create(&from);
    assert_ids(tokenizer, "b", "0 2 1");
    const int32_t ids[] = {0, 6, 9, 8};
    assert_text(tokenizer, ids, 4, false, "ab<tool x> a");
    assert_text(tokenizer, ids, 4, true, "<|end|>ab<tool x> a");
    zm_tokenizer_close(&tokenizer);
}

/* A word that is a token is not merged: no merge makes "12" out of what is left. */
static void test_whole_words(void **state)
{
    (void)state;
    zm_vocabulary from = byte_level;
    from.merge_count = 1;
    zm_tokenizer *tokenizer = create(&from);
    assert_ids(tokenizer, "12", "3 4");
    zm_tokenizer_close(&tokenizer);
    from.pre = "llama-bpe";
    tokenizer = create(&from);
    assert_ids(tokenizer, "12", "7");
    zm_tokenizer_close(&tokenizer);
}

static const zm_text pieces[] = {
    T("<unk>"), T("<s>"), T("</s>"), T("<0xC3>"),  T("<0xA9>"),   T("<0xFF>"), T(SPACE),
    T("a"),     T("b"),   T("ab"),   T(SPACE "a"), T(SPACE "ab"), T("<tool>"), T("aa"),
};
static const int32_t piece_types[] = {U, C, C, B, B, B, N, N, N, N, N, N, D, N};
static const float bpe_scores[] = {0, 0, 0, 0, 0, 0, -9, -9, -9, -2, -1, -3, 0, -2};

static const zm_vocabulary sentencepiece = {
    .model = "llama",
    .tokens = pieces,
    .token_count = 14,
    .types = piece_types,
    .scores = bpe_scores,
    .bos = &one,
    .eos = &two,
    .unknown = &zero,
};

static void test_scores_as_merges(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = create(&sentencepiece);
    assert_ids(tokenizer, "ab", "1 11"); /* "_a" is merged before "ab" could be */
    assert_ids(tokenizer, "aab", "1 10 9");
    assert_ids(tokenizer, "baab", "1 6 8 13 8"); /* "aa" and "ab" have one score: the left one */
    assert_ids(tokenizer, "a\xC3\xA9", "1 10 3 4");
    assert_ids(tokenizer, "\xE4", "1 6 0"); /* U+FFFD, whose bytes are no tokens */
    assert_ids(tokenizer, "</s>a<tool>b", "1 2 10 12 6 8");
    static const int32_t ids[] = {1, 10, 9, 3, 4, 6, 12, 7};
    assert_text(tokenizer, ids, 8, false, "aab\xC3\xA9 <tool>a");
    assert_text(tokenizer, ids, 8, true, "<s> aab\xC3\xA9 <tool>a");
    zm_tokenizer_close(&tokenizer);
    zm_vocabulary from = sentencepiece;
    from.add_space = -1;
    from.add_bos = -1;
    tokenizer = create(&from);
    assert_ids(tokenizer, "ab a", "9 10");
    assert_text(tokenizer, ids + 1, 2, false, " aab");
    zm_tokenizer_close(&tokenizer);
}

static void test_unigram(void **state)
{
    (void)state;
    static const float scores[] = {0, 0, 0, 0, 0, 0, -3, -2, -2, -3.5f, -4.5f, -9, 0, -5};
    zm_vocabulary from = sentencepiece;
    from.model = "t5";
    from.scores = scores;
    zm_tokenizer *tokenizer = create(&from);
    assert_ids(tokenizer, "ab", "6 9 2");  /* -6.5, and "_a b" also: the longer one came first */
    assert_ids(tokenizer, "a", "10 2");    /* -4.5 beats -5 */
    assert_ids(tokenizer, "aa", "10 7 2"); /* -6.5 beats -7 and -8 */
    assert_ids(tokenizer, "b\xC3\xA9", "6 8 3 4 2");
    assert_ids(tokenizer, "b\xE6\xBC\xA2\xE6\xBC\xA2", "6 8 0 2"); /* neighbours are one unknown */
    zm_tokenizer_close(&tokenizer);
    from.has_character_map = true;
    tokenizer = create(&from);
    assert_ids(tokenizer, "a", "?precompiled_charsmap");
    zm_tokenizer_close(&tokenizer);
    from.has_character_map = false;
    from.unknown = NULL;
    tokenizer = create(&from);
    assert_ids(tokenizer, "\xE6\xBC\xA2", "?no token for what is unknown");
    zm_tokenizer_close(&tokenizer);
}

static void expect_refused(zm_vocabulary from, zm_status expected, size_t number)
{
    scratch_log seen;
    zm_tokenizer *tokenizer = (zm_tokenizer *)&seen;
    scratch_log_init(&seen);
    from.log = &seen.log;
    zm_status status = zm_tokenizer_create(&from, &tokenizer);
    if (status != expected || seen.errors != 1)
        fail_msg("case %zu: %s, %u errors, '%s'", number, zm_status_name(status), seen.errors,
                 seen.error);
    assert_ptr_equal(tokenizer, &seen);
}

static void test_refused_vocabularies(void **state)
{
    (void)state;
    static const zm_text no_utf8[] = {T("a"), T("\xFF")}, spaces[] = {T("a"), T("a b")};
    /* Of what there is no token, and of one part and of three. */
    static const zm_text bad_merges[] = {T("a c"), T("ab"), T("a b c")};
    static const int32_t bad_types[] = {7};
    static char large[600];
    memset(large, 'a', sizeof(large));
    const zm_text large_token[] = {{large, sizeof(large)}};
    const struct {
        zm_vocabulary from;
        zm_status expected;
    } cases[] = {
        {{.model = NULL, .tokens = pieces, .token_count = 1}, ZM_ERROR_INVALID_ARGUMENT},
        {{.model = "gpt2", .tokens = NULL, .token_count = 1}, ZM_ERROR_INVALID_ARGUMENT},
        {{.model = "gpt2", .tokens = pieces}, ZM_ERROR_INVALID_ARGUMENT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 1, .merge_count = 1},
         ZM_ERROR_INVALID_ARGUMENT},
        {{.model = "bert", .tokens = pieces, .token_count = 1}, ZM_ERROR_UNSUPPORTED},
        {{.model = "llama", .tokens = pieces, .token_count = 1}, ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = no_utf8, .token_count = 2}, ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 2}, ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 1, .types = bad_types},
         ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 1, .bos = &many, .add_bos = 1},
         ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 1, .add_eos = 1}, ZM_ERROR_BAD_FORMAT},
        {{.model = "gpt2", .tokens = spaces, .token_count = 1, .unknown = &many},
         ZM_ERROR_BAD_FORMAT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_refused(cases[i].from, cases[i].expected, i);
    for (size_t i = 0; i < sizeof(bad_merges) / sizeof(bad_merges[0]); i++)
        expect_refused((zm_vocabulary){.model = "gpt2",
                                       .pre = "gpt-2",
                                       .tokens = byte_level_tokens,
                                       .token_count = 10,
                                       .types = byte_level_types,
                                       .merges = &bad_merges[i],
                                       .merge_count = 1},
                       ZM_ERROR_BAD_FORMAT, i);
    zm_vocabulary from = {
        .model = "llama", .tokens = large_token, .token_count = 1, .scores = bpe_scores};
    zm_tokenizer *tokenizer = create(&from);
    assert_ids(tokenizer, "a", "?over 512 bytes");
    zm_tokenizer_close(&tokenizer);
    assert_int_equal(zm_tokenizer_create(NULL, &tokenizer), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tokenizer_create(&byte_level, NULL), ZM_ERROR_INVALID_ARGUMENT);
}

/* They have no order. */
static void test_scores_that_are_no_numbers(void **state)
{
    (void)state;
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    float scores[14];
    scratch_log seen;
    scratch_log_init(&seen);
    zm_vocabulary from = sentencepiece;
    from.scores = scores;
    from.log = &seen.log;
    for (int i = 0; i < 6; i++) {
        memcpy(scores, bpe_scores, sizeof(scores));
        scores[i % 2 ? 13 : 0] = wrong[i / 2];
        from.model = i % 3 ? "t5" : "llama";
        zm_tokenizer *tokenizer = NULL;
        assert_int_equal(zm_tokenizer_create(&from, &tokenizer), ZM_ERROR_BAD_FORMAT);
        assert_non_null(strstr(seen.error, i % 2 ? "token 13 is" : "token 0 is"));
        assert_non_null(strstr(seen.error, i / 2 ? "inf" : "nan"));
        assert_null(tokenizer);
    }
}

/* Pieces end where characters do; what never becomes one comes out at once, or at the end. */
static void test_stream(void **state)
{
    (void)state;
    static const struct {
        int32_t id;
        const char *piece;
    } steps[] = {{1, ""},
                 {10, "a"},
                 {3, ""},
                 {4, "\xC3\xA9"},
                 {3, ""},
                 {7, "\xC3"
                     "a"},
                 {5, "\xFF"},
                 {11, " ab"},
                 {3, ""}};
    const char *bytes;
    size_t size;
    zm_tokenizer *tokenizer = create(&sentencepiece);
    zm_decoder *decoder = NULL;
    assert_int_equal(zm_decoder_create(tokenizer, false, &decoder), ZM_OK);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        assert_int_equal(zm_decoder_add(decoder, steps[i].id, &bytes, &size), ZM_OK);
        assert_int_equal(size, strlen(steps[i].piece));
        assert_memory_equal(bytes, steps[i].piece, size);
    }
    assert_int_equal(zm_decoder_add(decoder, 14, &bytes, &size), ZM_ERROR_NOT_FOUND);
    zm_decoder_rest(decoder, &bytes, &size);
    assert_int_equal(size, 1);
    assert_memory_equal(bytes, "\xC3", 1);
    zm_decoder_destroy(&decoder);
    assert_null(decoder);
    zm_decoder_destroy(&decoder);
    zm_decoder_destroy(NULL);
    assert_int_equal(zm_decoder_create(NULL, false, &decoder), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_decoder_create(tokenizer, false, NULL), ZM_ERROR_INVALID_ARGUMENT);
    zm_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pre_tokenizers),
        cmocka_unit_test(test_begin_and_end),
        cmocka_unit_test(test_whole_words),
        cmocka_unit_test(test_scores_as_merges),
        cmocka_unit_test(test_unigram),
        cmocka_unit_test(test_refused_vocabularies),
        cmocka_unit_test(test_scores_that_are_no_numbers),
        cmocka_unit_test(test_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
