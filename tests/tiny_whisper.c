/* SPDX-License-Identifier: Apache-2.0 */
#include "tiny_whisper.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/half.h"
#include "format/safetensors.h"
#include "scratch.h"

#define MAX_TENSORS 96
#define DECODER_FF 48

/* Random numbers and where their middle lies. */
typedef struct spread {
    double mean, width;
} spread;

static const spread reader = {0.03, 0.35}, writer = {0.06, 0.25}, bias = {0.6, 0.3},
                    gain = {1.0, 0.3}, shift = {0.05, 0.2}, place = {2.0, 1.0};

typedef struct builder {
    const tiny_params *params;
    zm_model_tensor tensors[MAX_TENSORS];
    spread spreads[MAX_TENSORS];
    size_t count;
} builder;

/* splitmix64 */
static uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double random_in(uint64_t *state, spread range)
{
    double u = (double)(random_bits(state) >> 11) / 9007199254740992.0;
    return range.mean + range.width * (2 * u - 1);
}

static void add(builder *self, const char *prefix, const char *name, spread range, uint32_t rank,
                uint64_t n, uint64_t k)
{
    assert(self->count < MAX_TENSORS);
    const char *odd = self->params->odd_one;
    char *full = malloc(160);
    assert(full);
    snprintf(full, 160, "%s%s", prefix, name);
    zm_dtype type =
        self->params->type && !(odd && strcmp(odd, full) == 0) ? self->params->type : ZM_F32;
    zm_model_tensor *t = &self->tensors[self->count];
    *t = (zm_model_tensor){.name = full, .dtype = type, .rank = rank, .shape = {n, k}};
    if (rank == 3) {
        t->shape[1] = k / 3;
        t->shape[2] = 3;
    }
    t->elements = n * (rank > 1 ? k : 1);
    self->spreads[self->count++] = range;
}

static void add_norm(builder *self, const char *prefix, const char *name)
{
    char part[96];
    snprintf(part, sizeof(part), "%s.weight", name);
    add(self, prefix, part, gain, 1, TINY_D, 1);
    snprintf(part, sizeof(part), "%s.bias", name);
    add(self, prefix, part, shift, 1, TINY_D, 1);
}

static void add_linear(builder *self, const char *prefix, const char *name, spread range,
                       uint64_t n, uint64_t k)
{
    char part[96];
    snprintf(part, sizeof(part), "%s.weight", name);
    add(self, prefix, part, range, 2, n, k);
    snprintf(part, sizeof(part), "%s.bias", name);
    if (!strstr(name, "k_proj"))
        add(self, prefix, part, bias, 1, n, 1);
}

static void add_attention(builder *self, const char *prefix, const char *name)
{
    static const char *const letters[] = {"q", "k", "v"};
    char part[64];
    snprintf(part, sizeof(part), "%s_layer_norm", name);
    add_norm(self, prefix, part);
    for (int i = 0; i < 3; i++) {
        snprintf(part, sizeof(part), "%s.%s_proj", name, letters[i]);
        add_linear(self, prefix, part, reader, TINY_D, TINY_D);
    }
    snprintf(part, sizeof(part), "%s.out_proj", name);
    add_linear(self, prefix, part, writer, TINY_D, TINY_D);
}

static void add_layers(builder *self, const char *side, bool cross, uint64_t ff)
{
    for (int i = 0; i < TINY_LAYERS; i++) {
        char prefix[64];
        snprintf(prefix, sizeof(prefix), "model.%s.layers.%d.", side, i);
        add_attention(self, prefix, "self_attn");
        if (cross)
            add_attention(self, prefix, "encoder_attn");
        add_norm(self, prefix, "final_layer_norm");
        add_linear(self, prefix, "fc1", reader, ff, TINY_D);
        add_linear(self, prefix, "fc2", writer, TINY_D, ff);
    }
}

static uint64_t encoder_ff(const tiny_params *params)
{
    return params->encoder_ff ? params->encoder_ff : 64;
}

static void add_all(builder *self)
{
    const char *encoder = "model.encoder.", *decoder = "model.decoder.";
    add(self, encoder, "conv1.weight", reader, 3, TINY_D, TINY_MEL_BINS * 3);
    add(self, encoder, "conv1.bias", bias, 1, TINY_D, 1);
    add(self, encoder, "conv2.weight", reader, 3, TINY_D, TINY_D * 3);
    add(self, encoder, "conv2.bias", bias, 1, TINY_D, 1);
    add(self, encoder, "embed_positions.weight", place, 2, TINY_POSITIONS, TINY_D);
    add_layers(self, "encoder", false, encoder_ff(self->params));
    add_norm(self, encoder, "layer_norm");
    add(self, decoder, "embed_tokens.weight", place, 2, TINY_VOCABULARY, TINY_D);
    add(self, decoder, "embed_positions.weight", place, 2, TINY_TOKENS, TINY_D);
    add_layers(self, "decoder", true, DECODER_FF);
    add_norm(self, decoder, "layer_norm");
}

static void write_text(const char *directory, const char *name, const char *text)
{
    char *path = zm_path_join(directory, name);
    assert(path);
    scratch_write(path, text, strlen(text));
    free(path);
}

