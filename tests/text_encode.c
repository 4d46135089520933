/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens: the ids that the package tokenizers gives (tests/text/expected.py writes the
 * files), and small vocabularies whose ids can be told by reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer_json.h"

/* A word of the ids, "1 2 3", or of the failure. */
static const char *encode(const zm_tokenizer *tokenizer, zm_encode_params params)
{
    static char words[4096];
    scratch_log seen;
    int32_t *ids = NULL;
    size_t count = 0, used = 0;
    scratch_log_init(&seen);
    params.log = &seen.log;
    words[0] = '\0';
    zm_status status = zm_tokenizer_encode(tokenizer, &params, &ids, &count);
    assert_int_equal(seen.errors, status == ZM_OK ? 0 : 1);
    if (status != ZM_OK) {
        snprintf(words, sizeof(words), "%s: %s", zm_status_name(status), seen.error);
        return words;
    }
    for (size_t i = 0; i < count && used < sizeof(words) - 16; i++)
        used += (size_t)sprintf(words + used, "%s%d", i ? " " : "", (int)ids[i]);
    free(ids);
    return words;
}

static const char *encode_text(const zm_tokenizer *tokenizer, const char *text)
{
    return encode(tokenizer, (zm_encode_params){.text = text, .size = strlen(text)});
}

static zm_tokenizer *open_json(const char *json)
{
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    if (tokenizer_json_open(json, &seen, &tokenizer) != ZM_OK)
        fail_msg("%s: %s", json, seen.error);
    return tokenizer;
}

static size_t from_hex(const char *hex, char *bytes)
{
    size_t size = strlen(hex) / 2;
    for (size_t i = 0; i < size; i++) {
        unsigned byte = 0;
        assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (char)byte;
    }
    return size;
}

static void check_case(const zm_tokenizer *tokenizer, const char *name, const json_t *known)
{
    char bytes[256], wanted[4096] = "";
    const char *hex = json_string_value(json_array_get(known, 0));
    size_t i, used = 0, size = from_hex(hex, bytes);
    json_t *id;
    json_array_foreach(json_array_get(known, 1), i, id) used +=
        (size_t)sprintf(wanted + used, "%s%lld", i ? " " : "", json_integer_value(id));
    const char *got = encode(tokenizer, (zm_encode_params){.text = bytes, .size = size});
    if (strcmp(got, wanted) != 0)
        fail_msg("%s: %s: %s instead of %s", name, hex, got, wanted);
}

/* Every family on the lines of tests/text/corpus.py. */
static void test_known_ids(void **state)
{
    (void)state;
    static const char *const names[] = {"llama-3", "qwen2", "falcon", "llama-2", "unigram"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        char name[512];
        size_t i;
        json_t *known, *file;
        snprintf(name, sizeof(name), "%s/%s.json", TEST_TEXT_DATA, names[n]);
        file = json_load_file(name, 0, NULL);
        assert_non_null(file);
        char *json = json_dumps(json_object_get(file, "tokenizer"), JSON_COMPACT);
        zm_tokenizer *tokenizer = open_json(json);
        assert_true(json_array_size(json_object_get(file, "cases")) >= 50);
        json_array_foreach(json_object_get(file, "cases"), i, known)
            check_case(tokenizer, names[n], known);
        zm_tokenizer_close(&tokenizer);
        json_decref(file);
        free(json);
    }
}

#define BYTES "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\","
#define PRE_BYTES \
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false},"

/* Both spellings of merges; ranks before positions; a pair that is gone when its turn comes. */
static void test_merges(void **state)
{
    (void)state;
    static const char *const merges[] = {
        "[\"b c\",\"a b\",\"ab ab\",\"\\u0120 a\"]",
        "[[\"b\",\"c\"],[\"a\",\"b\"],[\"ab\",\"ab\"],[\"\\u0120\",\"a\"]]"};
    for (size_t i = 0; i < 2; i++) {
        char json[1024];
        snprintf(json, sizeof(json),
                 "{" PRE_BYTES BYTES
                 "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"bc\":3,\"ab\":4,\"abab\":5,\"\\u0120\":6,"
                 "\"\\u0120a\":7},\"merges\":%s}}",
                 merges[i]);
        zm_tokenizer *tokenizer = open_json(json);
        assert_string_equal(encode_text(tokenizer, "abab"), "5");
        assert_string_equal(encode_text(tokenizer, "ababab"), "5 4");
        assert_string_equal(encode_text(tokenizer, "abc"), "0 3");
        assert_string_equal(encode_text(tokenizer, "ababc"), "4 0 3");
        assert_string_equal(encode_text(tokenizer, " ab"), "6 4");
        assert_string_equal(encode_text(tokenizer, " a"), "7");
        assert_string_equal(encode_text(tokenizer, ""), "");
        assert_string_equal(encode_text(tokenizer, "dad"),
                            "0"); /* no token, and none for unknown */
        zm_tokenizer_close(&tokenizer);
    }
}

