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
#include "format/safetensors.h"

#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"

enum { MAX_TENSORS = 4096, MAX_METADATA = 64 };

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

/* ---- a list of tensors on its way into a file ---- */

typedef struct tensor_list {
    zm_model_tensor tensors[MAX_TENSORS];
    void *owned[MAX_TENSORS]; /* bytes and names to free */
    size_t count, owned_count;
} tensor_list;

static void *own(tensor_list *list, void *memory)
{
    assert_non_null(memory);
    assert_true(list->owned_count < MAX_TENSORS);
    return list->owned[list->owned_count++] = memory;
}

static void list_free(tensor_list *list)
{
    for (size_t i = 0; i < list->owned_count; i++)
        free(list->owned[i]);
    free(list);
}

static void write_tensors(const char *path, const zm_model_tensor *tensors, size_t count,
                          const zm_metadata *metadata, size_t metadata_count)
{
    zm_safetensors_writer *writer = NULL;
    assert_int_equal(
        zm_safetensors_writer_open(path, tensors, count, metadata, metadata_count, NULL, &writer),
        ZM_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(
            zm_safetensors_writer_write(writer, tensors[i].data,
                                        tensors[i].elements * zm_dtype_size(tensors[i].dtype)),
            ZM_OK);
    assert_int_equal(zm_safetensors_writer_commit(&writer), ZM_OK);
}

static void write_shards(const char *directory, const tensor_list *list, unsigned shards,
                         const zm_metadata *metadata, size_t metadata_count)
{
    json_t *map = json_object();
    for (unsigned s = 0; s < shards; s++) {
        size_t begin = list->count * s / shards, end = list->count * (s + 1) / shards;
        char *name = test_format("model-%05u-of-%05u.safetensors", s + 1, shards);
        char *path = test_format("%s/%s", directory, name);
        write_tensors(path, list->tensors + begin, end - begin, metadata, metadata_count);
        for (size_t i = begin; i < end; i++)
            json_object_set_new(map, list->tensors[i].name, json_string(name));
        free(path);
        free(name);
    }
    json_t *root = json_pack("{s:{}, s:o}", "metadata", "weight_map", map);
    char *text = json_dumps(root, JSON_INDENT(1));
    test_write_text(directory, INDEX, text);
    free(text);
    json_decref(root);
}

/* ---- a made-up Whisper ---- */

/* printf formats of the size of the vocabulary. */
#define TOKENS                                                                      \
    "\"decoder_start_token_id\": 61, \"eos_token_id\": 60, \"bos_token_id\": 60,\n" \
    " \"pad_token_id\": 60, \"suppress_tokens\": [1, 2, 7], \"begin_suppress_tokens\": [3, 60]}\n"

static const char whisper_config[] =
    "{\"model_type\": \"whisper\", \"activation_function\": \"gelu\", \"d_model\": 32,\n"
    " \"encoder_layers\": 2, \"encoder_attention_heads\": 2, \"encoder_ffn_dim\": 64,\n"
    " \"decoder_layers\": 2, \"decoder_attention_heads\": 2, \"decoder_ffn_dim\": 48,\n"
    " \"max_source_positions\": 24, \"max_target_positions\": 40, \"num_mel_bins\": 80,\n"
    " \"vocab_size\": %u, \"scale_embedding\": false, \"is_encoder_decoder\": true,\n" TOKENS;
static const char whisper_generation[] =
    "{\"is_multilingual\": false, \"no_timestamps_token_id\": 63,\n" TOKENS;

static void fill_sizes(uint32_t vocabulary, uint64_t out[ZM_SIZE_COUNT])
{
    static const uint64_t sizes[ZM_SIZE_COUNT] = {
        [ZM_SIZE_ONE] = 1,
        [ZM_SIZE_KERNEL] = 3,
        [ZM_SIZE_D] = 32,
        [ZM_SIZE_MEL_BINS] = 80,
        [ZM_SIZE_ENCODER_LAYERS] = 2,
        [ZM_SIZE_ENCODER_FF] = 64,
        [ZM_SIZE_ENCODER_POSITIONS] = 24,
        [ZM_SIZE_DECODER_LAYERS] = 2,
        [ZM_SIZE_DECODER_FF] = 48,
        [ZM_SIZE_DECODER_POSITIONS] = 40,
    };
    memcpy(out, sizes, sizeof(sizes));
    out[ZM_SIZE_VOCABULARY] = vocabulary;
}

static double uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(*state >> 11) / 9007199254740992.0 - 0.5;
}

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

