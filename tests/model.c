/* SPDX-License-Identifier: Apache-2.0 */
/* Opening models: a small Whisper written here, then everything that can be wrong with it. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "model/architecture.h"
#include "scratch.h"
#include "small_whisper.h"

#define BAD ZM_ERROR_BAD_FORMAT
#define UNSUPPORTED ZM_ERROR_UNSUPPORTED

/* ---- assertions ---- */

static zm_model *assert_opens(const char *path, unsigned warnings)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, &log.log, &model);
    if (status != ZM_OK)
        print_error("%s\n", log.error);
    assert_int_equal(status, ZM_OK);
    assert_int_equal(log.errors, 0);
    assert_int_equal(log.warnings, warnings);
    return model;
}

static void assert_refused(const char *path, zm_status expected, const char *message)
{
    scratch_log log;
    scratch_log_init(&log);
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, &log.log, &model);
    if (status != expected || !strstr(log.error, message))
        print_error("expected '%s', got %s '%s'\n", message, zm_status_name(status), log.error);
    assert_int_equal(status, expected);
    assert_null(model);
    assert_int_equal(log.errors, 1);
    assert_non_null(strstr(log.error, message));
    assert_int_equal(zm_model_open(path, NULL, &model), expected);
}

/* text with its first `from` replaced by `to` */
static void assert_text_refused(void *const *state, const char *name, const char *text,
                                const char *from, const char *to, zm_status status,
                                const char *message)
{
    char changed[2048];
    const char *place = strstr(text, from);
    assert_non_null(place);
    snprintf(changed, sizeof(changed), "%.*s%s%s", (int)(place - text), text, to,
             place + strlen(from));
    small_write_text(state, name, changed);
    assert_refused(*state, status, message);
    small_write_text(state, name, text);
}

/* ---- tests ---- */

static void test_opens(void **state)
{
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 0);
    const zm_model_info *info = zm_model_get_info(model);
    const zm_whisper_info *w = &info->whisper;
    assert_string_equal(info->path, *state);
    assert_int_equal(info->architecture, ZM_ARCHITECTURE_WHISPER);
    assert_string_equal(info->architecture_name, "whisper");
    assert_int_equal(info->norm, ZM_NORM_LAYER);
    assert_true(info->eps == 1e-5f);
    assert_int_equal(info->tensor_count, m.count);
    assert_int_equal(info->bytes, 2 * info->parameters);
    const uint32_t sizes[] = {w->mel_bins,       w->d,
                              w->encoder_layers, w->encoder_heads,
                              w->encoder_ff,     w->encoder_positions,
                              w->decoder_layers, w->decoder_heads,
                              w->decoder_ff,     w->decoder_positions,
                              w->vocabulary,     w->language_count};
    const uint32_t expected_sizes[] = {4, 8, 1, 2, 12, 6, 2, 4, 12, 5, 30, 3};
    assert_memory_equal(sizes, expected_sizes, sizeof(sizes));
    const int32_t tokens[] = {w->start_token,           w->end_token,        w->no_timestamps_token,
                              w->first_timestamp_token, w->transcribe_token, w->translate_token,
                              w->first_language_token};
    const int32_t expected_tokens[] = {11, 10, 19, 20, 16, 15, 12};
    assert_memory_equal(tokens, expected_tokens, sizeof(tokens));
    const int32_t suppress[] = {1, 2, 29}, begin_suppress[] = {3, 10};
    assert_int_equal(w->suppress_count, 3);
    assert_memory_equal(w->suppress, suppress, sizeof(suppress));
    assert_int_equal(w->begin_suppress_count, 2);
    assert_memory_equal(w->begin_suppress, begin_suppress, sizeof(begin_suppress));
    zm_model_close(&model);
    assert_null(model);
    zm_model_close(&model);
    zm_model_close(NULL);
    model = assert_opens(scratch_path(state, "model.safetensors"), 0);
    zm_model_close(&model);
}

