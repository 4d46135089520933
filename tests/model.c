/* SPDX-License-Identifier: Apache-2.0 */
/* Opening models: a small Whisper written here, then everything that can be wrong with it. */
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

#include "format/json.h"
#include "model/architecture.h"
#include "scratch.h"
#include "small_whisper.h"

#define BAD ZM_ERROR_BAD_FORMAT
#define UNSUPPORTED ZM_ERROR_UNSUPPORTED

/* ---- tests ---- */

static void test_opens(void **state)
{
    test_write_whisper(*state, &small_whisper);
    zm_model *model = assert_opens(*state, 0);
    const zm_model_info *info = zm_model_get_info(model);
    const zm_whisper_info *w = &info->whisper;
    assert_string_equal(info->path, *state);
    assert_int_equal(info->architecture, ZM_ARCHITECTURE_WHISPER);
    assert_string_equal(info->architecture_name, "whisper");
    assert_int_equal(info->norm, ZM_NORM_LAYER);
    assert_true(info->eps == 1e-5f);
    assert_int_equal(info->tensor_count, SMALL_TENSORS);
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
    const int32_t expected_suppress[] = {1, 2, 29}, expected_begin[] = {3, 10};
    assert_int_equal(w->suppress_count, 3);
    assert_memory_equal(w->suppress, expected_suppress, sizeof(expected_suppress));
    assert_int_equal(w->begin_suppress_count, 2);
    assert_memory_equal(w->begin_suppress, expected_begin, sizeof(expected_begin));
    zm_model_close(&model);
    assert_null(model);
    zm_model_close(&model);
    zm_model_close(NULL);
    model = assert_opens(scratch_path(state, "model.safetensors"), 0);
    zm_model_close(&model);
}

/* Shapes of each kind, by hand. */
static void assert_shapes(const zm_model *model)
{
    static const struct {
        const char *name;
        uint32_t rank;
        uint64_t shape[4];
    } shapes[] = {
        {"model.encoder.conv1.weight", 3, {8, 4, 3}},
        {"model.encoder.conv2.weight", 3, {8, 8, 3}},
        {"model.encoder.conv1.bias", 1, {8}},
        {"model.encoder.embed_positions.weight", 2, {6, 8}},
        {"model.encoder.layers.0.fc1.weight", 2, {12, 8}},
        {"model.encoder.layers.0.fc1.bias", 1, {12}},
        {"model.encoder.layers.0.fc2.weight", 2, {8, 12}},
        {"model.encoder.layer_norm.bias", 1, {8}},
        {"model.decoder.embed_tokens.weight", 2, {30, 8}},
        {"model.decoder.embed_positions.weight", 2, {5, 8}},
        {"model.decoder.layers.1.encoder_attn.k_proj.weight", 2, {8, 8}},
        {"model.decoder.layers.1.final_layer_norm.weight", 1, {8}},
    };
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        const zm_model_tensor *tensor = zm_model_find_tensor(model, shapes[i].name);
        assert_non_null(tensor);
        assert_int_equal(tensor->rank, shapes[i].rank);
        assert_memory_equal(tensor->shape, shapes[i].shape, sizeof(tensor->shape));
    }
}

static void test_lookup(void **state)
{
    zm_safetensors *file = small_open_weights(state);
    zm_model *model = assert_opens(scratch_path(state, "whole"), 0);
    for (size_t i = 0; i < file->tensor_count; i++) {
        const zm_model_tensor *tensor = zm_model_find_tensor(model, file->tensors[i].name);
        assert_non_null(tensor);
        assert_string_equal(tensor->name, file->tensors[i].name);
        assert_memory_equal(tensor->shape, file->tensors[i].shape, sizeof(tensor->shape));
        if (i > 0)
            assert_true(strcmp(zm_model_get_tensor(model, i - 1)->name,
                               zm_model_get_tensor(model, i)->name) < 0);
    }
    assert_shapes(model);
    assert_null(zm_model_get_tensor(model, file->tensor_count));
    assert_null(zm_model_find_tensor(model, ""));
    assert_null(zm_model_find_tensor(model, "model.encoder.conv1"));
    assert_null(zm_model_find_tensor(model, "zzz"));
    assert_null(zm_model_get_metadata(model, "zeromean.norm"));
    zm_model_close(&model);
    zm_safetensors_close(&file);
}

