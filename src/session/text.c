/* SPDX-License-Identifier: Apache-2.0 */
#include "session/text.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "session/kv_cache.h"

#define BATCH 512u /* tokens of a prompt in one run: what is between layers is for so many */

/* ---- what is kept ---- */

static zm_status create_caches(zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    zm_network *network = &text->base;
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < info->layers && status == ZM_OK; i++) {
        uint32_t device = zm_network_device(network, i, info->layers);
        status = zm_kv_cache_create(&network->storages[device], network->streams[device],
                                    info->kv_heads, info->head_dim, network->info.positions,
                                    network->info.sequences, &text->weights.blocks[i].self.cache);
    }
    return status;
}

/* 2^(-8 i / n) for i = 1 .. n, n a power of two; what heads are over that have those of 2 n in
 * between (Press et al. 2021). */
static double slope_of(uint32_t head, uint32_t heads)
{
    uint32_t n = 1;
    while (n <= heads / 2)
        n *= 2;
    return head < n ? exp2(-8.0 * (head + 1) / n) : exp2(-4.0 * (2 * (head - n) + 1) / n);
}

/* A vector of the real type on the first device. */
static zm_status create_vector(zm_text_network *text, const double *values, uint32_t count,
                               zm_tensor *out)
{
    zm_storage *storage = &text->base.storages[0];
    zm_buffer *buffer = NULL;
    void *rounded = zm_calloc(count, sizeof(*values));
    if (!rounded)
        return zm_fail(&text->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_convert_reals(rounded, storage->real_type, values, ZM_F64, count);
    zm_status status = zm_storage_buffer(storage, count, storage->real_type, &buffer);
    if (status == ZM_OK)
        status = zm_buffer_write(text->base.streams[0], buffer, 0, rounded,
                                 count * zm_dtype_size(storage->real_type));
    if (status == ZM_OK)
        *out = zm_tensor_1d(buffer, storage->real_type, count);
    free(rounded);
    return status;
}

static zm_status create_slopes(zm_text_network *text)
{
    uint32_t heads = text->info.heads;
    double *slopes = zm_calloc(heads, sizeof(*slopes));
    if (!slopes)
        return zm_fail(&text->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    for (uint32_t i = 0; i < heads; i++)
        slopes[i] = slope_of(i, heads);
    zm_status status = create_vector(text, slopes, heads, &text->weights.slopes);
    free(slopes);
    return status;
}

/* Of what is between its layers and within them. */
static uint64_t width_of(const zm_text_info *info)
{
    uint64_t heads = ((uint64_t)info->heads + 2 * (uint64_t)info->kv_heads) * info->head_dim;
    uint64_t widest = heads > info->ff ? heads : info->ff;
    return widest > info->d ? widest : info->d;
}

static zm_status create_state(zm_text_network *text)
{
    zm_network *network = &text->base;
    const zm_session_info *info = &network->info;
    uint64_t all = (uint64_t)info->positions * info->sequences;
    zm_status status =
        zm_decoding_create(network, all < BATCH ? (uint32_t)all : BATCH, width_of(&text->info));
    uint64_t elements = (uint64_t)network->decoding.batch * text->info.d;
    uint64_t logits = (uint64_t)info->logits * info->vocabulary;
    if (status == ZM_OK && text->info.rope_factors)
        status = create_vector(text, text->info.rope_factors, text->info.rotary_dim / 2,
                               &text->weights.factors);
    text->info.rope_factors = NULL; /* the model's, which may be closed from here on */
    if (status == ZM_OK && text->info.alibi)
        status = create_slopes(text);
    if (status == ZM_OK)
        status = create_caches(text);
    if (status == ZM_OK)
        status = zm_network_reserve_staging(network, elements > logits ? elements : logits);
    return status;
}

/* ---- the graph ---- */

/* A family of LayerNorm that has been converted: its main branch has to have no mean. */
static bool is_converted(const zm_text_network *text)
{
    return text->base.norm != ZM_NORM_LAYER && text->info.norm == ZM_NORM_LAYER;
}

static void settle_blocks(zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    for (uint32_t i = 0; i < info->layers; i++) {
        zm_block *block = &text->weights.blocks[i];
        block->norm = zm_network_block_norm(text->base.norm);
        block->eps = text->eps;
        block->true_d = block->norm == ZM_BLOCK_CRMS_NORM ? info->d : 0;
        block->parallel = info->parallel;
        block->self.heads = info->heads;
        block->self.causal = true;
        block->self.window = info->window;
        block->self.slopes = text->weights.slopes;
        block->mlp.activation = info->activation;
        block->mlp.gated = info->gated;
    }
}

/* A norm in front of the main branch reads a table that keeps its mean, and gives a mean to the
 * main branch by its weights. */
static zm_tensor enter_norm(const zm_text_network *text, zm_graph *graph, zm_tensor x)
{
    const zm_size shape[] = {text->base.decoding.count, text->info.d};
    const zm_block block = {.norm = zm_network_block_norm(text->info.norm), .eps = text->eps};
    x = zm_graph_block_norm(graph, &block, &text->weights.embedding_norm, x);
    if (!is_converted(text))
        return x;
    const zm_add_params params = {.x = x,
                                  .dst = zm_graph_tensor(graph, "x", ZM_DTYPE_NONE, 2, shape)};
    zm_graph_recentre(graph, &params);
    return params.dst;
}

/* The first values of the main branch. What has been converted may still have a mean here: of a
 * table that is the head as well, and reads it. */
static zm_tensor enter(const zm_text_network *text, zm_graph *graph)
{
    const zm_text_info *info = &text->info;
    const zm_text_weights *weights = &text->weights;
    const zm_decoding *decoding = &text->base.decoding;
    const zm_size shape[] = {decoding->count, info->d};
    zm_tensor positions = weights->positions;
    if (positions.buffer) {
        positions = zm_tensor_rows(positions, info->first_position,
                                   info->position_rows - info->first_position);
        positions = zm_decoding_positions(&text->base, graph, positions, info->d);
    }
    const zm_embedding_params params = {.tokens =
                                            zm_tensor_rows(decoding->tokens, 0, decoding->count),
                                        .table = weights->table,
                                        .position = positions,
                                        .dst = zm_graph_tensor(graph, "x", ZM_DTYPE_NONE, 2, shape),
                                        .recentre = is_converted(text) && !info->embedding_norm,
                                        .scale = info->embedding_scale};
    zm_graph_embedding(graph, &params);
    zm_tensor x = params.dst;
    if (info->embedding_norm)
        x = enter_norm(text, graph, x);
    x = zm_network_enter(&text->base, graph, x);
    zm_graph_observe(graph, "decoder.input", 0, x);
    return x;
}

void zm_text_build(zm_network *network, zm_graph *graph)
{
    zm_text_network *text = (zm_text_network *)network;
    const zm_text_info *info = &text->info;
    const zm_text_weights *weights = &text->weights;
    const zm_decoding *decoding = &network->decoding;
    settle_blocks(text);
    zm_decoding_begin(network, graph);
    zm_tensor x = enter(text, graph);
    for (uint32_t i = 0; i < info->layers; i++) {
        zm_block block = weights->blocks[i];
        zm_decoding_attend(network, &block.self);
        if (info->rotary_dim)
            block.self.rope = (zm_rope_params){
                .positions = zm_graph_rows(graph, decoding->places, 0, decoding->count),
                .rotary_dim = info->rotary_dim,
                .layout = info->rope_layout,
                .base = info->rope_base,
                .factors = weights->factors,
                .frequency_scale = info->rope_scale,
                .magnitude = info->rope_magnitude};
        zm_graph_device(graph, zm_network_device(network, i, info->layers));
        x = zm_graph_block(graph, &block, x);
        zm_graph_observe(graph, "decoder.layer", i, x);
    }
    zm_decoding_end(network, graph, &weights->blocks[0], &weights->last_norm, &weights->head, x);
}

/* ---- a network ---- */

static zm_status take_sizes(zm_text_network *text, const zm_model *model,
                            const zm_session_params *params)
{
    uint32_t wanted = params->positions, sequences = params->sequences ? params->sequences : 1;
    uint32_t logits = params->logits ? params->logits : sequences;
    uint32_t most = text->info.positions ? text->info.positions : UINT32_MAX;
    if (wanted > most)
        return zm_fail(&text->base.log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: is made for %u tokens; there can't be room for %u",
                       zm_model_get_info(model)->path, most, wanted);
    if (sequences > ZM_MAX_SEQUENCES || logits > BATCH)
        return zm_fail(&text->base.log, ZM_ERROR_INVALID_ARGUMENT,
                       "session: %u sequences and logits of %u tokens at once; there can be %u and "
                       "%u",
                       sequences, logits, ZM_MAX_SEQUENCES, BATCH);
    uint32_t usual = most < ZM_DEFAULT_POSITIONS ? most : ZM_DEFAULT_POSITIONS;
    text->base.info = (zm_session_info){text->info.vocabulary, wanted ? wanted : usual, sequences,
                                        logits, text->base.norm};
    return ZM_OK;
}

static zm_status text_create(zm_network *network, const zm_model *model,
                             const zm_session_params *params)
{
    zm_text_network *text = (zm_text_network *)network;
    const zm_model_info *info = zm_model_get_info(model);
    text->info = info->text;
    text->eps = info->eps;
    zm_status status = take_sizes(text, model, params);
    if (status == ZM_OK)
        status = zm_network_check_layers(network, "decoder", text->info.layers);
    if (status == ZM_OK)
        status = zm_text_load_weights(text, model, params);
    if (status == ZM_OK)
        status = create_state(text);
    /* Where a device takes over what another one can't do, it copies weights. */
    if (status == ZM_OK)
        status = zm_network_wait(network);
    if (status == ZM_OK)
        status = zm_network_compile(network, zm_text_build, &params->compile,
                                    &network->decoding.pipeline);
    if (status == ZM_OK)
        status = zm_network_wait(network);
    return status;
}

static void text_destroy(zm_network *network)
{
    free(((zm_text_network *)network)->weights.blocks);
}

const zm_network_fns zm_network_text = {.architecture = ZM_ARCHITECTURE_TEXT,
                                        .size = sizeof(zm_text_network),
                                        .create = text_create,
                                        .destroy = text_destroy};