static void test_lookup(void **state)
{
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 0);
    for (size_t i = 0; i < m.count; i++) {
        const zm_model_tensor *tensor = zm_model_find_tensor(model, m.names[i]);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, m.names[i]);
        assert_memory_equal(tensor->shape, m.tensors[i].shape, sizeof(tensor->shape));
        if (i > 0)
            assert_true(strcmp(zm_model_get_tensor(model, i - 1)->name,
                               zm_model_get_tensor(model, i)->name) < 0);
    }
    assert_null(zm_model_get_tensor(model, m.count));
    assert_null(zm_model_find_tensor(model, ""));
    assert_null(zm_model_find_tensor(model, "model.encoder.conv1"));
    assert_null(zm_model_find_tensor(model, "zzz"));
    assert_null(zm_model_get_metadata(model, "zeromean.norm"));
    zm_model_close(&model);
}

/* Each tensor in turn is missing, of a wrong shape, of a wrong rank, of an integer type. */
static void test_each_tensor(void **state)
{
    small_whisper whole;
    small_init(&whole);
    for (size_t i = 0; i < whole.count; i++) {
        char message[320];
        small_whisper m;
        small_init(&m);
        m.tensors[i] = m.tensors[--m.count];
        small_write(state, &m);
        snprintf(message, sizeof(message), "tensor %s [", whole.names[i]);
        assert_refused(*state, BAD, message);

        small_init(&m);
        m.tensors[i].shape[m.tensors[i].rank - 1]++;
        small_write(state, &m);
        snprintf(message, sizeof(message), "tensor %s has the shape [", whole.names[i]);
        assert_refused(*state, BAD, message);

        small_init(&m);
        m.tensors[i].shape[m.tensors[i].rank++] = 1;
        small_write(state, &m);
        assert_refused(*state, BAD, message);

        small_init(&m);
        m.tensors[i].dtype = ZM_I32;
        small_write(state, &m);
        snprintf(message, sizeof(message), "tensor %s is i32", whole.names[i]);
        assert_refused(*state, UNSUPPORTED, message);
    }
}

static void test_shape_message(void **state)
{
    small_whisper m;
    small_init(&m);
    small_find(&m, "model.encoder.conv1.weight")->shape[1] = 5;
    small_write(state, &m);
    assert_refused(*state, BAD,
                   "tensor model.encoder.conv1.weight has the shape [8][5][3], expected [8][4][3]");
    small_init(&m);
    small_find(&m, "model.decoder.layer_norm.bias")->rank = 0;
    small_write(state, &m);
    assert_refused(*state, BAD, "has the shape of a scalar, expected [8]");
}

static void test_floating_types(void **state)
{
    static const zm_dtype types[] = {ZM_F32, ZM_BF16, ZM_F64, ZM_F16};
    for (size_t t = 0; t < 4; t++) {
        small_whisper m;
        small_init(&m);
        for (size_t i = 0; i < m.count; i++)
            m.tensors[i].dtype = types[t];
        small_write(state, &m);
        zm_model *model = assert_opens(*state, 0);
        zm_model_close(&model);
    }
}

static void test_extra_tensors(void **state)
{
    static const char *const extra[] = {
        "unknown",
        "model.encoder.layers.1.fc1.bias",  /* there is one layer */
        "model.decoder.layers.00.fc1.bias", /* no way to write 0 */
        "model.decoder.layers.4294967296.fc1.bias",
        "model.decoder.layers..fc1.bias",
        "model.encoder.layers.0.encoder_attn.q_proj.bias",
    };
    for (size_t i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
        scratch_log log;
        scratch_log_init(&log);
        small_whisper m;
        small_init(&m);
        small_add(&m, "", extra[i], 1, 12, 0);
        small_write(state, &m);
        zm_model *model = NULL;
        assert_int_equal(zm_model_open(*state, &log.log, &model), ZM_OK);
        assert_int_equal(log.warnings, 1);
        assert_non_null(strstr(log.warning, extra[i]));
        assert_int_equal(zm_tensor_role_get(model, extra[i]), ZM_ROLE_NONE);
        zm_model_close(&model);
    }
    small_whisper m;
    small_init(&m);
    for (char c = 'a'; c <= 'i'; c++) {
        char name[3] = {'x', c, '\0'};
        small_add(&m, "", name, 1, 1, 0);
    }
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 1); /* in one line */
    zm_model_close(&model);
}

