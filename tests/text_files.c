/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers of model directories and GGUF files: vocabulary, ends of texts, chat templates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <zeromean/text.h>

#include "format/gguf.h"
#include "scratch.h"

#define T(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const zm_text model[] = {T("gpt2")}, pre[] = {T("gpt-2")}, chat[] = {T("{{ messages }}")};
static const zm_text tokens[] = {T("<|im_end|>"), T("a"), T("b"), T("ab"), T("<stop>"), T("</s>")};
static const zm_text merges[] = {T("a b")};
static const int32_t types[] = {3, 1, 1, 1, 3, 1};
static const uint32_t eos = 4, far = 6;
static const uint8_t yes = 1;

#define TEXT(name, values)                                                   \
    {                                                                        \
        .key = name, .type = ZM_METADATA_STRING, .count = 1, .texts = values \
    }
#define TEXTS(name, values)                                            \
    {                                                                  \
        .key = name, .type = ZM_METADATA_STRING, .is_array = true,     \
        .count = sizeof(values) / sizeof((values)[0]), .texts = values \
    }
#define NUMBER(name, kind, value)                               \
    {                                                           \
        .key = name, .type = kind, .count = 1, .numbers = value \
    }

/* A file in which one value is another one, or is missing where that has no type. */
static zm_status open_with(const char *path, const zm_metadata_value *other, scratch_log *seen,
                           zm_tokenizer **out)
{
    zm_metadata_value values[] = {
        TEXT("tokenizer.ggml.model", model),
        TEXT("tokenizer.ggml.pre", pre),
        TEXTS("tokenizer.ggml.tokens", tokens),
        TEXTS("tokenizer.ggml.merges", merges),
        {.key = "tokenizer.ggml.token_type",
         .type = ZM_METADATA_I32,
         .is_array = true,
         .count = 6,
         .numbers = types},
        NUMBER("tokenizer.ggml.bos_token_id", ZM_METADATA_U32, &eos),
        NUMBER("tokenizer.ggml.eos_token_id", ZM_METADATA_U32, &eos),
        NUMBER("tokenizer.ggml.eot_token_id", ZM_METADATA_U32, &far),
        NUMBER("tokenizer.ggml.add_bos_token", ZM_METADATA_BOOL, &yes),
        TEXT("tokenizer.chat_template", chat),
    };
    size_t count = 0;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        const bool replaced = other && strcmp(other->key, values[i].key) == 0;
        if (!replaced || other->type != ZM_METADATA_NONE)
            values[count++] = replaced ? *other : values[i];
    }
    const zm_model_tensor tensor = {.name = "x", .dtype = ZM_F32, .rank = 1, .shape = {1}};
    const float zero = 0;
    zm_tensor_writer *writer = NULL;
    scratch_log_init(seen);
    assert_int_equal(zm_gguf_writer_open(path, &tensor, 1, values, count, NULL, &writer), ZM_OK);
    assert_int_equal(zm_tensor_writer_write(writer, &zero, sizeof(zero)), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
    return zm_tokenizer_open(path, &seen->log, out);
}

static void assert_ends(const zm_tokenizer *tokenizer, const int32_t *expected, size_t count)
{
    const int32_t *ends = NULL;
    assert_int_equal(zm_tokenizer_get_ends(tokenizer, &ends), count);
    assert_memory_equal(ends, expected, count * sizeof(*ends));
}

static void test_gguf(void **state)
{
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    int32_t *ids = NULL;
    size_t count = 0;
    assert_int_equal(open_with(scratch_path(state, "a"), NULL, &seen, &tokenizer), ZM_OK);
    const zm_encode_params params = {.text = "abb<stop>", .size = 9};
    assert_int_equal(zm_tokenizer_encode(tokenizer, &params, &ids, &count), ZM_OK);
    assert_int_equal(count, 4);
    assert_memory_equal(ids, ((int32_t[]){4, 3, 2, 4}), 16);
    /* The eos, then the special token that always ends: "</s>" is none here, 6 no token. */
    assert_ends(tokenizer, (int32_t[]){4, 0}, 2);
    assert_string_equal(zm_tokenizer_get_chat_template(tokenizer), chat[0].data);
    free(ids);
    zm_tokenizer_close(&tokenizer);
}

/* An open model is all it takes, whatever has become of its file. */
static void test_open_model(void **state)
{
    const char *path = scratch_path(state, "m");
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    zm_model *opened = NULL;
    assert_int_equal(open_with(path, NULL, &seen, &tokenizer), ZM_OK);
    zm_tokenizer_close(&tokenizer);
    assert_int_equal(zm_model_open(path, &seen.log, &opened), ZM_OK);
    assert_true(zm_model_get_info(opened)->gguf);
    assert_int_equal(remove(path), 0);
    assert_int_equal(zm_tokenizer_open_model(opened, &seen.log, &tokenizer), ZM_OK);
    zm_model_close(&opened);
    assert_ends(tokenizer, (int32_t[]){4, 0}, 2);
    assert_int_equal(zm_tokenizer_size(tokenizer), 6);
    zm_tokenizer_close(&tokenizer);
    assert_int_equal(zm_tokenizer_open_model(NULL, &seen.log, &tokenizer),
                     ZM_ERROR_INVALID_ARGUMENT);
}

