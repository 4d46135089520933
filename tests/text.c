/* SPDX-License-Identifier: Apache-2.0 */
/* Crafted tokenizer files, and UTF-8 that arrives in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/random.h"
#include "tokenizer_json.h"

#define SEED 99u

#define DECODER "\"decoder\":{\"type\":\"ByteLevel\"}"

static void assert_token(const zm_tokenizer *tokenizer, int32_t token, bool special,
                         const char *expected, size_t expected_size)
{
    const char *bytes = NULL;
    size_t size = 99;
    assert_int_equal(zm_tokenizer_bytes(tokenizer, token, special, &bytes, &size), ZM_OK);
    assert_int_equal(size, expected_size);
    assert_memory_equal(bytes, expected, expected_size);
}

static void test_tokens(void **state)
{
    (void)state;
    static const char json[] =
        "{\"added_tokens\":[{\"id\":4,\"content\":\"<|end|>\",\"special\":true},"
        "{\"id\":9,\"content\":\"two words \\u20ac\",\"special\":false},"
        "{\"id\":10,\"content\":\"\",\"special\":true}]," DECODER ",\"model\":{\"type\":\"BPE\","
        "\"vocab\":{\"a\":0,\"\\u0120b\":1,\"\\u00e2\\u0124\\u00ac\":2,\"\\u0100\":3,"
        "\"<|end|>\":4,\"\\u010a\\u0143\":6}}}";
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    const char *bytes;
    size_t size;
    assert_int_equal(tokenizer_json_open(json, &seen, &tokenizer), ZM_OK);
    assert_int_equal(seen.errors, 0);
    assert_int_equal(zm_tokenizer_size(tokenizer), 11);
    assert_token(tokenizer, 0, false, "a", 1);
    assert_token(tokenizer, 1, false, " b", 2);
    assert_token(tokenizer, 2, false, "\xE2\x82\xAC", 3);
    assert_token(tokenizer, 3, false, "\0", 1);
    assert_token(tokenizer, 4, false, "", 0);
    assert_token(tokenizer, 4, true, "<|end|>", 7);
    assert_token(tokenizer, 6, false, "\n\xAD", 2);
    assert_token(tokenizer, 9, false, "two words \xE2\x82\xAC", 13);
    assert_token(tokenizer, 10, true, "", 0);
    static const int32_t absent[] = {-1, 5, 7, 8, 11, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_int_equal(zm_tokenizer_bytes(tokenizer, absent[i], true, &bytes, &size),
                         ZM_ERROR_NOT_FOUND);
    assert_int_equal(zm_tokenizer_find_special(tokenizer, "<|end|>"), 4);
    assert_int_equal(zm_tokenizer_find_special(tokenizer, "two words \xE2\x82\xAC"), 9);
    assert_int_equal(zm_tokenizer_find_special(tokenizer, "a"), -1);
    assert_int_equal(zm_tokenizer_find_special(tokenizer, "<|end"), -1);
    zm_tokenizer_close(&tokenizer);
    assert_null(tokenizer);
    zm_tokenizer_close(&tokenizer);
    zm_tokenizer_close(NULL);
}

/* Every character of the alphabet of GPT-2's bytes_to_unicode spells its byte. */
static void test_every_byte(void **state)
{
    (void)state;
    static char json[16384];
    static const struct {
        int first, last, character; /* bytes, and the character of the first one */
    } ranges[] = {{0x00, 0x20, 0x100}, {0x21, 0x7E, 0x21},  {0x7F, 0xA0, 0x121},
                  {0xA1, 0xAC, 0xA1},  {0xAD, 0xAD, 0x143}, {0xAE, 0xFF, 0xAE}};
    size_t used = (size_t)sprintf(json, "{" DECODER ",\"model\":{\"vocab\":{");
    for (size_t r = 0; r < sizeof(ranges) / sizeof(ranges[0]); r++)
        for (int byte = ranges[r].first; byte <= ranges[r].last; byte++)
            used += (size_t)sprintf(json + used, "%s\"\\u%04x\":%d", byte ? "," : "",
                                    (unsigned)(ranges[r].character + byte - ranges[r].first), byte);
    sprintf(json + used, "}}}");
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    assert_int_equal(tokenizer_json_open(json, &seen, &tokenizer), ZM_OK);
    assert_int_equal(zm_tokenizer_size(tokenizer), 256);
    for (int byte = 0; byte < 256; byte++) {
        const char expected = (char)byte;
        assert_token(tokenizer, byte, false, &expected, 1);
    }
    zm_tokenizer_close(&tokenizer);
}

#define WITH_VOCAB(vocab) "{" DECODER ",\"model\":{\"type\":\"BPE\",\"vocab\":" vocab "}}"
#define WITH_ADDED(added) \
    "{\"added_tokens\":" added "," DECODER ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}"