/* Each tensor in turn is missing, of a wrong shape, of a wrong rank, of an integer type. */
static void test_each_tensor(void **state)
{
    zm_safetensors *file = small_open_weights(state);
    for (size_t i = 0; i < file->tensor_count; i++) {
        char message[320];
        zm_model_tensor tensor = file->tensors[i];
        small_write_changed(state, &(test_changes){.drop = tensor.name});
        snprintf(message, sizeof(message), "tensor %s [", tensor.name);
        assert_refused(*state, BAD, message);

        tensor.data = NULL;
        tensor.shape[tensor.rank - 1]++;
        small_write_put(state, &tensor);
        snprintf(message, sizeof(message), "tensor %s has the shape [", tensor.name);
        assert_refused(*state, BAD, message);

        tensor.shape[tensor.rank - 1]--;
        tensor.shape[tensor.rank++] = 1;
        small_write_put(state, &tensor);
        assert_refused(*state, BAD, message);

        tensor.rank--;
        tensor.dtype = ZM_I32;
        small_write_put(state, &tensor);
        snprintf(message, sizeof(message), "tensor %s is i32", tensor.name);
        assert_refused(*state, UNSUPPORTED, message);
    }
    zm_safetensors_close(&file);
}

static void test_shape_message(void **state)
{
    const zm_model_tensor wide = {.name = "model.encoder.conv1.weight",
                                  .dtype = ZM_F16,
                                  .rank = 3,
                                  .shape = {8, 5, 3}},
                          scalar = {.name = "model.decoder.layer_norm.bias", .dtype = ZM_F16};
    small_write_put(state, &wide);
    assert_refused(*state, BAD,
                   "tensor model.encoder.conv1.weight has the shape [8][5][3], expected [8][4][3]");
    small_write_put(state, &scalar);
    assert_refused(*state, BAD, "has the shape of a scalar, expected [8]");
}

static void test_floating_types(void **state)
{
    static const zm_dtype types[] = {ZM_F32, ZM_BF16, ZM_F64, ZM_F16};
    for (size_t t = 0; t < 4; t++) {
        test_whisper whisper = small_whisper;
        whisper.type = types[t];
        test_write_whisper(*state, &whisper);
        zm_model *model = assert_opens(*state, 0);
        assert_int_equal(zm_model_get_tensor(model, 0)->dtype, types[t]);
        zm_model_close(&model);
    }
}

static zm_model_tensor extra_tensor(const char *name, uint64_t n)
{
    return (zm_model_tensor){.name = name, .dtype = ZM_F16, .rank = 1, .shape = {n}};
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
        const zm_model_tensor tensor = extra_tensor(extra[i], 12);
        small_write_put(state, &tensor);
        zm_model *model = NULL;
        assert_int_equal(zm_model_open(*state, &log.log, &model), ZM_OK);
        assert_int_equal(log.warnings, 1);
        assert_non_null(strstr(log.warning, extra[i]));
        assert_int_equal(zm_tensor_role_get(model, extra[i]), ZM_ROLE_NONE);
        zm_model_close(&model);
    }
    static const char *const many[] = {"xa", "xb", "xc", "xd", "xe", "xf", "xg", "xh", "xi"};
    zm_model_tensor tensors[9];
    for (size_t i = 0; i < 9; i++)
        tensors[i] = extra_tensor(many[i], 1);
    small_write_changed(state, &(test_changes){.put = tensors, .put_count = 9});
    zm_model *model = assert_opens(*state, 1); /* in one line */
    zm_model_close(&model);
}

static void test_head(void **state)
{
    zm_safetensors *file = small_open_weights(state);
    zm_model *model = assert_opens(scratch_path(state, "whole"), 0);
    uint8_t table[SMALL_VOCABULARY * SMALL_D * 2];
    const zm_model_tensor *tokens =
        zm_model_find_tensor(model, "model.decoder.embed_tokens.weight");
    assert_int_equal(tokens->bytes, sizeof(table));
    memcpy(table, tokens->data, sizeof(table));
    zm_model_close(&model);
    zm_safetensors_close(&file);
    zm_model_tensor head = {.name = "proj_out.weight",
                            .dtype = ZM_F16,
                            .rank = 2,
                            .shape = {SMALL_VOCABULARY, SMALL_D},
                            .data = table};
    small_write_put(state, &head);
    model = assert_opens(*state, 0);
    assert_int_equal(zm_tensor_role_get(model, "proj_out.weight"), ZM_ROLE_HEAD);
    zm_model_close(&model);
    table[sizeof(table) - 1] ^= 1;
    small_write_put(state, &head);
    assert_refused(*state, UNSUPPORTED, "proj_out.weight differs");
    head.data = NULL;
    head.shape[0]++;
    small_write_put(state, &head);
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
    test_write_whisper(*state, &small_whisper);
    zm_model *model = assert_opens(*state, 0);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        assert_int_equal(zm_tensor_role_get(model, roles[i].name), roles[i].role);
    size_t writers = 0;
    for (size_t i = 0; i < SMALL_TENSORS; i++) {
        zm_tensor_role role = zm_tensor_role_get(model, zm_model_get_tensor(model, i)->name);
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
    small_write_changed(state, &(test_changes){.norm = "rms_norm", .format = "1"});
    zm_model *model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_RMS);
    assert_string_equal(zm_model_get_metadata(model, "zeromean.norm"), "rms_norm");
    assert_null(zm_model_get_metadata(model, "zeromean"));
    zm_model_close(&model);
    small_write_changed(state, &(test_changes){.norm = "layer_norm", .format = "1"});
    model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->norm, ZM_NORM_LAYER);
    zm_model_close(&model);
    small_write_changed(state, &(test_changes){.norm = "crms_norm", .format = "1"});
    assert_refused(*state, UNSUPPORTED, "the norm crms_norm is not supported");
    small_write_changed(state, &(test_changes){.norm = "crms_norm", .format = "3"});
    assert_refused(*state, UNSUPPORTED,
                   "was written in format 3, this version reads the formats 1 and 2");
}