static void write_configs(const char *directory, const tiny_params *params)
{
    char text[1600], eps[64] = "";
    if (params->eps > 0)
        snprintf(eps, sizeof(eps), "\"layer_norm_eps\": %.9g, ", params->eps);
    const char *shared = "\"decoder_start_token_id\": 91, \"eos_token_id\": 90, "
                         "\"suppress_tokens\": [1, 2, 91], \"begin_suppress_tokens\": [3, 90]";
    snprintf(text, sizeof(text),
             "{\"model_type\": \"whisper\", \"architectures\": "
             "[\"WhisperForConditionalGeneration\"], \"activation_function\": \"gelu\", "
             "\"num_mel_bins\": %d, \"d_model\": %d, \"scale_embedding\": false, %s"
             "\"encoder_layers\": %d, \"decoder_layers\": %d, \"encoder_attention_heads\": 2, "
             "\"decoder_attention_heads\": 2, \"encoder_ffn_dim\": %d, \"decoder_ffn_dim\": %d, "
             "\"max_source_positions\": %d, \"max_target_positions\": %d, \"vocab_size\": %d, "
             "%s}\n",
             TINY_MEL_BINS, TINY_D, eps, TINY_LAYERS, TINY_LAYERS, (int)encoder_ff(params),
             DECODER_FF, TINY_POSITIONS, TINY_TOKENS, TINY_VOCABULARY, shared);
    write_text(directory, "config.json", text);
    snprintf(text, sizeof(text),
             "{\"is_multilingual\": false, \"no_timestamps_token_id\": 94, %s}\n", shared);
    write_text(directory, "generation_config.json", text);
    write_text(directory, "tokenizer.json", "{}\n");
}

/* The values of one tensor, in its type. Free with free(). */
static void *fill(const builder *self, size_t index, uint64_t *bytes)
{
    const zm_model_tensor *t = &self->tensors[index];
    const tiny_params *params = self->params;
    uint64_t state = params->seed * 1000003;
    for (const char *c = t->name; *c; c++)
        state = state * 131 + (unsigned char)*c;
    *bytes = t->elements * zm_dtype_size(t->dtype);
    void *data = calloc(1, *bytes);
    assert(data);
    double offset = params->moved && strcmp(params->moved, t->name) == 0 ? params->moved_by : 0;
    for (uint64_t i = 0; i < t->elements; i++)
        zm_store_real(data, t->dtype, i, random_in(&state, self->spreads[index]) + offset);
    if (params->edited && strcmp(params->edited, t->name) == 0)
        zm_store_real(data, t->dtype, params->edited_index, params->edited_value);
    return data;
}

/* One more space in the header of a safetensors file: a byte more before every tensor. */
static void shift_tensors(const char *path)
{
    char *data = NULL;
    size_t size = 0;
    zm_status status = zm_file_read(path, UINT32_MAX, NULL, &data, &size);
    assert(status == ZM_OK);
    uint64_t header;
    memcpy(&header, data, 8);
    FILE *file = fopen(path, "wb");
    assert(file);
    uint64_t longer = header + 1;
    size_t done = fwrite(&longer, 8, 1, file) + fwrite(data + 8, header, 1, file) +
                  fwrite(" ", 1, 1, file) + fwrite(data + 8 + header, size - 8 - header, 1, file);
    assert(done == 4);
    fclose(file);
    free(data);
}

static void write_weights(const char *directory, const builder *self)
{
    char path[256], key[] = "zeromean.norm";
    char format[] = "zeromean.format", one[] = "1";
    zm_metadata metadata[] = {{format, one}, {key, (char *)(uintptr_t)self->params->norm}};
    zm_safetensors_writer *out = NULL;
    snprintf(path, sizeof(path), "%s/model.safetensors", directory);
    zm_status status = zm_safetensors_writer_open(path, self->tensors, self->count, metadata,
                                                  self->params->norm ? 2 : 0, NULL, &out);
    for (size_t i = 0; i < self->count && status == ZM_OK; i++) {
        uint64_t bytes;
        void *data = fill(self, i, &bytes);
        status = zm_safetensors_writer_write(out, data, bytes);
        free(data);
    }
    if (status == ZM_OK)
        status = zm_safetensors_writer_commit(&out);
    assert(status == ZM_OK);
    zm_safetensors_writer_discard(&out);
    if (self->params->unaligned)
        shift_tensors(path);
}

char *tiny_whisper_write(const tiny_params *params)
{
    void *folder = NULL;
    int failed = scratch_setup(&folder);
    assert(!failed);
    const char *path = folder;
    builder *self = calloc(1, sizeof(*self));
    assert(self);
    self->params = params;
    add_all(self);
    write_configs(path, params);
    write_weights(path, self);
    for (size_t i = 0; i < self->count; i++)
        free((char *)(uintptr_t)self->tensors[i].name);
    free(self);
    return folder;
}

void tiny_whisper_remove(char *path)
{
    void *folder = path;
    scratch_teardown(&folder);
}

float *tiny_mel(uint64_t seed)
{
    float *mel = malloc(TINY_FRAMES * TINY_MEL_BINS * sizeof(float));
    uint64_t state = seed;
    assert(mel);
    for (size_t i = 0; i < TINY_FRAMES * TINY_MEL_BINS; i++)
        mel[i] = (float)random_in(&state, (spread){0.25, 1.25});
    return mel;
}
