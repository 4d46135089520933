/* SPDX-License-Identifier: Apache-2.0 */
#include "model/whisper.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "format/json.h"
#include "model/whisper_tokens.h"

#define MAX_LAYERS 1024
#define MAX_WIDTH (1u << 20)
#define MAX_VOCABULARY (1u << 24)
#define CONV_KERNEL 3

#define E "model.encoder."
#define D "model.decoder."
#define EL E "layers.*."
#define DL D "layers.*."

#define TENSOR(name_, role_, layers_, rank_, ...) \
    .name = name_, .role = role_, .layers = layers_, .rank = rank_, .shape = __VA_ARGS__
#define VECTOR(name, role, layers, n)      \
    {                                      \
        TENSOR(name, role, layers, 1, {n}) \
    }
#define MATRIX(name, role, layers, n, k)      \
    {                                         \
        TENSOR(name, role, layers, 2, {n, k}) \
    }
#define CONV(name, channels)                                                               \
    {                                                                                      \
        TENSOR(name, ZM_ROLE_INPUT, ZM_SIZE_ONE, 3, {ZM_SIZE_D, channels, ZM_SIZE_KERNEL}) \
    }
#define NORM(name, layers)                                          \
    VECTOR(name ".weight", ZM_ROLE_NORM_WEIGHT, layers, ZM_SIZE_D), \
        VECTOR(name ".bias", ZM_ROLE_NORM_BIAS, layers, ZM_SIZE_D)
/* of: the norm that it reads and that can be folded into it; NULL = it keeps its weights */
#define READER(name, layers, n, of)                                                         \
    {TENSOR(name ".weight", ZM_ROLE_READER_WEIGHT, layers, 2, {n, ZM_SIZE_D}), .norm = of}, \
        VECTOR(name ".bias", ZM_ROLE_READER_BIAS, layers, n)
#define WRITER(name, layers, k)                                          \
    MATRIX(name ".weight", ZM_ROLE_WRITER_WEIGHT, layers, ZM_SIZE_D, k), \
        VECTOR(name ".bias", ZM_ROLE_WRITER_BIAS, layers, ZM_SIZE_D)
/* The key projection has no bias: it would add the same to the products of a query with all keys,
 * and the softmax would take that out again. kv_of: as of, for keys and values. */
#define ATTENTION(name, layers, of, kv_of)                                                        \
    READER(name ".q_proj", layers, ZM_SIZE_D, of),                                                \
        {TENSOR(name ".k_proj.weight", ZM_ROLE_READER_WEIGHT, layers, 2, {ZM_SIZE_D, ZM_SIZE_D}), \
         .norm = kv_of, .unbiased = true},                                                        \
        READER(name ".v_proj", layers, ZM_SIZE_D, kv_of),                                         \
        WRITER(name ".out_proj", layers, ZM_SIZE_D)

static const zm_tensor_pattern patterns[] = {
    CONV(E "conv1.weight", ZM_SIZE_MEL_BINS),
    VECTOR(E "conv1.bias", ZM_ROLE_INPUT, ZM_SIZE_ONE, ZM_SIZE_D),
    CONV(E "conv2.weight", ZM_SIZE_D),
    VECTOR(E "conv2.bias", ZM_ROLE_INPUT, ZM_SIZE_ONE, ZM_SIZE_D),
    MATRIX(E "embed_positions.weight", ZM_ROLE_POSITION, ZM_SIZE_ONE, ZM_SIZE_ENCODER_POSITIONS,
           ZM_SIZE_D),
    NORM(EL "self_attn_layer_norm", ZM_SIZE_ENCODER_LAYERS),
    ATTENTION(EL "self_attn", ZM_SIZE_ENCODER_LAYERS, EL "self_attn_layer_norm",
              EL "self_attn_layer_norm"),
    NORM(EL "final_layer_norm", ZM_SIZE_ENCODER_LAYERS),
    READER(EL "fc1", ZM_SIZE_ENCODER_LAYERS, ZM_SIZE_ENCODER_FF, EL "final_layer_norm"),
    WRITER(EL "fc2", ZM_SIZE_ENCODER_LAYERS, ZM_SIZE_ENCODER_FF),
    NORM(E "layer_norm", ZM_SIZE_ONE),

    MATRIX(D "embed_tokens.weight", ZM_ROLE_EMBEDDING, ZM_SIZE_ONE, ZM_SIZE_VOCABULARY, ZM_SIZE_D),
    MATRIX(D "embed_positions.weight", ZM_ROLE_POSITION, ZM_SIZE_ONE, ZM_SIZE_DECODER_POSITIONS,
           ZM_SIZE_D),
    NORM(DL "self_attn_layer_norm", ZM_SIZE_DECODER_LAYERS),
    ATTENTION(DL "self_attn", ZM_SIZE_DECODER_LAYERS, DL "self_attn_layer_norm",
              DL "self_attn_layer_norm"),
    NORM(DL "encoder_attn_layer_norm", ZM_SIZE_DECODER_LAYERS),
    /* Keys and values read the encoder, whose last norm is no one else's to fold. */
    ATTENTION(DL "encoder_attn", ZM_SIZE_DECODER_LAYERS, DL "encoder_attn_layer_norm", NULL),
    NORM(DL "final_layer_norm", ZM_SIZE_DECODER_LAYERS),
    READER(DL "fc1", ZM_SIZE_DECODER_LAYERS, ZM_SIZE_DECODER_FF, DL "final_layer_norm"),
    WRITER(DL "fc2", ZM_SIZE_DECODER_LAYERS, ZM_SIZE_DECODER_FF),
    NORM(D "layer_norm", ZM_SIZE_ONE),

    {TENSOR("proj_out.weight", ZM_ROLE_HEAD, ZM_SIZE_ONE, 2, {ZM_SIZE_VOCABULARY, ZM_SIZE_D}),
     .optional = true},
};

