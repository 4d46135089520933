/* SPDX-License-Identifier: Apache-2.0 */
/* A real GGUF file, SmolLM2, which scripts/fetch-model fetched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/model.h>

#include "common/hash.h"
#include "common/quant.h"

/* Of all tensors in order of name, decoded by the Python package gguf 0.19. */
static const char decoded[] = "035b238cdb1c3a64e21315cad8d5d362e75ed6f6e847ca3508b006dff3ca3fd6";

static int open_model(void **state)
{
    const char *models = getenv("ZEROMEAN_MODELS_DIR");
    char path[1024];
    zm_model *model = NULL;
    snprintf(path, sizeof(path), "%s/smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
             models ? models : MODELS_DIR);
    if (zm_model_open(path, NULL, &model) != ZM_OK)
        print_error("%s cannot be opened: run scripts/fetch-model smollm2\n", path);
    *state = model;
    return model ? 0 : -1;
}

static int close_model(void **state)
{
    zm_model *model = *state;
    zm_model_close(&model);
    return 0;
}

static void test_tensors(void **state)
{
    const zm_model *model = *state;
    const zm_model_info *info = zm_model_get_info(model);
    unsigned counts[ZM_DTYPE_COUNT] = {0};
    zm_sha256 hash;
    char hex[65];
    zm_sha256_init(&hash);
    assert_int_equal(info->parameters, 134515008);
    assert_int_equal(info->tensor_count, 272);
    for (size_t i = 0; i < info->tensor_count; i++) {
        const zm_model_tensor *tensor = zm_model_get_tensor(model, i);
        float *values = malloc((size_t)tensor->elements * sizeof(*values));
        assert_non_null(values);
        counts[tensor->dtype]++;
        zm_quant_decode(values, tensor->data, tensor->dtype, tensor->elements);
        zm_sha256_update(&hash, values, (size_t)tensor->elements * sizeof(*values));
        free(values);
    }
    zm_sha256_finish(&hash, hex);
    assert_string_equal(hex, decoded);
    assert_int_equal(counts[ZM_Q4_1], 210);
    assert_int_equal(counts[ZM_F32], 61);
    assert_int_equal(counts[ZM_Q8_0], 1);
    const zm_model_tensor *down = zm_model_find_tensor(model, "blk.0.ffn_down.weight");
    assert_non_null(down);
    assert_int_equal(down->shape[0], 576);
    assert_int_equal(down->shape[1], 1536);
}

static void test_metadata(void **state)
{
    const zm_model *model = *state;
    int64_t layers = 0, type = 0;
    double eps = 0;
    bool begins = true;
    zm_text text;
    assert_string_equal(zm_model_get_info(model)->architecture_name, "llama");
    assert_true(zm_metadata_integer(zm_model_find_value(model, "llama.block_count"), 0, &layers));
    assert_int_equal(layers, 30);
    assert_true(zm_metadata_real(
        zm_model_find_value(model, "llama.attention.layer_norm_rms_epsilon"), 0, &eps));
    assert_true(eps == (double)1e-5f);
    assert_true(
        zm_metadata_bool(zm_model_find_value(model, "tokenizer.ggml.add_bos_token"), 0, &begins));
    assert_false(begins);
    const zm_metadata_value *tokens = zm_model_find_value(model, "tokenizer.ggml.tokens");
    assert_non_null(tokens);
    assert_int_equal(tokens->count, 49152);
    assert_true(zm_metadata_string(tokens, 1, &text) && text.length == 12);
    assert_memory_equal(text.data, "<|im_start|>", 12);
    assert_true(
        zm_metadata_integer(zm_model_find_value(model, "tokenizer.ggml.token_type"), 1, &type));
    assert_int_equal(type, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tensors, open_model, close_model),
        cmocka_unit_test_setup_teardown(test_metadata, open_model, close_model),
    };
    return cmocka_run_group_tests_name("gguf_real", tests, NULL, NULL);
}