#define WITH_PARTS(parts) "{" parts "," DECODER ",\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}"
static const struct {
    const char *json;
    zm_status expected;
} refused_files[] = {
    {"", ZM_ERROR_BAD_FORMAT},
    {"{", ZM_ERROR_BAD_FORMAT},
    {"[]", ZM_ERROR_BAD_FORMAT},
    {"{}", ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":7}", ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":{\"type\":\"BPE\"}}", ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("[]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":-1}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":2097152}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":9223372036854775807}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":92233720368547758070}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":1.5}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":\"0\"}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":null}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"a\":1}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a b\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\\u0144\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\\u00ad\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\\u20ac\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\\ud83d\\ude00\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\\u0000\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"\xFF\":0}"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("{}"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[7]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"id\":1}]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"content\":\"x\"}]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"id\":-7,\"content\":\"x\"}]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"id\":1e9,\"content\":\"x\"}]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"id\":0,\"content\":\"b\"}]"), ZM_ERROR_BAD_FORMAT},
    {WITH_ADDED("[{\"id\":1,\"content\":\"x\"},{\"id\":1,\"content\":\"x\"}]"),
     ZM_ERROR_BAD_FORMAT},
    {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0}}}", ZM_ERROR_UNSUPPORTED},
    {"{\"decoder\":{\"type\":\"WordPiece\"},\"model\":{\"vocab\":{\"a\":0}}}",
     ZM_ERROR_UNSUPPORTED},
    {"{" DECODER ",\"model\":{\"type\":\"WordPiece\",\"vocab\":{\"a\":0}}}", ZM_ERROR_UNSUPPORTED},
    {"{" DECODER ",\"model\":{\"type\":\"Unigram\",\"vocab\":{\"a\":0}}}", ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\"]]}}", ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}",
     ZM_ERROR_BAD_FORMAT},
    {"{" DECODER ",\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}",
     ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":{}"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[7]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"ab\"]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"b a\"]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b \"]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\"]]"), ZM_ERROR_BAD_FORMAT},
    {WITH_VOCAB("{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[[\"a\",\"b\",\"a\"]]"),
     ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"normalizer\":{}"), ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"normalizer\":{\"type\":\"Sequence\"}"), ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"normalizer\":{\"type\":\"Replace\",\"content\":\"\"}"), ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"normalizer\":{\"type\":\"Prepend\"}"), ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Isolated\"}"),
     ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"pre_tokenizer\":{\"type\":\"Split\",\"behavior\":\"Odd\","
                "\"pattern\":{\"String\":\"a\"}}"),
     ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"ab\"}"),
     ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[]}"),
     ZM_ERROR_BAD_FORMAT},
    {WITH_PARTS("\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":["
                "{\"SpecialToken\":{\"id\":\"s\"}},{\"Sequence\":{}}],\"special_tokens\":"
                "{\"s\":{\"ids\":[1]}}}"),
     ZM_ERROR_BAD_FORMAT},
};

static void test_refused_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused_files) / sizeof(refused_files[0]); i++) {
        scratch_log seen;
        zm_tokenizer *tokenizer = (zm_tokenizer *)&seen;
        zm_status status = tokenizer_json_open(refused_files[i].json, &seen, &tokenizer);
        if (status != refused_files[i].expected || seen.errors != 1 ||
            !strstr(seen.error, tokenizer_json_path()))
            fail_msg("%s: %s, %u errors, '%s'", refused_files[i].json, zm_status_name(status),
                     seen.errors, seen.error);
        assert_ptr_equal(tokenizer, &seen);
    }
}

static void test_accepted_files(void **state)
{
    (void)state;
    static const char *const cases[] = {
        WITH_VOCAB("{\"a\":0}"),
        WITH_VOCAB("{\"\":0}"),
        WITH_VOCAB("{\"a\":2097151}"),
        WITH_ADDED("null"),
        WITH_ADDED("[]"),
        WITH_ADDED("[{\"id\":0,\"content\":\"a\",\"special\":true}]"),
        ("{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Fuse\"},"
         "{\"type\":\"ByteLevel\"}]},\"model\":{\"vocab\":{\"a\":0}}}"),
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        scratch_log seen;
        zm_tokenizer *tokenizer = NULL;
        if (tokenizer_json_open(cases[i], &seen, &tokenizer) != ZM_OK)
            fail_msg("%s: %s", cases[i], seen.error);
        assert_true(zm_tokenizer_size(tokenizer) > 0);
        zm_tokenizer_close(&tokenizer);
    }
}

