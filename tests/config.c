/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with the configuration of a model directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "scratch.h"
#include "small_whisper.h"

#define BAD ZM_ERROR_BAD_FORMAT
#define UNSUPPORTED ZM_ERROR_UNSUPPORTED

static void test_config(void **state)
{
    static const struct {
        const char *from, *to;
        zm_status status;
        const char *message;
    } changes[] = {
        {"whisper", "bert", UNSUPPORTED, "the architecture bert is not supported"},
        {"\"whisper\"", "7", BAD, "config.json: has no string model_type"},
        {"model_type", "x", BAD, "config.json: has no string model_type"},
        {"{", "[", BAD, "not valid JSON"},
        {"\"gelu\"", "\"relu\"", UNSUPPORTED, "other than gelu"},
        {"\"gelu\"", "null", UNSUPPORTED, "other than gelu"},
        {"g\":false", "g\":true", UNSUPPORTED, "scale_embedding is not supported"},
        {"scale_embedding", "tie_word_embeddings", UNSUPPORTED, "not tied"},
        {"d_model", "d", BAD, "has no field d_model"},
        {"d_model\":8", "d_model\":8.0", BAD, "d_model is not an integer"},
        {"d_model\":8", "d_model\":0", BAD, "d_model is 0, expected 1 to"},
        {"d_model\":8", "d_model\":-8", BAD, "d_model is -8, expected 1 to"},
        {"d_model\":8", "d_model\":4294967304", BAD, "d_model is 4294967304, expected 1 to"},
        {"d_model\":8", "d_model\":6", BAD, "d_model 6 is not a multiple of the heads (2 and 4)"},
        {"encoder_layers\":1", "encoder_layers\":9", BAD, "model.encoder.layers.1."},
        {"decoder_layers\":2", "decoder_layers\":2000000", BAD, "decoder_layers is 2000000"},
        {"vocab_size\":30", "vocab_size\":31", BAD, "embed_tokens.weight has the shape [30][8], e"},
        {"vocab_size\":30", "vocab_size\":29", BAD, "suppress_tokens[2] is not a token"},
        {"vocab_size\":30", "vocab_size\":20", BAD, "no timestamp tokens behind"},
        {"\"vocab_size\"", "\"layer_norm_eps\":0,\"vocab_size\"", BAD, "layer_norm_eps is not"},
        {"\"vocab_size\"", "\"layer_norm_eps\":-1,\"vocab_size\"", BAD, "layer_norm_eps is not"},
        {"\"vocab_size\"", "\"layer_norm_eps\":\"1\",\"vocab_size\"", BAD, "layer_norm_eps is n"},
    };
    test_write_whisper(*state, &small_whisper);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_text_refused(state, "config.json", changes[i].from, changes[i].to, changes[i].status,
                            changes[i].message);
    small_write_changed(state, &(test_changes){.eps = "0.001"});
    zm_model *model = assert_opens(*state, 0);
    assert_true(zm_model_get_info(model)->eps == 0.001f);
    zm_model_close(&model);
}

static void test_generation_config(void **state)
{
    static const struct {
        const char *from, *to, *message;
    } changes[] = {
        {"eos_token_id", "x", "has no field eos_token_id"},
        {"eos_token_id\":10", "eos_token_id\":30", "eos_token_id is 30, expected 0 to 29"},
        {"eos_token_id\":10", "eos_token_id\":-1", "eos_token_id is -1, expected 0 to 29"},
        {"decoder_start_token_id\":11", "decoder_start_token_id\":\"11\"", "not an integer"},
        {"no_timestamps_token_id\":19", "no_timestamps_token_id\":29", "no timestamp tokens"},
        {"[1,2,29]", "[1,2,30]", "suppress_tokens[2] is not a token"},
        {"[1,2,29]", "[-1]", "suppress_tokens[0] is not a token"},
        {"[1,2,29]", "[1.0]", "suppress_tokens[0] is not a token"},
        {"[1,2,29]", "7", "suppress_tokens is not an array"},
        {"[3,10]", "{}", "begin_suppress_tokens is not an array"},
        {"\"<|fr|>\":14", "\"<|fr|>\":15", "not successive"},
        {"\"<|fr|>\":14", "\"<|fr|>\":13", "not successive"},
        {"\"<|fr|>\":14", "\"<|fr|>\":99", "lang_to_id has something"},
        {"\"<|fr|>\":14", "\"<|fr|>\":null", "lang_to_id has something"},
        {"task_to_id", "x", "task_to_id is not a JSON object"},
        {"\"translate\":15", "\"translate\":30", "translate is 30"},
        {"\"translate\":15,", "", "has no field translate"},
        {"\"lang_to_id\"", "\"lang_to_id\":[],\"x\"", "lang_to_id is not an object"},
        {"\"lang_to_id\"", "\"lang_to_id\":{},\"x\"", "lang_to_id is not an object"},
    };
    test_write_whisper(*state, &small_whisper);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_text_refused(state, "generation_config.json", changes[i].from, changes[i].to, BAD,
                            changes[i].message);
    unlink(scratch_path(state, "generation_config.json"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "generation_config.json");
    unlink(scratch_path(state, "config.json"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "config.json");
}

/* English-only, with what older models have in config.json. */
static void test_english_only(void **state)
{
    test_write_whisper(*state, &small_whisper);
    char *config = small_read_text(state, "config.json");
    char *older = test_format("{\"eos_token_id\":9,\"suppress_tokens\":[5],%s", config + 1);
    test_write_text(*state, "config.json", older);
    free(older);
    free(config);
    static const char *const generations[] = {
        "{\"decoder_start_token_id\":11,\"no_timestamps_token_id\":19}",
        "{\"decoder_start_token_id\":11,\"no_timestamps_token_id\":19,\"suppress_tokens\":null,"
        "\"is_multilingual\":false,\"lang_to_id\":{\"<|en|>\":12}}",
    };
    for (size_t i = 0; i < 2; i++) {
        test_write_text(*state, "generation_config.json", generations[i]);
        zm_model *model = assert_opens(*state, 0);
        const zm_whisper_info *w = &zm_model_get_info(model)->whisper;
        assert_int_equal(w->end_token, 9);
        assert_int_equal(w->suppress_count, i ? 0 : 1);
        assert_int_equal(w->begin_suppress_count, 0);
        assert_int_equal(w->transcribe_token, -1);
        assert_int_equal(w->translate_token, -1);
        assert_int_equal(w->first_language_token, -1);
        assert_int_equal(w->language_count, 0);
        zm_model_close(&model);
    }
}

int main(void)
{
    print_message("seed %u\n", SMALL_SEED);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_config),
        IN_FOLDER(test_generation_config),
        IN_FOLDER(test_english_only),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