/* A field that this implementation has only one value for. */
static zm_status refuse_variants(const char *what, const json_t *config, const zm_log *log)
{
    const json_t *activation = json_object_get(config, "activation_function");
    if (activation &&
        (!json_is_string(activation) || strcmp(json_string_value(activation), "gelu") != 0))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: an activation_function other than gelu is not supported", what);
    if (json_is_true(json_object_get(config, "scale_embedding")))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: scale_embedding is not supported", what);
    const json_t *tied = json_object_get(config, "tie_word_embeddings");
    if (json_is_false(tied))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: a head that is not tied to the token table "
                       "is not supported",
                       what);
    return ZM_OK;
}

static zm_status read_sizes(const char *what, const json_t *config, const zm_log *log,
                            zm_whisper_info *w)
{
    const struct {
        const char *field;
        uint32_t max;
        uint32_t *out;
    } fields[] = {
        {"num_mel_bins", 4096, &w->mel_bins},
        {"d_model", MAX_WIDTH, &w->d},
        {"encoder_layers", MAX_LAYERS, &w->encoder_layers},
        {"encoder_attention_heads", MAX_WIDTH, &w->encoder_heads},
        {"encoder_ffn_dim", MAX_WIDTH, &w->encoder_ff},
        {"max_source_positions", MAX_WIDTH, &w->encoder_positions},
        {"decoder_layers", MAX_LAYERS, &w->decoder_layers},
        {"decoder_attention_heads", MAX_WIDTH, &w->decoder_heads},
        {"decoder_ffn_dim", MAX_WIDTH, &w->decoder_ff},
        {"max_target_positions", MAX_WIDTH, &w->decoder_positions},
        {"vocab_size", MAX_VOCABULARY, &w->vocabulary},
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        zm_status status =
            zm_json_u32(config, fields[i].field, 1, fields[i].max, what, log, fields[i].out);
        if (status != ZM_OK)
            return status;
    }
    if (w->d % w->encoder_heads != 0 || w->d % w->decoder_heads != 0)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: d_model %u is not a multiple of the heads (%u and %u)", what, w->d,
                       w->encoder_heads, w->decoder_heads);
    return ZM_OK;
}

static zm_status read_info(const char *directory, const json_t *config, const zm_log *log,
                           zm_model_info *info)
{
    zm_whisper_info *w = &info->whisper;
    char *what = zm_path_join(directory, "config.json");
    if (!what)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    zm_status status = refuse_variants(what, config, log);
    if (status == ZM_OK)
        status = read_sizes(what, config, log, w);
    free(what);
    return status == ZM_OK ? zm_whisper_tokens_read(directory, config, log, w) : status;
}

static void fill_sizes(const zm_model_info *info, uint64_t out[ZM_SIZE_COUNT])
{
    const zm_whisper_info *w = &info->whisper;
    out[ZM_SIZE_ONE] = 1;
    out[ZM_SIZE_KERNEL] = CONV_KERNEL;
    out[ZM_SIZE_D] = w->d;
    out[ZM_SIZE_MEL_BINS] = w->mel_bins;
    out[ZM_SIZE_VOCABULARY] = w->vocabulary;
    out[ZM_SIZE_ENCODER_LAYERS] = w->encoder_layers;
    out[ZM_SIZE_ENCODER_FF] = w->encoder_ff;
    out[ZM_SIZE_ENCODER_POSITIONS] = w->encoder_positions;
    out[ZM_SIZE_DECODER_LAYERS] = w->decoder_layers;
    out[ZM_SIZE_DECODER_FF] = w->decoder_ff;
    out[ZM_SIZE_DECODER_POSITIONS] = w->decoder_positions;
}

/* Sessions read the table where the file has a head of its own: the two must be one. */
static zm_status check_head(const zm_model *model, const zm_log *log)
{
    const zm_model_tensor *head = zm_model_find_tensor(model, "proj_out.weight");
    const zm_model_tensor *table = zm_model_find_tensor(model, D "embed_tokens.weight");
    if (!head ||
        (head->dtype == table->dtype && memcmp(head->data, table->data, (size_t)table->bytes) == 0))
        return ZM_OK;
    return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                   "%s: proj_out.weight differs from " D "embed_tokens.weight; only heads that are "
                   "tied to the token table are supported",
                   zm_model_get_info(model)->path);
}

const zm_architecture_desc zm_architecture_whisper = {
    .architecture = ZM_ARCHITECTURE_WHISPER,
    .model_type = "whisper",
    .patterns = patterns,
    .pattern_count = sizeof(patterns) / sizeof(patterns[0]),
    .read = read_info,
    .sizes = fill_sizes,
    .check = check_head,
    .finish = zm_whisper_tokens_free,
};