/* Only what begins where the text begins gets the space, and only that one is taken away again: an
 * empty token in front of it changes nothing. */
static void test_space_in_front(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = open_json(
        "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":{"
        "\"String\":"
        "\"_\"},\"content\":\" \"},{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" "
        "\",\"start\":1,"
        "\"stop\":0}]},\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
        "\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":"
        "\"first\","
        "\"split\":false}]},\"model\":{\"vocab\":{\"_\":0,\"a\":1,\"_a\":2,\"\":3},\"merges\":[\"_ "
        "a\"]}}");
    static const int32_t ids[] = {3, 2, 2};
    char *text = NULL;
    size_t size = 0;
    assert_string_equal(encode_text(tokenizer, "a a"), "2 1");
    assert_string_equal(encode_text(tokenizer, " a a"), "1 1");
    assert_int_equal(zm_tokenizer_decode(tokenizer, ids, 3, false, &text, &size), ZM_OK);
    assert_string_equal(text, "a a");
    free(text);
    zm_tokenizer_close(&tokenizer);
}

/* A symbol that was merged away takes part in nothing more, and pairs change while they wait. */
static void test_rich_merges(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = open_json(
        "{" PRE_BYTES BYTES
        "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"ba\":3,\"aba\":4,\"bab\":5,\"abab\":6,"
        "\"aab\":7,\"aa\":8,\"aaa\":9,\"baa\":10},\"merges\":[\"a a\",\"ab a\",\"a aa\",\"ba b\","
        "\"aa a\",\"a ab\",\"a b\",\"ba a\",\"aba b\",\"a bab\",\"b ab\",\"b a\",\"ab ab\",\"b "
        "aa\","
        "\"a ba\",\"aa b\"]}}");
    assert_string_equal(encode_text(tokenizer, "aabab"), "8 5");
    assert_string_equal(encode_text(tokenizer, "aabababaaabababbaab"), "7 6 9 1 6 10 1");
    zm_tokenizer_close(&tokenizer);
}

/* Where the text is cut shows in what is merged. The ids are those of the package tokenizers. */
static void test_splits(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *pattern, *behavior, *text, *ids;
        bool invert;
    } cases[] = {
        {"String", "b", "Isolated", "abba bbcab", "0 1 1 0 7 1 1 9 1", false},
        {"String", "b", "Isolated", "abba bbcab", "0 1 1 0 7 1 1 9 1", true},
        {"String", "b", "Removed", "abba bbcab", "0 0 7 9", false},
        {"String", "b", "Removed", "abba bbcab", "1 1 1 1 1", true},
        {"String", "b", "Contiguous", "abba bbcab", "0 6 0 7 6 9 1", false},
        {"Regex", "b", "MergedWithPrevious", "abba bbcab", "4 1 0 7 1 1 2 4", false},
        {"Regex", "b", "MergedWithPrevious", "abba bbcab", "0 1 5 7 1 8 0 1", true},
        {"Regex", "b", "MergedWithNext", "abba bbcab", "0 1 5 7 1 8 0 1", false},
        {"Regex", "b", "MergedWithNext", "abba bbcab", "4 1 0 7 1 1 2 4", true},
        {"Regex", "[^(\\\\s|[b.])]+", "Isolated", "aa(bca ab", "3 1 9 7 0 1", false},
        {"Regex", "\\\\s", "Removed",
         "a\xC2\xA0"
         "bb b",
         "0 6 1", false},
        {"Regex", "x*", "Isolated", "abbab", "0 1 1 0 1", false},
        {"Regex", "(?=b)", "Isolated", "abbab", "0 1 5 1", false},
        {"Regex", "\\\\w", "Isolated",
         "a\xC2\xBD"
         "b",
         "0 1", false},
        {"Regex", "[\\\\u0062]|\\\\x{63}", "Isolated", "abca", "0 1 2 0", false},
        {"Regex", "(?i:B)", "Isolated", "abca", "0 1 9", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[2048];
        snprintf(
            json, sizeof(json),
            "{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
            "\"pattern\":{\"%s\":\"%s\"},\"behavior\":\"%s\",\"invert\":%s},"
            "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}]}," BYTES
            "\"vocab\":{\"a\":0,\"b\":1,\"c\":2,\"aa\":3,\"ab\":4,\"ba\":5,\"bb\":6,"
            "\"\\u0120\":7,\"bc\":8,\"ca\":9},\"merges\":[\"b a\",\"a b\",\"a a\",\"b b\",\"b c\","
            "\"c a\"]}}",
            cases[i].kind, cases[i].pattern, cases[i].behavior, cases[i].invert ? "true" : "false");
        zm_tokenizer *tokenizer = open_json(json);
        const char *got = encode_text(tokenizer, cases[i].text);
        if (strcmp(got, cases[i].ids) != 0)
            fail_msg("case %zu: %s instead of %s", i, got, cases[i].ids);
        zm_tokenizer_close(&tokenizer);
    }
}

static void test_added_tokens(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = open_json(
        "{\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"special\":true},"
        "{\"id\":11,\"content\":\"<s>a\",\"special\":false},"
        "{\"id\":12,\"content\":\"<w>\",\"single_word\":true},"
        "{\"id\":13,\"content\":\"<l>\",\"lstrip\":true},{\"id\":14,\"content\":\"<r>\",\"rstrip\":"
        "true}],"
        "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
        "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
        "\"special_tokens\":{\"<s>\":{\"id\":\"<s>\",\"ids\":[10],\"tokens\":[\"<s>\"]}}}"
        "," PRE_BYTES BYTES
        "\"vocab\":{\"a\":0,\"<\":1,\"s\":2,\">\":3,\"\\u0120\":4,\"w\":5,\"l\":6,\"r\":7}}}");
    zm_encode_params params = {.text = "<s><s>a <s", .size = 10};
    assert_string_equal(encode(tokenizer, params), "10 10 11 4 1 2");
    params.bare = true;
    assert_string_equal(encode(tokenizer, params), "10 11 4 1 2");
    params.literal = true;
    assert_string_equal(encode(tokenizer, params), "1 2 3 11 4 1 2");
    assert_string_equal(encode_text(tokenizer, "<w>"), "10 12");
    assert_string_equal(encode_text(tokenizer, "a<w> <w>a <w>"), "10 0 1 5 3 4 1 5 3 0 4 12");
    assert_string_equal(encode_text(tokenizer, "a \t\xE3\x80\x80<l> a  <r>  a"),
                        "10 0 13 4 0 4 4 14 0");
    zm_tokenizer_close(&tokenizer);
}

/* NUL is a character; what is no UTF-8 is U+FFFD, EF BF BD, once for each longest beginning. */
static void test_bytes(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = open_json(
        "{" PRE_BYTES BYTES "\"vocab\":{\"a\":0,\"\\u0100\":1,\"\\u00ef\":2,\"\\u00bf\":3,"
        "\"\\u00bd\":4}}}");
    zm_encode_params params = {.text = "a\0\xF0\x9F\x98"
                                       "a\xFF\xC3",
                               .size = 8};
    assert_string_equal(encode(tokenizer, params), "0 1 2 3 4 0 2 3 4 2 3 4");
    zm_tokenizer_close(&tokenizer);
}

static void test_arguments(void **state)
{
    (void)state;
    zm_tokenizer *tokenizer = open_json("{" BYTES "\"vocab\":{\"a\":0}}}");
    zm_encode_params params = {.text = NULL, .size = 1};
    int32_t *ids;
    size_t count;
    assert_int_equal(zm_tokenizer_encode(tokenizer, &params, &ids, &count),
                     ZM_ERROR_INVALID_ARGUMENT);
    params.size = 0;
    assert_int_equal(zm_tokenizer_encode(NULL, &params, &ids, &count), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tokenizer_encode(tokenizer, NULL, &ids, &count), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tokenizer_encode(tokenizer, &params, NULL, &count),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_tokenizer_encode(tokenizer, &params, &ids, NULL),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_string_equal(encode(tokenizer, params), "");
    params.text = "a";
    params.size = (size_t)1 << 40;
    assert_non_null(strstr(encode(tokenizer, params), "ZM_ERROR_LIMIT"));
    zm_tokenizer_close(&tokenizer);
}

/* What only encoding needs: such files are opened, and decode. */
static void test_encoding_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"\"normalizer\":{\"type\":\"BertNormalizer\"}", "'BertNormalizer'"},
        {"\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Precompiled\"}]}",
         "'Precompiled'"},
        {"\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"}", "'BertPreTokenizer'"},
        {"\"post_processor\":{\"type\":\"BertProcessing\"}", "'BertProcessing'"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a\\\\Kb\"},\"behavior\":"
         "\"Isolated\"}",
         "a\\Kb"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"},\"behavior\":"
         "\"Isolated\"}",
         "intersection"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"a{2}+\"},\"behavior\":"
         "\"Isolated\"}",
         "}+"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a\"},\"behavior\":"
         "\"Isolated\"}",
         "(a"},
        {"\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"\"},\"behavior\":"
         "\"Isolated\"}",
         "empty"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char json[1024];
        const char *bytes;
        size_t size;
        snprintf(json, sizeof(json), "{%s," BYTES "\"vocab\":{\"a\":0}}}", cases[i][0]);
        zm_tokenizer *tokenizer = open_json(json);
        const char *said = encode_text(tokenizer, "a");
        if (!strstr(said, "ZM_ERROR_UNSUPPORTED") || !strstr(said, cases[i][1]))
            fail_msg("%s: '%s'", json, said);
        assert_int_equal(zm_tokenizer_bytes(tokenizer, 0, false, &bytes, &size), ZM_OK);
        zm_tokenizer_close(&tokenizer);
    }
}