/* ---- shards ---- */

#define PART1 "model-00001-of-00002.safetensors"
#define PART2 "model-00002-of-00002.safetensors"
#define LAST "model.encoder.layers.0.self_attn_layer_norm.weight" /* in order of name */

static void write_shards(void *const *state)
{
    small_write_changed(state, &(test_changes){.shards = 2});
}

/* The index says that the tensor is in part; NULL = does not name it. */
static void change_index(void *const *state, const char *tensor, const char *part)
{
    json_t *index = NULL;
    assert_int_equal(zm_json_read(scratch_path(state, INDEX), UINT32_MAX, NULL, &index), ZM_OK);
    json_t *map = json_object_get(index, "weight_map");
    int failed =
        part ? json_object_set_new(map, tensor, json_string(part)) : json_object_del(map, tensor);
    assert_int_equal(failed, 0);
    char *text = json_dumps(index, JSON_COMPACT);
    assert_non_null(text);
    test_write_text(*state, INDEX, text);
    free(text);
    json_decref(index);
}

static void test_shards(void **state)
{
    write_shards(state);
    zm_model *model = assert_opens(*state, 0);
    assert_int_equal(zm_model_get_info(model)->tensor_count, SMALL_TENSORS);
    zm_safetensors *file = small_open_weights(state);
    for (size_t i = 0; i < SMALL_TENSORS; i++)
        assert_non_null(zm_model_find_tensor(model, file->tensors[i].name));
    assert_string_equal(file->tensors[SMALL_TENSORS - 1].name, LAST);
    zm_safetensors_close(&file);
    zm_model_close(&model);
    /* one shard alone is not the model */
    assert_refused(scratch_path(state, PART1), BAD, "is missing");
    change_index(state, LAST, PART1);
    assert_refused(*state, BAD, PART2 ", the weight_map says " PART1);
    change_index(state, LAST, NULL);
    assert_refused(*state, BAD, "is not in the weight_map");
    change_index(state, LAST, PART2);
    change_index(state, "ghost", PART2);
    assert_refused(*state, BAD, "tensor ghost is not in " PART2);
    unlink(scratch_path(state, PART2));
    assert_refused(*state, ZM_ERROR_NOT_FOUND, PART2);
    unlink(scratch_path(state, INDEX));
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
        test_write_text(*state, INDEX, texts[i]);
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
    test_write_text(*state, WEIGHTS, "");
    assert_refused(*state, BAD, "0 bytes are too few");
    /* a name without a folder means the folder where we are */
    char before[1024];
    test_write_whisper(*state, &small_whisper);
    assert_non_null(getcwd(before, sizeof(before)));
    assert_int_equal(chdir(*state), 0);
    model = assert_opens("model.safetensors", 0);
    zm_model_close(&model);
    assert_int_equal(chdir(before), 0);
}

static void test_open_close(void **state)
{
    write_shards(state);
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
    print_message("seed %u\n", SMALL_SEED);
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, scratch_setup, scratch_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(test_opens),          IN_FOLDER(test_lookup),
        IN_FOLDER(test_each_tensor),    IN_FOLDER(test_shape_message),
        IN_FOLDER(test_floating_types), IN_FOLDER(test_extra_tensors),
        IN_FOLDER(test_head),           IN_FOLDER(test_roles),
        IN_FOLDER(test_metadata),       IN_FOLDER(test_shards),
        IN_FOLDER(test_bad_index),      IN_FOLDER(test_paths),
        IN_FOLDER(test_open_close),     cmocka_unit_test(test_real_model),
    };
    return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
