/* SPDX-License-Identifier: Apache-2.0 */
/* The families. A new one is a row here and a case of the test that holds families against a
 * reference; what is not tested is not here. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/architecture.h"
#include "model/text.h"

#define K(name) [ZM_TEXT_KEY_##name]
#define S(name) [ZM_TEXT_##name]
#define BIAS(name) (1u << ZM_TEXT_##name)

/* What all rows have in common that differ from Llama in Hugging Face's layout in details only. */
#define LLAMA_KEYS_OF(eps)                                                                      \
    K(D) = "hidden_size", K(LAYERS) = "num_hidden_layers", K(HEADS) = "num_attention_heads",    \
    K(KV_HEADS) = "num_key_value_heads", K(HEAD_DIM) = "head_dim", K(FF) = "intermediate_size", \
    K(VOCABULARY) = "vocab_size", K(POSITIONS) = "max_position_embeddings", K(EPS) = eps,       \
    K(TIED) = "tie_word_embeddings", K(ROPE_BASE) = "rope_theta"
#define LLAMA_KEYS LLAMA_KEYS_OF("rms_norm_eps"), K(ACTIVATION) = "hidden_act"
#define LLAMA_SLOTS                                                                         \
    S(TOKENS) = "model.embed_tokens", S(ATTENTION_NORM) = "model.layers.*.input_layernorm", \
    S(Q) = "model.layers.*.self_attn.q_proj", S(K) = "model.layers.*.self_attn.k_proj",     \
    S(V) = "model.layers.*.self_attn.v_proj",                                               \
    S(ATTENTION_OUT) = "model.layers.*.self_attn.o_proj",                                   \
    S(MLP_NORM) = "model.layers.*.post_attention_layernorm",                                \
    S(GATE) = "model.layers.*.mlp.gate_proj", S(UP) = "model.layers.*.mlp.up_proj",         \
    S(DOWN) = "model.layers.*.mlp.down_proj", S(LAST_NORM) = "model.norm", S(HEAD) = "lm_head"
#define LLAMA_INFO                                                            \
    {                                                                         \
        .norm = ZM_NORM_RMS, .activation = ZM_ACTIVATION_SILU, .gated = true, \
        .rope_layout = ZM_ROPE_HALVES                                         \
    }
/* GPT-2 and those whose files look like it. */
#define GPT2_KEYS                                                                              \
    K(D) = "n_embd", K(LAYERS) = "n_layer", K(HEADS) = "n_head", K(FF) = "n_inner",            \
    K(VOCABULARY) = "vocab_size", K(POSITIONS) = "n_positions", K(EPS) = "layer_norm_epsilon", \
    K(ACTIVATION) = "activation_function", K(TIED) = "tie_word_embeddings"
#define GPT2_SLOTS                                                                          \
    S(TOKENS) = "transformer.wte", S(POSITIONS) = "transformer.wpe",                        \
    S(ATTENTION_NORM) = "transformer.h.*.ln_1", S(QKV) = "transformer.h.*.attn.c_attn",     \
    S(ATTENTION_OUT) = "transformer.h.*.attn.c_proj", S(MLP_NORM) = "transformer.h.*.ln_2", \
    S(UP) = "transformer.h.*.mlp.c_fc", S(DOWN) = "transformer.h.*.mlp.c_proj",             \
    S(LAST_NORM) = "transformer.ln_f", S(HEAD) = "lm_head"
#define FALCON_KEYS                                                                          \
    K(D) = "hidden_size", K(LAYERS) = "num_hidden_layers", K(HEADS) = "num_attention_heads", \
    K(FF) = "ffn_hidden_size", K(VOCABULARY) = "vocab_size",                                 \
    K(POSITIONS) = "max_position_embeddings", K(EPS) = "layer_norm_epsilon",                 \
    K(ACTIVATION) = "activation", K(TIED) = "tie_word_embeddings", K(ROPE_BASE) = "rope_theta"
#define FALCON_SLOTS                                                                            \
    S(TOKENS) = "transformer.word_embeddings",                                                  \
    S(QKV) = "transformer.h.*.self_attention.query_key_value",                                  \
    S(ATTENTION_OUT) = "transformer.h.*.self_attention.dense",                                  \
    S(UP) = "transformer.h.*.mlp.dense_h_to_4h", S(DOWN) = "transformer.h.*.mlp.dense_4h_to_h", \
    S(LAST_NORM) = "transformer.ln_f", S(HEAD) = "lm_head"