/* A pattern that would try for years comes back. */
static void test_endless_pattern(void **state)
{
    (void)state;
    static char text[20000];
    memset(text, 'a', sizeof(text));
    zm_tokenizer *tokenizer = open_json(
        "{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(a|a|aa)+(?=b)\"},"
        "\"behavior\":\"Isolated\"}," BYTES "\"vocab\":{\"a\":0}}}");
    const char *said = encode(tokenizer, (zm_encode_params){.text = text, .size = sizeof(text)});
    assert_non_null(strstr(said, "ZM_ERROR_LIMIT"));
    zm_tokenizer_close(&tokenizer);
}

/* One word of half a million characters, which quadratic time would take minutes for. */
static void test_long_word(void **state)
{
    (void)state;
    enum { SIZE = 1 << 19 };
    zm_tokenizer *tokenizer = open_json("{" BYTES "\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"abab\":3},"
                                        "\"merges\":[\"a b\",\"ab ab\"]}}");
    char *text = malloc(SIZE);
    int32_t *ids = NULL;
    size_t count = 0;
    assert_non_null(text);
    for (size_t i = 0; i < SIZE; i++)
        text[i] = i % 2 ? 'b' : 'a';
    const zm_encode_params params = {.text = text, .size = SIZE};
    assert_int_equal(zm_tokenizer_encode(tokenizer, &params, &ids, &count), ZM_OK);
    assert_int_equal(count, SIZE / 4);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(ids[i], 3);
    free(ids);
    free(text);
    zm_tokenizer_close(&tokenizer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_ids),
        cmocka_unit_test(test_merges),
        cmocka_unit_test(test_splits),
        cmocka_unit_test(test_space_in_front),
        cmocka_unit_test(test_rich_merges),
        cmocka_unit_test(test_added_tokens),
        cmocka_unit_test(test_bytes),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_encoding_refused),
        cmocka_unit_test(test_endless_pattern),
        cmocka_unit_test(test_long_word),
    };
    return cmocka_run_group_tests(tests, tokenizer_json_setup, tokenizer_json_teardown);
}