static void test_head(void **state)
{
    small_whisper m;
    small_init(&m);
    small_add(&m, "", "proj_out.weight", 2, SMALL_VOCABULARY, SMALL_D);
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 0);
    assert_int_equal(zm_tensor_role_get(model, "proj_out.weight"), ZM_ROLE_HEAD);
    zm_model_close(&model);
    static const uint8_t other[SMALL_VOCABULARY * SMALL_D * 2] = {
        [SMALL_VOCABULARY * SMALL_D * 2 - 1] = 1};
    m.tensors[m.count - 1].data = other;
    small_write(state, &m);
    assert_refused(*state, UNSUPPORTED, "proj_out.weight differs");
    m.tensors[m.count - 1].data = NULL;
    m.tensors[m.count - 1].shape[0]++;
    small_write(state, &m);
    assert_refused(*state, BAD, "tensor proj_out.weight has the shape [31][8], expected [30][8]");
}

static void test_roles(void **state)
{
    static const struct {
        const char *name;
        zm_tensor_role role;
    } roles[] = {
        {"model.encoder.conv1.weight", ZM_ROLE_INPUT},
        {"model.encoder.conv2.bias", ZM_ROLE_INPUT},
        {"model.encoder.embed_positions.weight", ZM_ROLE_POSITION},
        {"model.encoder.layers.0.self_attn.out_proj.weight", ZM_ROLE_WRITER_WEIGHT},
        {"model.encoder.layers.0.self_attn.out_proj.bias", ZM_ROLE_WRITER_BIAS},
        {"model.encoder.layers.0.fc2.weight", ZM_ROLE_WRITER_WEIGHT},
        {"model.encoder.layers.0.fc2.bias", ZM_ROLE_WRITER_BIAS},
        {"model.encoder.layers.0.fc1.weight", ZM_ROLE_READER_WEIGHT},
        {"model.encoder.layers.0.fc1.bias", ZM_ROLE_READER_BIAS},
        {"model.encoder.layer_norm.weight", ZM_ROLE_NORM_WEIGHT},
        {"model.decoder.embed_tokens.weight", ZM_ROLE_EMBEDDING},
        {"model.decoder.embed_positions.weight", ZM_ROLE_POSITION},
        {"model.decoder.layers.1.encoder_attn.out_proj.weight", ZM_ROLE_WRITER_WEIGHT},
        {"model.decoder.layers.1.encoder_attn.out_proj.bias", ZM_ROLE_WRITER_BIAS},
        {"model.decoder.layers.1.encoder_attn.k_proj.weight", ZM_ROLE_READER_WEIGHT},
        {"model.decoder.layers.0.final_layer_norm.bias", ZM_ROLE_NORM_BIAS},
        {"proj_out.weight", ZM_ROLE_HEAD},
        {"model.decoder.layers.2.fc2.weight", ZM_ROLE_NONE},
        {"model.encoder.conv3.weight", ZM_ROLE_NONE},
        {"", ZM_ROLE_NONE},
    };
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 0);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        assert_int_equal(zm_tensor_role_get(model, roles[i].name), roles[i].role);
    size_t writers = 0;
    for (size_t i = 0; i < m.count; i++) {
        zm_tensor_role role = zm_tensor_role_get(model, m.names[i]);
        assert_int_not_equal(role, ZM_ROLE_NONE);
        writers += role == ZM_ROLE_WRITER_WEIGHT || role == ZM_ROLE_WRITER_BIAS;
    }
    assert_int_equal(writers, 2 * (2 + 3 + 3)); /* weight and bias: 2 branches, then 3 per layer */
    zm_model_close(&model);
    uint32_t layer = 9;
    const zm_architecture_desc *desc = zm_architecture_get(ZM_ARCHITECTURE_WHISPER);
    assert_ptr_equal(desc, zm_architecture_find("whisper"));
    assert_non_null(zm_tensor_pattern_find(desc, "model.decoder.layers.17.fc2.bias", &layer));
    assert_int_equal(layer, 17);
    assert_null(zm_architecture_get(ZM_ARCHITECTURE_NONE));
    assert_null(zm_architecture_find("gpt2"));
}

