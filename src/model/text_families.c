/* SPDX-License-Identifier: Apache-2.0 */
/* The families. A new one is a row here and a case of the test that holds families against a
 * reference; what is not tested is not here. */
#include <stdio.h>
#include <string.h>

#include "model/text.h"

#define K(name) [ZM_TEXT_KEY_##name]
#define S(name) [ZM_TEXT_##name]
#define BIAS(name) (1u << ZM_TEXT_##name)

static const zm_text_family families[] = {
    {
        .name = "llama",
        .gguf = true,
        .info = {.norm = ZM_NORM_RMS,
                 .activation = ZM_ACTIVATION_SILU,
                 .gated = true,
                 .rope_layout = ZM_ROPE_PAIRS},
        .keys = {K(D) = "embedding_length", K(LAYERS) = "block_count",
                 K(HEADS) = "attention.head_count", K(KV_HEADS) = "attention.head_count_kv",
                 K(HEAD_DIM) = "attention.key_length", K(FF) = "feed_forward_length",
                 K(POSITIONS) = "context_length", K(EPS) = "attention.layer_norm_rms_epsilon",
                 K(ROPE_BASE) = "rope.freq_base", K(ROTARY_DIM) = "rope.dimension_count"},
        .slots = {S(TOKENS) = "token_embd", S(ATTENTION_NORM) = "blk.*.attn_norm",
                  S(Q) = "blk.*.attn_q", S(K) = "blk.*.attn_k", S(V) = "blk.*.attn_v",
                  S(ATTENTION_OUT) = "blk.*.attn_output", S(MLP_NORM) = "blk.*.ffn_norm",
                  S(GATE) = "blk.*.ffn_gate", S(UP) = "blk.*.ffn_up", S(DOWN) = "blk.*.ffn_down",
                  S(LAST_NORM) = "output_norm", S(HEAD) = "output"},
        .fixed = {{"rope.scaling.type", "\"none\""},
                  {"expert_count", "0"},
                  {"logit_scale", "1"},
                  {"embedding_scale", "1"},
                  {"residual_scale", "1"},
                  {"attention.sliding_window", "0"}},
    },
};

#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

const zm_text_family *zm_text_family_find(const char *name, bool gguf)
{
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        if (families[i].gguf == gguf && strcmp(families[i].name, name) == 0)
            return &families[i];
    return NULL;
}