static void test_missing_file(void **state)
{
    (void)state;
    scratch_log seen;
    scratch_log_init(&seen);
    zm_tokenizer *tokenizer = NULL;
    unlink(tokenizer_json_path());
    assert_int_equal(zm_tokenizer_open(tokenizer_json_path(), &seen.log, &tokenizer),
                     ZM_ERROR_NOT_FOUND);
    assert_int_equal(seen.errors, 1);
    assert_int_equal(zm_tokenizer_open("/", &seen.log, &tokenizer), ZM_ERROR_NOT_FOUND);
    assert_int_equal(zm_tokenizer_open(NULL, &seen.log, &tokenizer), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tokenizer_open(tokenizer_json_path(), &seen.log, NULL),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_null(tokenizer);
}

static void test_whole_characters(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t whole;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"\xC3", 0},
        {"a\xC3", 1},
        {"a\xC3\xA9", 3},
        {"\xE2", 0},
        {"\xE2\x82", 0},
        {"\xE2\x82\xAC", 3},
        {"\xE2\x82\xAC\xE2\x82", 3},
        {"\xF0\x9F\x98", 0},
        {"x\xF0\x9F", 1},
        {"\xF0\x9F\x98\x80", 4},
        /* invalid: will never be whole, so nothing to wait for */
        {"\x80", 1},
        {"\x80\x80\x80\x80", 4},
        {"\xC0", 1},
        {"\xC1", 1},
        {"\xF5", 1},
        {"\xFF", 1},
        {"\xE2z", 2},
        {"\xE0\x80", 2},
        {"\xED\xA0", 2},
        {"\xF0\x80", 2},
        {"\xF4\x90", 2},
        {"\xC3\xA9\x80", 3},
        {"\xF4\x8F\xBF", 0},
        {"\xED\x9F", 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t whole = zm_utf8_whole(cases[i].bytes, strlen(cases[i].bytes));
        if (whole != cases[i].whole)
            fail_msg("case %zu: %zu, expected %zu", i, whole, cases[i].whole);
    }
}

static void assert_repaired(const char *bytes, size_t size, const char *expected)
{
    char *text = NULL;
    assert_int_equal(zm_utf8_repair(bytes, size, &text), ZM_OK);
    assert_string_equal(text, expected);
    free(text);
}

/* As Unicode recommends: one U+FFFD for each longest beginning of a character. */
static void test_repaired_text(void **state)
{
    (void)state;
#define BAD "\xEF\xBF\xBD"
    char *text;
    assert_repaired("", 0, "");
    assert_repaired(NULL, 0, "");
    assert_repaired("a\xC3\xA9\xF0\x9F\x98\x80", 7, "a\xC3\xA9\xF0\x9F\x98\x80");
    assert_repaired("a\0b", 3, "a" BAD "b");
    assert_repaired("\xF0\x9F\x98", 3, BAD);
    assert_repaired("\xF0\x9F\x98z", 4, BAD "z");
    assert_repaired("\xE2\x82\xE2\x82\xAC", 5, BAD "\xE2\x82\xAC");
    assert_repaired("\x80\x80", 2, BAD BAD);
    assert_repaired("\xED\xA0\x80", 3, BAD BAD BAD);
    assert_repaired("\xC0\xAF", 2, BAD BAD);
    assert_repaired("\xF4\x90\x80\x80", 4, BAD BAD BAD BAD);
    assert_int_equal(zm_utf8_repair(NULL, 1, &text), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_utf8_repair("", 0, NULL), ZM_ERROR_INVALID_ARGUMENT);
}

/* Any bytes, cut anywhere: the whole part and the rest give what all of them give. */
static void test_pieces_of_any_bytes(void **state)
{
    (void)state;
    static const unsigned char likely[] = {0x41, 0x80, 0x9F, 0xA0, 0xBF, 0xC3, 0xE0,
                                           0xE2, 0xED, 0xF0, 0xF4, 0xFF, 0x82};
    uint64_t random = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < 20000; round++) {
        char bytes[12], joined[64], *all, *first, *second;
        size_t size = test_random_below(&random, sizeof(bytes));
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)likely[test_random_below(&random, sizeof(likely))];
        size_t cut = test_random_below(&random, size + 1);
        size_t whole = zm_utf8_whole(bytes, cut);
        assert_true(whole <= cut && cut - whole <= 3);
        assert_int_equal(zm_utf8_repair(bytes, size, &all), ZM_OK);
        assert_int_equal(zm_utf8_repair(bytes, whole, &first), ZM_OK);
        assert_int_equal(zm_utf8_repair(bytes + whole, size - whole, &second), ZM_OK);
        snprintf(joined, sizeof(joined), "%s%s", first, second);
        assert_string_equal(joined, all);
        free(all);
        free(first);
        free(second);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tokens),        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_refused_files), cmocka_unit_test(test_accepted_files),
        cmocka_unit_test(test_missing_file),  cmocka_unit_test(test_whole_characters),
        cmocka_unit_test(test_repaired_text), cmocka_unit_test(test_pieces_of_any_bytes),
    };
    return cmocka_run_group_tests(tests, tokenizer_json_setup, tokenizer_json_teardown);
}
