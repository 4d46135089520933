/* SPDX-License-Identifier: Apache-2.0 */
/* usage: test-text-real MODEL: the tokenizer of a model that scripts/fetch-model fetched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/text.h>

#include "scratch.h"

typedef struct {
    const char *token;
    int32_t id;
} special_token;

typedef struct {
    const char *name;
    int32_t size;       /* of the vocabulary */
    int32_t tokens[12]; /* of `sentence` */
    special_token specials[3];
    int32_t encoded[14]; /* what the package tokenizers makes of it with this file, if not tokens */
} known_model;

static const char sentence[] = " And Mr. John Dashwood had then leisure to consider how";

/* English has the tokens of GPT-2, the other models a vocabulary of 99 languages. */
static const known_model known[] = {
    {
        "whisper-tiny.en",
        50363,
        {843, 1770, 13, 1757, 16189, 3822, 550, 788, 24638, 284, 2074, 703},
        {{"<|endoftext|>", 50256}, {"<|notimestamps|>", 50362}},
        {0},
    },
    {
        "whisper-base",
        50364,
        {400, 2221, 13, 2619, 23453, 6092, 632, 550, 31339, 281, 1949, 577},
        {{"<|endoftext|>", 50257}, {"<|en|>", 50259}, {"<|notimestamps|>", 50363}},
        /* the file lacks a merge that " had" and " to" need */
        {400, 2221, 13, 2619, 23453, 6092, 632, 220, 19096, 31339, 220, 1353, 1949, 577},
    },
};

static const known_model *model;

static int open_model(void **state)
{
    const char *models = getenv("ZEROMEAN_MODELS_DIR");
    char path[1024];
    scratch_log seen;
    scratch_log_init(&seen);
    zm_tokenizer *tokenizer = NULL;
    snprintf(path, sizeof(path), "%s/%s/tokenizer.json", models ? models : MODELS_DIR, model->name);
    if (zm_tokenizer_open(path, &seen.log, &tokenizer) != ZM_OK) {
        fprintf(stderr, "%s; fetch the model, or name the models' folder in ZEROMEAN_MODELS_DIR\n",
                seen.error);
        return -1;
    }
    *state = tokenizer;
    return 0;
}

static int close_model(void **state)
{
    zm_tokenizer *tokenizer = *state;
    zm_tokenizer_close(&tokenizer);
    return 0;
}

static void test_sentence(void **state)
{
    char text[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < sizeof(model->tokens) / sizeof(model->tokens[0]); i++) {
        const char *bytes;
        size_t size;
        assert_int_equal(zm_tokenizer_bytes(*state, model->tokens[i], false, &bytes, &size), ZM_OK);
        assert_true(used + size < sizeof(text));
        memcpy(text + used, bytes, size);
        used += size;
    }
    assert_string_equal(text, sentence);
}

static void test_sentence_again(void **state)
{
    const zm_encode_params params = {.text = sentence, .size = strlen(sentence), .bare = true};
    const bool other = model->encoded[0] != 0;
    const size_t expected =
        (other ? sizeof(model->encoded) : sizeof(model->tokens)) / sizeof(int32_t);
    int32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(zm_tokenizer_encode(*state, &params, &ids, &count), ZM_OK);
    assert_int_equal(count, expected);
    assert_memory_equal(ids, other ? model->encoded : model->tokens, count * sizeof(int32_t));
    free(ids);
}

static void test_special_tokens(void **state)
{
    assert_int_equal(zm_tokenizer_size(*state), model->size);
    for (size_t i = 0; i < 3 && model->specials[i].token; i++) {
        const special_token *special = &model->specials[i];
        const char *bytes;
        size_t size = 99;
        assert_int_equal(zm_tokenizer_find_special(*state, special->token), special->id);
        assert_int_equal(zm_tokenizer_bytes(*state, special->id, false, &bytes, &size), ZM_OK);
        assert_int_equal(size, 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence),
        cmocka_unit_test(test_sentence_again),
        cmocka_unit_test(test_special_tokens),
    };
    for (size_t i = 0; argc == 2 && i < sizeof(known) / sizeof(known[0]); i++)
        if (!strcmp(known[i].name, argv[1]))
            model = &known[i];
    if (!model) {
        fprintf(stderr, "usage: test-text-real whisper-tiny.en | whisper-base\n");
        return 2;
    }
    return cmocka_run_group_tests(tests, open_model, close_model);
}
