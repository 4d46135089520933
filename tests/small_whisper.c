/* SPDX-License-Identifier: Apache-2.0 */
#include "small_whisper.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "scratch.h"

#define MEL 4
#define FF 12
#define ENCODER_POSITIONS 6
#define DECODER_POSITIONS 5

void small_add(small_whisper *m, const char *prefix, const char *name, uint32_t rank, uint64_t n,
               uint64_t k)
{
    zm_model_tensor *tensor = &m->tensors[m->count];
    snprintf(m->names[m->count], sizeof(m->names[0]), "%s%s", prefix, name);
    *tensor = (zm_model_tensor){
        .name = m->names[m->count], .dtype = ZM_F16, .rank = rank, .shape = {n, rank > 1 ? k : 0}};
    m->count++;
}

static void add_linear(small_whisper *m, const char *prefix, const char *name, uint64_t n,
                       uint64_t k)
{
    char full[160];
    snprintf(full, sizeof(full), "%s.weight", name);
    small_add(m, prefix, full, 2, n, k);
    snprintf(full, sizeof(full), "%s.bias", name);
    small_add(m, prefix, full, 1, n, 0);
}

static void add_norm(small_whisper *m, const char *prefix, const char *name)
{
    char full[160];
    snprintf(full, sizeof(full), "%s.weight", name);
    small_add(m, prefix, full, 1, SMALL_D, 0);
    snprintf(full, sizeof(full), "%s.bias", name);
    small_add(m, prefix, full, 1, SMALL_D, 0);
}

static void add_attention(small_whisper *m, const char *prefix, const char *name)
{
    char full[160];
    snprintf(full, sizeof(full), "%s%s.", prefix, name);
    add_linear(m, full, "q_proj", SMALL_D, SMALL_D);
    small_add(m, full, "k_proj.weight", 2, SMALL_D, SMALL_D);
    add_linear(m, full, "v_proj", SMALL_D, SMALL_D);
    add_linear(m, full, "out_proj", SMALL_D, SMALL_D);
    snprintf(full, sizeof(full), "%s_layer_norm", name);
    add_norm(m, prefix, full);
}

static void add_layer(small_whisper *m, const char *prefix, bool decoder)
{
    add_attention(m, prefix, "self_attn");
    if (decoder)
        add_attention(m, prefix, "encoder_attn");
    add_linear(m, prefix, "fc1", FF, SMALL_D);
    add_linear(m, prefix, "fc2", SMALL_D, FF);
    add_norm(m, prefix, "final_layer_norm");
}

static void add_convolution(small_whisper *m, const char *name, uint64_t channels)
{
    add_linear(m, "model.encoder.", name, SMALL_D, channels);
    zm_model_tensor *weight = &m->tensors[m->count - 2];
    weight->rank = 3;
    weight->shape[2] = 3;
}

void small_init(small_whisper *m)
{
    memset(m, 0, sizeof(*m));
    add_convolution(m, "conv1", MEL);
    add_convolution(m, "conv2", SMALL_D);
    small_add(m, "model.encoder.", "embed_positions.weight", 2, ENCODER_POSITIONS, SMALL_D);
    add_layer(m, "model.encoder.layers.0.", false);
    add_norm(m, "model.encoder.", "layer_norm");
    small_add(m, "model.decoder.", "embed_tokens.weight", 2, SMALL_VOCABULARY, SMALL_D);
    small_add(m, "model.decoder.", "embed_positions.weight", 2, DECODER_POSITIONS, SMALL_D);
    add_layer(m, "model.decoder.layers.0.", true);
    add_layer(m, "model.decoder.layers.1.", true);
    add_norm(m, "model.decoder.", "layer_norm");
}

zm_model_tensor *small_find(small_whisper *m, const char *name)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->tensors[i].name, name) == 0)
            return &m->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

const char small_config[] =
    "{\"model_type\":\"whisper\",\"activation_function\":\"gelu\",\"d_model\":8,"
    "\"num_mel_bins\":4,\"encoder_layers\":1,\"encoder_attention_heads\":2,\"encoder_ffn_dim\":12,"
    "\"max_source_positions\":6,\"decoder_layers\":2,\"decoder_attention_heads\":4,"
    "\"decoder_ffn_dim\":12,\"max_target_positions\":5,\"vocab_size\":30,"
    "\"scale_embedding\":false}";
const char small_generation_config[] =
    "{\"decoder_start_token_id\":11,\"eos_token_id\":10,\"no_timestamps_token_id\":19,"
    "\"suppress_tokens\":[1,2,29],\"begin_suppress_tokens\":[3,10],\"is_multilingual\":true,"
    "\"lang_to_id\":{\"<|de|>\":13,\"<|en|>\":12,\"<|fr|>\":14},"
    "\"task_to_id\":{\"translate\":15,\"transcribe\":16}}";

void small_write_text(void *const *state, const char *name, const char *text)
{
    scratch_write(scratch_path(state, name), text, strlen(text));
}

void small_write_configs(void *const *state)
{
    small_write_text(state, "config.json", small_config);
    small_write_text(state, "generation_config.json", small_generation_config);
}

void small_write_tensors(void *const *state, const char *name, const small_whisper *m, size_t first,
                         size_t count)
{
    static const uint8_t zeros[1 << 16];
    const zm_model_tensor *tensors = m->tensors + first;
    zm_safetensors_writer *writer = NULL;
    assert_int_equal(zm_safetensors_writer_open(scratch_path(state, name), tensors, count,
                                                m->metadata, m->metadata_count, NULL, &writer),
                     ZM_OK);
    for (size_t i = 0; i < count; i++) {
        uint64_t size = zm_dtype_size(tensors[i].dtype);
        for (uint32_t k = 0; k < tensors[i].rank; k++)
            size *= tensors[i].shape[k];
        assert_true(size <= sizeof(zeros));
        const void *data = tensors[i].data ? tensors[i].data : zeros;
        assert_int_equal(zm_safetensors_writer_write(writer, data, size), ZM_OK);
    }
    assert_int_equal(zm_safetensors_writer_commit(&writer), ZM_OK);
}

void small_write(void *const *state, const small_whisper *m)
{
    small_write_configs(state);
    small_write_tensors(state, "model.safetensors", m, 0, m->count);
}