/* GGUF has the same names for all families. */
#define GGUF_KEYS                                                                            \
    K(D) = "embedding_length", K(LAYERS) = "block_count", K(HEADS) = "attention.head_count", \
    K(KV_HEADS) = "attention.head_count_kv", K(HEAD_DIM) = "attention.key_length",           \
    K(FF) = "feed_forward_length", K(POSITIONS) = "context_length"
#define GGUF_RMS K(EPS) = "attention.layer_norm_rms_epsilon"
#define GGUF_LAYER K(EPS) = "attention.layer_norm_epsilon"
#define GGUF_ROPE K(ROPE_BASE) = "rope.freq_base", K(ROTARY_DIM) = "rope.dimension_count"
#define GGUF_SLOTS                                                                              \
    S(TOKENS) = "token_embd", S(ATTENTION_NORM) = "blk.*.attn_norm",                            \
    S(ATTENTION_OUT) = "blk.*.attn_output", S(UP) = "blk.*.ffn_up", S(DOWN) = "blk.*.ffn_down", \
    S(LAST_NORM) = "output_norm", S(HEAD) = "output"
#define GGUF_QKV S(Q) = "blk.*.attn_q", S(K) = "blk.*.attn_k", S(V) = "blk.*.attn_v"
#define GGUF_FUSED S(QKV) = "blk.*.attn_qkv"
#define GGUF_POSITIONS S(POSITIONS) = "position_embd"

#define NORMS (BIAS(ATTENTION_NORM) | BIAS(MLP_NORM) | BIAS(LAST_NORM))
#define MLP (BIAS(UP) | BIAS(DOWN))

static zm_status settle_neox(const zm_text_fields *fields, zm_text_info *info)
{
    bool found;
    return zm_text_field_bool(fields, "use_parallel_residual", &info->parallel, &found);
}

static zm_status settle_opt(const zm_text_fields *fields, zm_text_info *info)
{
    uint32_t width = info->d;
    bool found;
    zm_status status =
        zm_text_field_u32(fields, "word_embed_proj_dim", 1, UINT32_MAX, &width, &found);
    if (status == ZM_OK && width != info->d)
        return zm_fail(fields->log, ZM_ERROR_UNSUPPORTED,
                       "%s: word_embed_proj_dim %u other than hidden_size %u is not supported",
                       fields->what, width, info->d);
    return status;
}

/* The table is multiplied by sqrt(d), which the reference rounds to its activations' type; here it
 * is float32. */
static zm_status settle_gemma(const zm_text_fields *fields, zm_text_info *info)
{
    (void)fields;
    info->embedding_scale = (float)sqrt(info->d);
    return ZM_OK;
}

static zm_status settle_mpt(const zm_text_fields *fields, zm_text_info *info)
{
    uint32_t ratio = 4;
    bool found;
    zm_status status = zm_text_field_u32(fields, "expansion_ratio", 1, 64, &ratio, &found);
    info->ff = ratio * info->d;
    return status;
}

