/* SPDX-License-Identifier: Apache-2.0 */
#include "model_files.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "common/half.h"
#include "format/json.h"
#include "model/architecture.h"
#include "support/folder.h"
#include "support/random.h"
#include "tensor_list.h"

/* ---- files ---- */

char *test_format(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    assert_true(vasprintf(&text, format, args) >= 0);
    va_end(args);
    return text;
}

void test_write_text(const char *directory, const char *name, const char *text)
{
    char *path = test_format("%s/%s", directory, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    free(path);
}

char *test_read_file(const char *directory, const char *name, size_t *size)
{
    char *path = test_format("%s/%s", directory, name), *bytes = NULL;
    if (zm_file_read(path, UINT64_MAX, NULL, &bytes, size) != ZM_OK)
        bytes = NULL;
    free(path);
    return bytes;
}

/* ---- configurations ---- */

/* Where a number stands in JSON and in zm_whisper_info, and what it is by default. */
typedef struct field {
    const char *name;
    size_t offset;
    uint32_t usual;
} field;

#define AT(member) offsetof(zm_whisper_info, member)

static const field sizes[] = {
    {"num_mel_bins", AT(mel_bins), TEST_MEL_BINS},
    {"d_model", AT(d), TEST_D},
    {"encoder_layers", AT(encoder_layers), TEST_LAYERS},
    {"encoder_attention_heads", AT(encoder_heads), TEST_HEADS},
    {"encoder_ffn_dim", AT(encoder_ff), TEST_ENCODER_FF},
    {"max_source_positions", AT(encoder_positions), TEST_POSITIONS},
    {"decoder_layers", AT(decoder_layers), TEST_LAYERS},
    {"decoder_attention_heads", AT(decoder_heads), TEST_HEADS},
    {"decoder_ffn_dim", AT(decoder_ff), TEST_DECODER_FF},
    {"max_target_positions", AT(decoder_positions), TEST_TOKENS},
    {"vocab_size", AT(vocabulary), TEST_VOCABULARY},
};
static const field tokens[] = {
    {"eos_token_id", AT(end_token), 90},
    {"decoder_start_token_id", AT(start_token), 91},
    {"no_timestamps_token_id", AT(no_timestamps_token), 94},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void put_fields(json_t *json, const field *fields, size_t count, zm_whisper_info *info)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t number;
        memcpy(&number, (char *)info + fields[i].offset, sizeof(number));
        number = number ? number : fields[i].usual;
        memcpy((char *)info + fields[i].offset, &number, sizeof(number));
        json_object_set_new(json, fields[i].name, json_integer(number));
    }
}

static void put_list(json_t *json, const char *name, const int32_t *list, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(list[i]));
    json_object_set_new(json, name, array);
}

static void put_languages(json_t *json, const zm_whisper_info *info)
{
    static const char *const names[] = {"<|en|>", "<|de|>", "<|fr|>"};
    json_t *languages = json_object();
    assert_true(info->language_count <= COUNT(names));
    for (uint32_t i = info->language_count; i-- > 0;) /* the order says nothing */
        json_object_set_new(languages, names[i],
                            json_integer(info->first_language_token + (int32_t)i));
    json_object_set_new(json, "lang_to_id", languages);
    json_object_set_new(json, "task_to_id",
                        json_pack("{s:i, s:i}", "translate", info->translate_token, "transcribe",
                                  info->transcribe_token));
}

static void write_json(const char *directory, const char *name, json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    assert_non_null(text);
    test_write_text(directory, name, text);
    free(text);
    json_decref(json);
}

/* Fills in what info leaves to the defaults. */
static void write_configs(const char *directory, const test_whisper *how, zm_whisper_info *info)
{
    json_t *config = json_pack("{s:s, s:s, s:b}", "model_type", "whisper", "activation_function",
                               "gelu", "scale_embedding", 0);
    if (how->eps > 0)
        json_object_set_new(config, "layer_norm_eps", json_real(how->eps));
    put_fields(config, sizes, COUNT(sizes), info);
    write_json(directory, "config.json", config);

    json_t *generation = json_pack("{s:b}", "is_multilingual", info->language_count > 0);
    put_fields(generation, tokens, COUNT(tokens), info);
    put_list(generation, "suppress_tokens", info->suppress, info->suppress_count);
    put_list(generation, "begin_suppress_tokens", info->begin_suppress, info->begin_suppress_count);
    if (info->language_count > 0)
        put_languages(generation, info);
    write_json(directory, "generation_config.json", generation);
    test_write_text(directory, "tokenizer.json", "{\"added_tokens\": []}\n");
}

/* ---- weights ---- */

/* Half the width of the values and their mean. */
static void role_range(zm_tensor_role role, uint64_t inputs, double *scale, double *offset)
{
    double width = 1.7 / sqrt((double)inputs);
    *scale = width;
    *offset = 0.02;
    if (role == ZM_ROLE_NORM_WEIGHT)
        *scale = 0.3, *offset = 1.0;
    else if (role == ZM_ROLE_WRITER_WEIGHT)
        *scale = width, *offset = 0.4 * width;
    else if (role == ZM_ROLE_WRITER_BIAS)
        *scale = 0.3, *offset = 0.7;
    else if (role == ZM_ROLE_POSITION || role == ZM_ROLE_EMBEDDING)
        *scale = 0.8, *offset = role == ZM_ROLE_POSITION ? -0.6 : 0.3;
    else if (role == ZM_ROLE_NORM_BIAS || role == ZM_ROLE_READER_BIAS)
        *scale = 0.2, *offset = 0.1;
}