static void add_tensor(tensor_list *list, const zm_tensor_pattern *pattern, const uint64_t *sizes,
                       uint64_t layer, zm_dtype type, uint64_t *state)
{
    const char *star = strchr(pattern->name, '*');
    char *name = star ? test_format("%.*s%llu%s", (int)(star - pattern->name), pattern->name,
                                    (unsigned long long)layer, star + 1)
                      : test_format("%s", pattern->name);
    zm_model_tensor *tensor = &list->tensors[list->count++];
    *tensor = (zm_model_tensor){
        .name = own(list, name), .dtype = type, .rank = pattern->rank, .elements = 1};
    for (uint32_t i = 0; i < pattern->rank; i++) {
        tensor->shape[i] = sizes[pattern->shape[i]];
        tensor->elements *= tensor->shape[i];
    }
    double scale, offset;
    role_range(pattern->role, tensor->rank > 1 ? tensor->elements / tensor->shape[0] : 1, &scale,
               &offset);
    tensor->bytes = tensor->elements * zm_dtype_size(type);
    void *data = own(list, malloc(tensor->bytes));
    for (uint64_t i = 0; i < tensor->elements; i++)
        zm_store_real(data, type, i, 2.0 * scale * uniform(state) + offset);
    tensor->data = data;
}

void test_write_whisper(const char *directory, zm_dtype type, uint32_t vocabulary, uint64_t seed)
{
    uint64_t sizes[ZM_SIZE_COUNT];
    fill_sizes(vocabulary, sizes);
    const zm_architecture_desc *desc = zm_architecture_find("whisper");
    assert_non_null(desc);
    tensor_list *list = calloc(1, sizeof(*list));
    assert_non_null(list);
    for (size_t i = 0; i < desc->pattern_count; i++)
        for (uint64_t l = 0; l < sizes[desc->patterns[i].layers]; l++)
            if (!desc->patterns[i].optional)
                add_tensor(list, &desc->patterns[i], sizes, l, type, &seed);
    char key[] = "format", value[] = "pt";
    const zm_metadata metadata = {key, value};
    mkdir(directory, 0777);
    char *path = test_format("%s/" WEIGHTS, directory);
    write_tensors(path, list->tensors, list->count, &metadata, 1);
    free(path);
    list_free(list);
    char *config = test_format(whisper_config, vocabulary);
    test_write_text(directory, "config.json", config);
    free(config);
    test_write_text(directory, "generation_config.json", whisper_generation);
    test_write_text(directory, "tokenizer.json", "{\"added_tokens\": []}\n");
}

/* ---- edited copies ---- */

static void collect(tensor_list *list, const zm_safetensors *file, const test_changes *changes)
{
    static const float extra[4] = {1, 2, 3, 4};
    for (size_t i = 0; i < file->tensor_count; i++) {
        zm_model_tensor tensor = file->tensors[i];
        if (changes->drop && strcmp(tensor.name, changes->drop) == 0)
            continue;
        void *edited = changes->edit ? changes->edit(changes->user, &tensor) : NULL;
        if (edited)
            tensor.data = own(list, edited);
        if (changes->integer && strcmp(tensor.name, changes->integer) == 0) {
            tensor.dtype = ZM_I32;
            tensor.data = own(list, calloc(tensor.elements, 4));
        }
        list->tensors[list->count++] = tensor;
    }
    if (changes->add)
        list->tensors[list->count++] = (zm_model_tensor){.name = changes->add,
                                                         .dtype = ZM_F32,
                                                         .rank = 1,
                                                         .shape = {4},
                                                         .elements = 4,
                                                         .data = extra};
}

static size_t change_metadata(const zm_safetensors *file, const test_changes *changes,
                              zm_metadata *out)
{
    static char key[] = "zeromean.norm";
    static char value[32];
    size_t count = 0;
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!changes->norm || strncmp(file->metadata[i].key, "zeromean.", 9) != 0)
            out[count++] = file->metadata[i];
    if (changes->norm && *changes->norm) {
        snprintf(value, sizeof(value), "%s", changes->norm);
        out[count++] = (zm_metadata){key, value};
    }
    assert_true(count <= MAX_METADATA);
    return count;
}

static void copy_texts(const char *from, const char *to, const test_changes *changes)
{
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size;
        char *text = test_read_file(from, names[i], &size);
        assert_non_null(text);
        if (i == 0 && changes->eps) {
            assert_int_equal(text[0], '{');
            char *changed = test_format("{\"layer_norm_eps\": %s, %s", changes->eps, text + 1);
            free(text);
            text = changed;
        }
        test_write_text(to, names[i], text);
        free(text);
    }
}

void test_copy_model(const char *from, const char *to, const test_changes *changes)
{
    zm_safetensors *file = NULL;
    zm_metadata metadata[MAX_METADATA + 1];
    tensor_list *list = calloc(1, sizeof(*list));
    assert_non_null(list);
    char *path = test_format("%s/" WEIGHTS, from);
    assert_int_equal(zm_safetensors_open(path, NULL, &file), ZM_OK);
    assert_true(file->metadata_count < MAX_METADATA);
    free(path);
    collect(list, file, changes);
    size_t metadata_count = change_metadata(file, changes, metadata);
    mkdir(to, 0777);
    path = test_format("%s/" WEIGHTS, to);
    if (changes->shards > 1)
        write_shards(to, list, changes->shards, metadata, metadata_count);
    else
        write_tensors(path, list->tensors, list->count, metadata, metadata_count);
    free(path);
    copy_texts(from, to, changes);
    list_free(list);
    zm_safetensors_close(&file);
}