static void test_metadata(void **state)
{
    small_whisper m;
    small_init(&m);
    zm_metadata converted[] = {{"zeromean.format", "1"}, {"zeromean.norm", "rms_norm"}};
    m.metadata = converted;
    m.metadata_count = 2;
    small_write(state, &m);
    zm_model *model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_RMS);
    assert_string_equal(zm_model_get_metadata(model, "zeromean.norm"), "rms_norm");
    assert_null(zm_model_get_metadata(model, "zeromean"));
    zm_model_close(&model);
    converted[1].value = (char[]){"layer_norm"};
    small_write(state, &m);
    model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_LAYER);
    zm_model_close(&model);
    converted[1].value = (char[]){"crms_norm"};
    small_write(state, &m);
    assert_refused(*state, UNSUPPORTED, "the norm crms_norm is not supported");
    converted[0].value = (char[]){"2"};
    small_write(state, &m);
    assert_refused(*state, UNSUPPORTED, "was written in format 2, this version reads format 1");
}

static void test_config(void **state)
{
    static const struct {
        const char *from, *to;
        zm_status status;
        const char *message;
    } changes[] = {
        {"whisper", "gpt2", UNSUPPORTED, "the architecture gpt2 is not supported"},
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
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_text_refused(state, "config.json", small_config, changes[i].from, changes[i].to,
                            changes[i].status, changes[i].message);
    static const char with_eps[] = "{\"layer_norm_eps\":0.001,";
    char text[2048];
    snprintf(text, sizeof(text), "%s%s", with_eps, small_config + 1);
    small_write_text(state, "config.json", text);
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
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
        assert_text_refused(state, "generation_config.json", small_generation_config,
                            changes[i].from, changes[i].to, BAD, changes[i].message);
    unlink(scratch_path(state, "generation_config.json"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "generation_config.json");
    unlink(scratch_path(state, "config.json"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "config.json");
}

/* English-only, with what older models have in config.json. */
static void test_english_only(void **state)
{
    small_whisper m;
    small_init(&m);
    small_write(state, &m);
    char text[2048];
    snprintf(text, sizeof(text), "{\"eos_token_id\":9,\"suppress_tokens\":[5],%s",
             small_config + 1);
    small_write_text(state, "config.json", text);
    static const char *const generations[] = {
        "{\"decoder_start_token_id\":11,\"no_timestamps_token_id\":19}",
        "{\"decoder_start_token_id\":11,\"no_timestamps_token_id\":19,\"suppress_tokens\":null,"
        "\"is_multilingual\":false,\"lang_to_id\":{\"<|en|>\":12}}",
    };
    for (size_t i = 0; i < 2; i++) {
        small_write_text(state, "generation_config.json", generations[i]);
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

/* ---- shards ---- */

static void write_index(void *const *state, const small_whisper *m, size_t split)
{
    static char text[20000];
    int used = snprintf(text, sizeof(text), "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (size_t i = 0; i < m->count; i++)
        used +=
            snprintf(text + used, sizeof(text) - (size_t)used, "%s\"%s\":\"part%d.safetensors\"",
                     i ? "," : "", m->names[i], i < split ? 1 : 2);
    snprintf(text + used, sizeof(text) - (size_t)used, "}}");
    small_write_text(state, "model.safetensors.index.json", text);
}

static void write_shards(void *const *state, const small_whisper *m, size_t split)
{
    small_write_configs(state);
    small_write_tensors(state, "part1.safetensors", m, 0, split);
    small_write_tensors(state, "part2.safetensors", m, split, m->count - split);
    write_index(state, m, split);
}

static void test_shards(void **state)
{
    small_whisper m;
    small_init(&m);
    size_t split = m.count / 3;
    write_shards(state, &m, split);
    zm_model *model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->tensor_count, m.count);
    for (size_t i = 0; i < m.count; i++)
        assert_non_null(zm_model_find_tensor(model, m.names[i]));
    zm_model_close(&model);
    /* one shard alone is not the model */
    assert_refused(scratch_path(state, "part1.safetensors"), BAD, "is missing");
    write_index(state, &m, split + 1);
    assert_refused(*state, BAD, "part2.safetensors, the weight_map says part1.safetensors");
    m.count--;
    write_index(state, &m, split);
    assert_refused(*state, BAD, "is not in the weight_map");
    small_add(&m, "", "ghost", 1, 1, 0);
    small_add(&m, "", "ghost2", 1, 1, 0);
    small_whisper shown = m;
    memcpy(shown.names[shown.count - 2], "model.decoder.layer_norm.bias",
           sizeof("model.decoder.layer_norm.bias"));
    write_index(state, &shown, split);
    assert_refused(*state, BAD, "tensor ghost2 is not in part2.safetensors");
    unlink(scratch_path(state, "part2.safetensors"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "part2.safetensors");
    unlink(scratch_path(state, "model.safetensors.index.json"));
    assert_refused(*state, ZM_ERROR_NOT_FOUND,
                   "has neither model.safetensors nor model.safetensors.index.json");
}

static void test_bad_index(void **state)
{
    static const char *const texts[] = {
        "{}",
        "{\"weight_map\":[]}",
        "{\"weight_map\":{}}",
        "{\"weight_map\":{\"a\":1}}",
        "{\"weight_map\":{\"a\":\"\"}}",
        "{\"weight_map\":{\"a\":\"..\"}}",
        "{\"weight_map\":{\"a\":\"../part1.safetensors\"}}",
        "{\"weight_map\":{\"a\":\"/etc/passwd\"}}",
        "{\"weight_map\":{\"a\":\"b\",\"a\":\"b\"}}",
        "nonsense",
    };
    small_write_configs(state);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        small_write_text(state, "model.safetensors.index.json", texts[i]);
        assert_refused(*state, BAD, "model.safetensors.index.json");
    }
}

/* ---- paths, leaks, real models ---- */

static void test_paths(void **state)
{
    zm_model *model = NULL;
    assert_int_equal(zm_model_open(NULL, NULL, &model), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_model_open("", NULL, &model), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_model_open(*state, NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_refused(scratch_path(state, "missing"), ZM_ERROR_NOT_FOUND, "no such model");
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "config.json");
    small_write_configs(state);
    assert_refused(*state, ZM_ERROR_NOT_FOUND, "has neither");
    assert_refused(scratch_path(state, "config.json"), BAD, "is neither a model directory");
    small_write_text(state, "model.safetensors", "");
    assert_refused(*state, BAD, "0 bytes are too few");
    /* a name without a folder means the folder where we are */
    small_whisper m;
    char before[1024];
    small_init(&m);
    small_write(state, &m);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(*state), 0);
    model = assert_opens("model.safetensors", 0);
    zm_model_close(&model);
    assert_int_equal(chdir(before), 0);
}

static void test_open_close(void **state)
{
    small_whisper m;
    small_init(&m);
    write_shards(state, &m, 3);
    unsigned descriptors = scratch_count("/proc/self/fd");
    for (int i = 0; i < 1000; i++) {
        zm_model *model = NULL;
        assert_int_equal(zm_model_open(*state, NULL, &model), ZM_OK);
        zm_model_close(&model);
    }
    assert_int_equal(scratch_count("/proc/self/fd"), descriptors);
}

static void test_real_model(void **state)
{
    (void)state;
    const char *models = getenv("ZEROMEAN_MODELS_DIR");
    char path[1024];
    snprintf(path, sizeof(path), "%s/whisper-tiny.en", models ? models : TEST_MODELS_DIR);
    struct stat info;
    if (stat(path, &info) != 0)
        skip();
    zm_model *model = assert_opens(path, 0);
    const zm_model_info *i = zm_model_get_info(model);
    assert_int_equal(i->tensor_count, 167);
    assert_int_equal(i->parameters, 37760256);
    assert_int_equal(i->whisper.first_timestamp_token, 50363);
    assert_int_equal(i->whisper.suppress_count, 90);
    assert_int_equal(i->whisper.language_count, 0);
    zm_model_close(&model);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_opens),
        IN_FOLDER(test_lookup),
        IN_FOLDER(test_each_tensor),
        IN_FOLDER(test_shape_message),
        IN_FOLDER(test_floating_types),
        IN_FOLDER(test_extra_tensors),
        IN_FOLDER(test_head),
        IN_FOLDER(test_roles),
        IN_FOLDER(test_metadata),
        IN_FOLDER(test_config),
        IN_FOLDER(test_generation_config),
        IN_FOLDER(test_english_only),
        IN_FOLDER(test_shards),
        IN_FOLDER(test_bad_index),
        IN_FOLDER(test_paths),
        IN_FOLDER(test_open_close),
        cmocka_unit_test(test_real_model),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