static bool is(const char *wanted, const char *name)
{
    return wanted && strcmp(wanted, name) == 0;
}

/* Its own seed for each tensor: no tensor changes with the shapes of those before it. */
static void fill(const test_whisper *how, const zm_model_tensor *tensor, zm_tensor_role role,
                 void *data)
{
    uint64_t state = how->seed;
    for (const char *c = tensor->name; *c; c++)
        state = test_random(&state) + (unsigned char)*c;
    double scale, offset;
    role_range(role, tensor->rank > 1 ? tensor->elements / tensor->shape[0] : 1, &scale, &offset);
    if (is(how->moved, tensor->name))
        offset += how->moved_by;
    for (uint64_t i = 0; i < tensor->elements; i++)
        zm_store_real(data, tensor->dtype, i,
                      test_random_between(&state, offset - scale, offset + scale));
    if (is(how->edited, tensor->name))
        zm_store_real(data, tensor->dtype, how->edited_index, how->edited_value);
}

static void add_tensor(tensor_list *list, const test_whisper *how, const zm_tensor_pattern *pattern,
                       const uint64_t *numbers, uint64_t layer)
{
    const char *star = strchr(pattern->name, '*');
    char *name = star ? test_format("%.*s%llu%s", (int)(star - pattern->name), pattern->name,
                                    (unsigned long long)layer, star + 1)
                      : test_format("%s", pattern->name);
    zm_model_tensor tensor = {.name = tensor_list_own(list, name),
                              .dtype = how->type && !is(how->odd_one, name) ? how->type : ZM_F32,
                              .rank = pattern->rank};
    for (uint32_t i = 0; i < pattern->rank; i++)
        tensor.shape[i] = numbers[pattern->shape[i]];
    const zm_model_tensor *added = tensor_list_add(list, &tensor);
    fill(how, added, pattern->role, (void *)(uintptr_t)added->data); /* the list's own zeros */
}

static void assert_there(const tensor_list *list, const char *name)
{
    bool there = name == NULL;
    for (size_t i = 0; i < list->count; i++)
        there |= is(name, list->tensors[i].name);
    if (!there)
        fail_msg("no tensor %s", name);
}

static tensor_list *make_tensors(const test_whisper *how, const zm_whisper_info *info)
{
    uint64_t numbers[ZM_SIZE_COUNT] = {0};
    const zm_model_info model = {.whisper = *info};
    const zm_architecture_desc *desc = zm_architecture_find("whisper");
    assert_non_null(desc);
    desc->sizes(&model, numbers);
    tensor_list *list = tensor_list_make();
    for (size_t i = 0; i < desc->pattern_count; i++)
        for (uint64_t l = 0; l < numbers[desc->patterns[i].layers]; l++)
            if (!desc->patterns[i].optional)
                add_tensor(list, how, &desc->patterns[i], numbers, l);
    assert_there(list, how->odd_one);
    assert_there(list, how->edited);
    assert_there(list, how->moved);
    tensor_list_say(list, "format", "pt");
    if (how->norm)
        tensor_list_say_norm(list, how->norm, "1");
    return list;
}

/* One more space in the header of a safetensors file: a byte more before every tensor. */
static void shift_tensors(const char *path)
{
    char *data = NULL;
    size_t size = 0;
    assert_int_equal(zm_file_read(path, UINT32_MAX, NULL, &data, &size), ZM_OK);
    uint64_t header;
    memcpy(&header, data, 8);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    uint64_t longer = header + 1;
    size_t done = fwrite(&longer, 8, 1, file) + fwrite(data + 8, header, 1, file) +
                  fwrite(" ", 1, 1, file) + fwrite(data + 8 + header, size - 8 - header, 1, file);
    assert_int_equal(done, 4);
    assert_int_equal(fclose(file), 0);
    free(data);
}

void test_write_whisper(const char *directory, const test_whisper *how)
{
    zm_whisper_info info = how->info;
    mkdir(directory, 0777);
    write_configs(directory, how, &info);
    tensor_list *list = make_tensors(how, &info);
    char *path = test_format("%s/model.safetensors", directory);
    tensor_list_write(list, path, 0, list->count);
    if (how->unaligned)
        shift_tensors(path);
    free(path);
    tensor_list_free(list);
}

char *test_make_whisper(const test_whisper *how)
{
    char *folder = test_folder_make();
    assert_non_null(folder);
    test_write_whisper(folder, how);
    return folder;
}

float *test_mel(uint64_t seed)
{
    float *mel = malloc(TEST_FRAMES * TEST_MEL_BINS * sizeof(float));
    assert_non_null(mel);
    for (size_t i = 0; i < TEST_FRAMES * TEST_MEL_BINS; i++)
        mel[i] = (float)test_random_between(&seed, -1, 1.5);
    return mel;
}
