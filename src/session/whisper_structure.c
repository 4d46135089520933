/* SPDX-License-Identifier: Apache-2.0 */
/* The networks of Whisper without memory. */
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "session/structure.h"
#include "session/whisper.h"

/* The first count of the roots behind the prefix. */
static zm_structure_names names_of(const char *prefix, uint32_t count, const char *const *roots)
{
    zm_structure_names names = {.count = count};
    for (uint32_t i = 0; i < count; i++)
        snprintf(names.root[i], sizeof(names.root[i]), "%s%s", prefix, roots[i]);
    return names;
}

static zm_linear linear_of(zm_structure *s, const char *prefix, const char *root, uint32_t n,
                           uint32_t k)
{
    const zm_structure_names names = names_of(prefix, 1, &root);
    return zm_structure_linear(s, &names, n, k);
}

static zm_norm_weights norm_of(zm_structure *s, const char *prefix, const char *root, uint32_t d)
{
    const zm_structure_names names = names_of(prefix, 1, &root);
    return zm_structure_norm(s, &names, d);
}

static zm_kv_cache cache_of(zm_structure *s, const char *prefix, const char *what, uint32_t heads,
                            uint32_t d, uint32_t positions)
{
    char name[96];
    zm_kv_cache cache = {.layout = {.dtype = ZM_F32,
                                    .heads = heads,
                                    .head_dim = d / heads,
                                    .capacity = positions,
                                    .head_stride = (uint64_t)positions * (d / heads),
                                    .elements = (uint64_t)positions * d}};
    snprintf(name, sizeof(name), "(%s%s keys)", prefix, what);
    cache.k = zm_structure_tensor(s, name, ZM_F32, positions * d, 0);
    snprintf(name, sizeof(name), "(%s%s values)", prefix, what);
    cache.v = zm_structure_tensor(s, name, ZM_F32, positions * d, 0);
    return cache;
}

static void fill_block(zm_structure *s, const char *prefix, uint32_t d, uint32_t ff,
                       zm_block *block)
{
    static const char *const in[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"};
    const zm_structure_names names = names_of(prefix, 3, in);
    block->self.norm = norm_of(s, prefix, "self_attn_layer_norm", d);
    block->self.in = zm_structure_linear(s, &names, 3 * d, d);
    block->self.out = linear_of(s, prefix, "self_attn.out_proj", d, d);
    block->mlp.norm = norm_of(s, prefix, "final_layer_norm", d);
    block->mlp.up = linear_of(s, prefix, "fc1", ff, d);
    block->mlp.down = linear_of(s, prefix, "fc2", d, ff);
}

static void fill_cross(zm_structure *s, const char *prefix, const zm_whisper_info *info,
                       zm_block_attention *cross, zm_linear *out_kv)
{
    static const char *const in[] = {"encoder_attn.k_proj", "encoder_attn.v_proj"};
    const zm_structure_names names = names_of(prefix, 2, in);
    uint32_t d = info->d;
    cross->norm = norm_of(s, prefix, "encoder_attn_layer_norm", d);
    cross->in = linear_of(s, prefix, "encoder_attn.q_proj", d, d);
    cross->out = linear_of(s, prefix, "encoder_attn.out_proj", d, d);
    cross->cache =
        cache_of(s, prefix, "encoder_attn", info->decoder_heads, d, info->encoder_positions);
    *out_kv = zm_structure_linear(s, &names, 2 * d, d);
}

static void fill_layers(zm_structure *s, zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    char prefix[48];
    for (uint32_t i = 0; i < info->encoder_layers; i++) {
        snprintf(prefix, sizeof(prefix), "model.encoder.layers.%u.", i);
        fill_block(s, prefix, info->d, info->encoder_ff, &weights->encoder[i]);
        weights->encoder[i].self.cache =
            cache_of(s, prefix, "self_attn", info->encoder_heads, info->d, info->encoder_positions);
    }
    for (uint32_t i = 0; i < info->decoder_layers; i++) {
        snprintf(prefix, sizeof(prefix), "model.decoder.layers.%u.", i);
        fill_block(s, prefix, info->d, info->decoder_ff, &weights->decoder[i]);
        weights->decoder[i].self.cache =
            cache_of(s, prefix, "self_attn", info->decoder_heads, info->d, info->decoder_positions);
        fill_cross(s, prefix, info, &weights->decoder[i].cross, &weights->cross_kv[i]);
    }
}

static void fill_ends(zm_structure *s, zm_whisper *whisper)
{
    static const char encoder[] = "model.encoder.", decoder[] = "model.decoder.";
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_weights *weights = &whisper->weights;
    uint32_t d = info->d;
    weights->conv1 = linear_of(s, encoder, "conv1", d, ZM_WHISPER_KERNEL * info->mel_bins);
    weights->conv2 = linear_of(s, encoder, "conv2", d, ZM_WHISPER_KERNEL * d);
    weights->encoder_positions =
        linear_of(s, encoder, "embed_positions", info->encoder_positions, d).weight;
    weights->encoder_norm = norm_of(s, encoder, "layer_norm", d);
    weights->head = linear_of(s, decoder, "embed_tokens", info->vocabulary, d);
    weights->table = weights->head.weight;
    weights->decoder_positions =
        linear_of(s, decoder, "embed_positions", info->decoder_positions, d).weight;
    weights->decoder_norm = norm_of(s, decoder, "layer_norm", d);
    whisper->mel =
        zm_structure_tensor(s, "(mel)", ZM_DTYPE_NONE, 2 * info->encoder_positions, info->mel_bins);
    zm_structure_decoding(s, &whisper->base, info->vocabulary, info->decoder_positions);
}

/* Both graphs have externs for all tensors: the encoder's has keys and values of the decoder. */
static zm_status trace(zm_structure *s, zm_whisper *whisper,
                       void (*build)(zm_network *network, zm_graph *graph), const char *start)
{
    zm_status status = zm_graph_create(s->log, &s->graph);
    if (status != ZM_OK)
        return status;
    fill_ends(s, whisper);
    fill_layers(s, whisper);
    zm_whisper_settle(whisper);
    build(&whisper->base, s->graph);
    return zm_structure_trace(s, start);
}

zm_status zm_whisper_check_structure(zm_structure *s)
{
    const zm_model_info *info = zm_model_get_info(s->model);
    zm_whisper whisper = {
        .base.norm = zm_structure_norm_kind(s), .info = info->whisper, .eps = info->eps};
    zm_whisper_weights *weights = &whisper.weights;
    weights->encoder = zm_calloc(info->whisper.encoder_layers, sizeof(zm_block));
    weights->decoder = zm_calloc(info->whisper.decoder_layers, sizeof(zm_block));
    weights->cross_kv = zm_calloc(info->whisper.decoder_layers, sizeof(zm_linear));
    zm_status status = ZM_OK;
    if (!weights->encoder || !weights->decoder || !weights->cross_kv)
        status = zm_fail(s->log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    if (status == ZM_OK)
        status = trace(s, &whisper, zm_whisper_build_encoder, "encoder.input");
    if (status == ZM_OK)
        status = trace(s, &whisper, zm_whisper_build_decoder, "decoder.input");
    free(weights->encoder);
    free(weights->decoder);
    free(weights->cross_kv);
    return status;
}