static const zm_text_family families[] = {
    {.name = "llama",
     .info = LLAMA_INFO,
     .keys = {LLAMA_KEYS},
     .slots = {LLAMA_SLOTS},
     .fixed = {{"attention_bias", "false"}, {"mlp_bias", "false"}}},
    {.name = "gpt2",
     .transposed = true,
     .prefix = "transformer.",
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU_TANH, .tied = true},
     .keys = {GPT2_KEYS},
     .slots = {GPT2_SLOTS},
     .fixed = {{"scale_attn_weights", "true"},
               {"scale_attn_by_inverse_layer_idx", "false"},
               {"add_cross_attention", "false"}}},
    {.name = "gpt_neox",
     .fused = ZM_TEXT_FUSED_GROUPS,
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU, .parallel = true},
     .keys = {K(D) = "hidden_size", K(LAYERS) = "num_hidden_layers",
              K(HEADS) = "num_attention_heads", K(FF) = "intermediate_size",
              K(VOCABULARY) = "vocab_size", K(POSITIONS) = "max_position_embeddings",
              K(EPS) = "layer_norm_eps", K(ACTIVATION) = "hidden_act",
              K(TIED) = "tie_word_embeddings", K(ROPE_BASE) = "rotary_emb_base",
              K(ROTARY_PART) = "rotary_pct"},
     .slots = {S(TOKENS) = "gpt_neox.embed_in",
               S(ATTENTION_NORM) = "gpt_neox.layers.*.input_layernorm",
               S(QKV) = "gpt_neox.layers.*.attention.query_key_value",
               S(ATTENTION_OUT) = "gpt_neox.layers.*.attention.dense",
               S(MLP_NORM) = "gpt_neox.layers.*.post_attention_layernorm",
               S(UP) = "gpt_neox.layers.*.mlp.dense_h_to_4h",
               S(DOWN) = "gpt_neox.layers.*.mlp.dense_4h_to_h",
               S(LAST_NORM) = "gpt_neox.final_layer_norm", S(HEAD) = "embed_out"},
     .fixed = {{"attention_bias", "true"}},
     .settle = settle_neox},
    {.name = "gptj",
     .prefix = "transformer.",
     .biased = BIAS(ATTENTION_NORM) | BIAS(LAST_NORM) | MLP | BIAS(HEAD),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .parallel = true,
              .one_norm = true,
              .rope_layout = ZM_ROPE_PAIRS},
     .keys = {GPT2_KEYS, K(ROTARY_DIM) = "rotary_dim"},
     .slots = {S(TOKENS) = "transformer.wte", S(ATTENTION_NORM) = "transformer.h.*.ln_1",
               S(Q) = "transformer.h.*.attn.q_proj", S(K) = "transformer.h.*.attn.k_proj",
               S(V) = "transformer.h.*.attn.v_proj",
               S(ATTENTION_OUT) = "transformer.h.*.attn.out_proj",
               S(UP) = "transformer.h.*.mlp.fc_in", S(DOWN) = "transformer.h.*.mlp.fc_out",
               S(LAST_NORM) = "transformer.ln_f", S(HEAD) = "lm_head"}},
    {.name = "phi",
     .biased = BIAS(ATTENTION_NORM) | BIAS(LAST_NORM) | MLP | BIAS(HEAD) | BIAS(Q) | BIAS(K) |
               BIAS(V) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .parallel = true,
              .one_norm = true},
     .keys = {LLAMA_KEYS_OF("layer_norm_eps"), K(ACTIVATION) = "hidden_act",
              K(ROTARY_PART) = "partial_rotary_factor"},
     .slots = {S(TOKENS) = "model.embed_tokens",
               S(ATTENTION_NORM) = "model.layers.*.input_layernorm",
               S(Q) = "model.layers.*.self_attn.q_proj", S(K) = "model.layers.*.self_attn.k_proj",
               S(V) = "model.layers.*.self_attn.v_proj",
               S(ATTENTION_OUT) = "model.layers.*.self_attn.dense",
               S(UP) = "model.layers.*.mlp.fc1", S(DOWN) = "model.layers.*.mlp.fc2",
               S(LAST_NORM) = "model.final_layernorm", S(HEAD) = "lm_head"},
     .fixed = {{"qk_layernorm", "false"}}},
    /* Falcon 40B and its kind: groups of heads, and a norm for each of the branches. */
    {.name = "falcon",
     .variant = "new_decoder_architecture",
     .fused = ZM_TEXT_FUSED_GROUPS,
     .prefix = "transformer.",
     .biased = NORMS,
     .info =
         {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU, .parallel = true, .tied = true},
     .keys = {FALCON_KEYS, K(KV_HEADS) = "num_kv_heads"},
     .slots = {FALCON_SLOTS, S(ATTENTION_NORM) = "transformer.h.*.ln_attn",
               S(MLP_NORM) = "transformer.h.*.ln_mlp"},
     .fixed = {{"alibi", "false"}, {"bias", "false"}, {"num_ln_in_parallel_attn", "2"}}},
    /* Falcon 7B: one head of keys, one norm. */
    {.name = "falcon",
     .prefix = "transformer.",
     .biased = BIAS(ATTENTION_NORM) | BIAS(LAST_NORM),
     .info = {.kv_heads = 1,
              .norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU,
              .parallel = true,
              .one_norm = true,
              .tied = true},
     .keys = {FALCON_KEYS},
     .slots = {FALCON_SLOTS, S(ATTENTION_NORM) = "transformer.h.*.input_layernorm"},
     .fixed = {{"alibi", "false"},
               {"bias", "false"},
               {"multi_query", "true"},
               {"parallel_attn", "true"}}},
    {.name = "opt",
     .prefix = "model.",
     .biased = NORMS | MLP | BIAS(Q) | BIAS(K) | BIAS(V) | BIAS(ATTENTION_OUT),
     .info = {.first_position = 2,
              .norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_RELU,
              .tied = true},
     .keys = {K(D) = "hidden_size", K(LAYERS) = "num_hidden_layers",
              K(HEADS) = "num_attention_heads", K(FF) = "ffn_dim", K(VOCABULARY) = "vocab_size",
              K(POSITIONS) = "max_position_embeddings", K(ACTIVATION) = "activation_function",
              K(TIED) = "tie_word_embeddings"},
     .slots = {S(TOKENS) = "model.decoder.embed_tokens",
               S(POSITIONS) = "model.decoder.embed_positions",
               S(ATTENTION_NORM) = "model.decoder.layers.*.self_attn_layer_norm",
               S(Q) = "model.decoder.layers.*.self_attn.q_proj",
               S(K) = "model.decoder.layers.*.self_attn.k_proj",
               S(V) = "model.decoder.layers.*.self_attn.v_proj",
               S(ATTENTION_OUT) = "model.decoder.layers.*.self_attn.out_proj",
               S(MLP_NORM) = "model.decoder.layers.*.final_layer_norm",
               S(UP) = "model.decoder.layers.*.fc1", S(DOWN) = "model.decoder.layers.*.fc2",
               S(LAST_NORM) = "model.decoder.final_layer_norm", S(HEAD) = "lm_head"},
     .fixed = {{"do_layer_norm_before", "true", ZM_POST_LN},
               {"_remove_final_layer_norm", "false"},
               {"enable_bias", "true"},
               {"layer_norm_elementwise_affine", "true"}},
     .settle = settle_opt},
    {.name = "bloom",
     .fused = ZM_TEXT_FUSED_GROUPS,
     .prefix = "transformer.",
     .biased = NORMS | MLP | BIAS(EMBEDDING_NORM) | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .embedding_norm = true,
              .alibi = true,
              .tied = true},
     .keys = {K(D) = "hidden_size", K(LAYERS) = "n_layer", K(HEADS) = "n_head",
              K(VOCABULARY) = "vocab_size", K(EPS) = "layer_norm_epsilon",
              K(TIED) = "tie_word_embeddings"},
     .slots = {S(TOKENS) = "transformer.word_embeddings",
               S(EMBEDDING_NORM) = "transformer.word_embeddings_layernorm",
               S(ATTENTION_NORM) = "transformer.h.*.input_layernorm",
               S(QKV) = "transformer.h.*.self_attention.query_key_value",
               S(ATTENTION_OUT) = "transformer.h.*.self_attention.dense",
               S(MLP_NORM) = "transformer.h.*.post_attention_layernorm",
               S(UP) = "transformer.h.*.mlp.dense_h_to_4h",
               S(DOWN) = "transformer.h.*.mlp.dense_4h_to_h", S(LAST_NORM) = "transformer.ln_f",
               S(HEAD) = "lm_head"},
     .fixed = {{"apply_residual_connection_post_layernorm", "false", ZM_POST_LN}}},
    {.name = "qwen2",
     .biased = BIAS(Q) | BIAS(K) | BIAS(V),
     .info = LLAMA_INFO,
     .keys = {LLAMA_KEYS},
     .slots = {LLAMA_SLOTS},
     .fixed = {{"use_sliding_window", "false"}}},
    {.name = "mistral",
     .info = LLAMA_INFO,
     .keys = {LLAMA_KEYS, K(WINDOW) = "sliding_window"},
     .slots = {LLAMA_SLOTS}},
    /* hidden_act says "gelu" in files whose models were trained with the other one, as the
     * reference takes it. */
    {.name = "gemma",
     .info = {.norm = ZM_NORM_RMS,
              .norm_plus_one = true,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .gated = true,
              .tied = true},
     .keys = {LLAMA_KEYS_OF("rms_norm_eps"), K(ACTIVATION) = "hidden_activation"},
     .slots = {LLAMA_SLOTS},
     .fixed = {{"attention_bias", "false"}},
     .settle = settle_gemma},
    {.name = "mpt",
     .prefix = "transformer.",
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU, .alibi = true, .tied = true},
     .keys = {K(D) = "d_model", K(LAYERS) = "n_layers", K(HEADS) = "n_heads",
              K(VOCABULARY) = "vocab_size", K(POSITIONS) = "max_seq_len",
              K(EPS) = "layer_norm_epsilon", K(TIED) = "tie_word_embeddings"},
     .slots = {S(TOKENS) = "transformer.wte", S(ATTENTION_NORM) = "transformer.blocks.*.norm_1",
               S(QKV) = "transformer.blocks.*.attn.Wqkv",
               S(ATTENTION_OUT) = "transformer.blocks.*.attn.out_proj",
               S(MLP_NORM) = "transformer.blocks.*.norm_2",
               S(UP) = "transformer.blocks.*.ffn.up_proj",
               S(DOWN) = "transformer.blocks.*.ffn.down_proj", S(LAST_NORM) = "transformer.norm_f",
               S(HEAD) = "lm_head"},
     .fixed = {{"no_bias", "true"},
               {"attn_config.alibi", "true"},
               {"attn_config.alibi_bias_max", "8"},
               {"attn_config.clip_qkv", "null"},
               {"attn_config.qk_ln", "false"},
               {"attn_config.softmax_scale", "null"},
               {"attn_config.prefix_lm", "false"},
               {"logit_scale", "null"}},
     .settle = settle_mpt},
    {.name = "gpt_bigcode",
     .prefix = "transformer.",
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.kv_heads = 1,
              .norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .tied = true},
     .keys = {GPT2_KEYS},
     .slots = {GPT2_SLOTS},
     .fixed = {{"multi_query", "true"}, {"scale_attn_weights", "true"}}},
    {.name = "starcoder2",
     .biased = NORMS | MLP | BIAS(Q) | BIAS(K) | BIAS(V) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU_TANH, .tied = true},
     .keys = {LLAMA_KEYS_OF("norm_epsilon"), K(ACTIVATION) = "hidden_act",
              K(WINDOW) = "sliding_window"},
     .slots = {S(TOKENS) = "model.embed_tokens",
               S(ATTENTION_NORM) = "model.layers.*.input_layernorm",
               S(Q) = "model.layers.*.self_attn.q_proj", S(K) = "model.layers.*.self_attn.k_proj",
               S(V) = "model.layers.*.self_attn.v_proj",
               S(ATTENTION_OUT) = "model.layers.*.self_attn.o_proj",
               S(MLP_NORM) = "model.layers.*.post_attention_layernorm",
               S(UP) = "model.layers.*.mlp.c_fc", S(DOWN) = "model.layers.*.mlp.c_proj",
               S(LAST_NORM) = "model.norm", S(HEAD) = "lm_head"},
     .fixed = {{"use_bias", "true"}, {"norm_type", "\"layer_norm\""}, {"mlp_type", "\"default\""}}},
    {.name = "llama",
     .gguf = true,
     .info = {.norm = ZM_NORM_RMS,
              .activation = ZM_ACTIVATION_SILU,
              .gated = true,
              .rope_layout = ZM_ROPE_PAIRS},
     .keys = {GGUF_KEYS, GGUF_RMS, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_QKV, S(MLP_NORM) = "blk.*.ffn_norm", S(GATE) = "blk.*.ffn_gate",
               S(ROPE_FACTORS) = "rope_freqs"},
     .fixed = {{"expert_count", "0"},
               {"logit_scale", "1"},
               {"embedding_scale", "1"},
               {"residual_scale", "1"},
               {"attention.sliding_window", "0"}}},
    {.name = "qwen2",
     .gguf = true,
     .biased = BIAS(Q) | BIAS(K) | BIAS(V),
     .info = LLAMA_INFO,
     .keys = {GGUF_KEYS, GGUF_RMS, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_QKV, S(MLP_NORM) = "blk.*.ffn_norm", S(GATE) = "blk.*.ffn_gate"},
     .fixed = {{"attention.sliding_window", "0"}}},
    /* Norms have 1 + their weight in the file. */
    {.name = "gemma",
     .gguf = true,
     .info = {.norm = ZM_NORM_RMS, .activation = ZM_ACTIVATION_GELU_TANH, .gated = true},
     .keys = {GGUF_KEYS, GGUF_RMS, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_QKV, S(MLP_NORM) = "blk.*.ffn_norm", S(GATE) = "blk.*.ffn_gate"},
     .settle = settle_gemma},
    {.name = "gpt2",
     .gguf = true,
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU_TANH},
     .keys = {GGUF_KEYS, GGUF_LAYER},
     .slots = {GGUF_SLOTS, GGUF_FUSED, GGUF_POSITIONS, S(MLP_NORM) = "blk.*.ffn_norm"}},
    {.name = "starcoder",
     .gguf = true,
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU_TANH},
     .keys = {GGUF_KEYS, GGUF_LAYER},
     .slots = {GGUF_SLOTS, GGUF_FUSED, GGUF_POSITIONS, S(MLP_NORM) = "blk.*.ffn_norm"}},
    {.name = "starcoder2",
     .gguf = true,
     .biased = NORMS | MLP | BIAS(Q) | BIAS(K) | BIAS(V) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU_TANH},
     .keys = {GGUF_KEYS, GGUF_LAYER, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_QKV, S(MLP_NORM) = "blk.*.ffn_norm"}},
    {.name = "gptneox",
     .gguf = true,
     .biased = NORMS | MLP | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU, .parallel = true},
     .keys = {GGUF_KEYS, GGUF_LAYER, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_FUSED, S(MLP_NORM) = "blk.*.ffn_norm"},
     .settle = settle_neox},
    {.name = "phi2",
     .gguf = true,
     .biased = BIAS(ATTENTION_NORM) | BIAS(LAST_NORM) | MLP | BIAS(HEAD) | BIAS(Q) | BIAS(K) |
               BIAS(V) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .parallel = true,
              .one_norm = true},
     .keys = {GGUF_KEYS, GGUF_LAYER, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_QKV}},
    /* The 40B has one norm more, whose tensors are refused. */
    {.name = "falcon",
     .gguf = true,
     .biased = BIAS(ATTENTION_NORM) | BIAS(LAST_NORM),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU,
              .parallel = true,
              .one_norm = true},
     .keys = {GGUF_KEYS, GGUF_LAYER, GGUF_ROPE},
     .slots = {GGUF_SLOTS, GGUF_FUSED}},
    {.name = "bloom",
     .gguf = true,
     .biased = NORMS | MLP | BIAS(EMBEDDING_NORM) | BIAS(QKV) | BIAS(ATTENTION_OUT),
     .info = {.norm = ZM_NORM_LAYER,
              .activation = ZM_ACTIVATION_GELU_TANH,
              .embedding_norm = true,
              .alibi = true},
     .keys = {GGUF_KEYS, GGUF_LAYER},
     .slots = {GGUF_SLOTS, GGUF_FUSED, S(EMBEDDING_NORM) = "token_embd_norm",
               S(MLP_NORM) = "blk.*.ffn_norm"}},
    {.name = "mpt",
     .gguf = true,
     .info = {.norm = ZM_NORM_LAYER, .activation = ZM_ACTIVATION_GELU, .alibi = true},
     .keys = {GGUF_KEYS, GGUF_LAYER},
     .slots = {GGUF_SLOTS, GGUF_FUSED, S(MLP_NORM) = "blk.*.ffn_norm"},
     .fixed = {{"attention.max_alibi_bias", "8"}, {"attention.clamp_kqv", "0"}}},
};

#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

const zm_text_family *zm_text_family_find(const char *name, const json_t *config)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++) {
        const zm_text_family *family = &families[i];
        const char *key = family->variant;
        if (family->gguf == (config == NULL) && strcmp(family->name, name) == 0 &&
            (!key || json_is_true(json_object_get(config, key))))
            return family;
    }
    return NULL;
}