static void test_bad_gguf(void **state)
{
    static const zm_metadata_value others[] = {
        {.key = "tokenizer.ggml.model"},
        {.key = "tokenizer.ggml.tokens"},
        NUMBER("tokenizer.ggml.model", ZM_METADATA_U32, &eos),
        TEXT("tokenizer.ggml.tokens", pre),
        TEXT("tokenizer.ggml.merges", pre),
        NUMBER("tokenizer.ggml.pre", ZM_METADATA_U32, &eos),
        {.key = "tokenizer.ggml.token_type",
         .type = ZM_METADATA_I32,
         .is_array = true,
         .count = 5,
         .numbers = types},
        NUMBER("tokenizer.ggml.token_type", ZM_METADATA_I32, types),
        TEXTS("tokenizer.ggml.token_type", tokens),
        TEXT("tokenizer.ggml.bos_token_id", pre),
        NUMBER("tokenizer.ggml.bos_token_id", ZM_METADATA_U32, &far),
        NUMBER("tokenizer.ggml.add_bos_token", ZM_METADATA_U32, &eos),
        NUMBER("tokenizer.chat_template", ZM_METADATA_U32, &eos),
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        scratch_log seen;
        zm_tokenizer *tokenizer = NULL;
        const zm_status status = open_with(scratch_path(state, "b"), &others[i], &seen, &tokenizer);
        assert_int_equal(status, i < 2 ? ZM_ERROR_NOT_FOUND : ZM_ERROR_BAD_FORMAT);
        assert_int_equal(seen.errors, 1);
        assert_null(tokenizer);
    }
}

static void test_no_template(void **state)
{
    const zm_metadata_value other = {.key = "tokenizer.chat_template"};
    scratch_log seen;
    zm_tokenizer *tokenizer = NULL;
    assert_int_equal(open_with(scratch_path(state, "c"), &other, &seen, &tokenizer), ZM_OK);
    assert_null(zm_tokenizer_get_chat_template(tokenizer));
    zm_tokenizer_close(&tokenizer);
}

static void write_json(void **state, const char *name, const char *text)
{
    scratch_write(scratch_path(state, name), text, strlen(text));
}

static zm_status open_directory(void **state, zm_tokenizer **out)
{
    scratch_log seen;
    scratch_log_init(&seen);
    zm_status status = zm_tokenizer_open(*state, &seen.log, out);
    assert_int_equal(seen.errors, status != ZM_OK);
    return status;
}

static void test_directory(void **state)
{
    zm_tokenizer *tokenizer = NULL;
    write_json(state, "tokenizer.json",
               "{\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{"
               "\"a\":0,\"b\":1,\"c\":2,\"<eos>\":3}},\"added_tokens\":[{\"id\":4,\"content\":"
               "\"<|eot_id|>\",\"special\":true},{\"id\":5,\"content\":\"</s>\"}]}");
    assert_int_equal(open_directory(state, &tokenizer), ZM_OK);
    assert_ends(tokenizer, (int32_t[]){4}, 1);
    assert_null(zm_tokenizer_get_chat_template(tokenizer));
    zm_tokenizer_close(&tokenizer);

    write_json(state, "generation_config.json", "{\"eos_token_id\":[2, 0, 99, -1]}");
    write_json(state, "config.json", "{\"eos_token_id\":2}");
    write_json(state, "tokenizer_config.json",
               "{\"eos_token\":{\"content\":\"</s>\"},\"chat_template\":[{\"name\":\"tools\","
               "\"template\":\"x\"},{\"name\":\"default\",\"template\":\"y\"}]}");
    assert_int_equal(open_directory(state, &tokenizer), ZM_OK);
    assert_ends(tokenizer, (int32_t[]){2, 0, 5, 4}, 4);
    assert_string_equal(zm_tokenizer_get_chat_template(tokenizer), "y");
    zm_tokenizer_close(&tokenizer);

    assert_int_equal(zm_tokenizer_open(scratch_path(state, "model.safetensors"), NULL, &tokenizer),
                     ZM_OK);
    assert_ends(tokenizer, (int32_t[]){2, 0, 5, 4}, 4);
    zm_tokenizer_close(&tokenizer);

    write_json(state, "chat_template.jinja", "z");
    assert_int_equal(open_directory(state, &tokenizer), ZM_OK);
    assert_string_equal(zm_tokenizer_get_chat_template(tokenizer), "z");
    zm_tokenizer_close(&tokenizer);

    write_json(state, "config.json", "{");
    assert_int_equal(open_directory(state, &tokenizer), ZM_ERROR_BAD_FORMAT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_gguf, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_open_model, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_bad_gguf, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_no_template, scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(test_directory, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests_name("text_files", tests, NULL, NULL);
}
