/* SPDX-License-Identifier: Apache-2.0 */
#include "session/text.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "session/kv_cache.h"

#define DEFAULT_POSITIONS 4096u
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
                                    info->kv_heads, info->head_dim, text->positions,
                                    &text->weights.blocks[i].self.cache);
    }
    return status;
}

static zm_status create_tokens(zm_text_network *text, uint32_t count, zm_tensor *out)
{
    zm_buffer *buffer = NULL;
    zm_status status = zm_storage_buffer(&text->base.storages[0], count, ZM_I32, &buffer);
    if (status == ZM_OK)
        *out = zm_tensor_1d(buffer, ZM_I32, count);
    return status;
}

/* Positions are numbers that rope reads: all of them, of which a run takes its own. */
static zm_status create_numbers(zm_text_network *text)
{
    zm_status status = create_tokens(text, text->positions, &text->numbers);
    int32_t *numbers = status == ZM_OK ? zm_calloc(text->positions, sizeof(*numbers)) : NULL;
    if (status == ZM_OK && !numbers)
        return zm_fail(&text->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    for (uint32_t i = 0; status == ZM_OK && i < text->positions; i++)
        numbers[i] = (int32_t)i;
    if (status == ZM_OK)
        status = zm_buffer_write(text->base.streams[0], text->numbers.buffer, 0, numbers,
                                 text->positions * sizeof(*numbers));
    free(numbers);
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

static zm_status create_slopes(zm_text_network *text)
{
    zm_storage *storage = &text->base.storages[0];
    uint32_t heads = text->info.heads;
    zm_buffer *buffer = NULL;
    double *slopes = zm_calloc(heads, 2 * sizeof(*slopes));
    if (!slopes)
        return zm_fail(&text->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    for (uint32_t i = 0; i < heads; i++)
        slopes[i] = slope_of(i, heads);
    zm_convert_reals(slopes + heads, storage->real_type, slopes, ZM_F64, heads);
    zm_status status = zm_storage_buffer(storage, heads, storage->real_type, &buffer);
    if (status == ZM_OK)
        status = zm_buffer_write(text->base.streams[0], buffer, 0, slopes + heads,
                                 heads * zm_dtype_size(storage->real_type));
    if (status == ZM_OK)
        text->weights.slopes = zm_tensor_1d(buffer, storage->real_type, heads);
    free(slopes);
    return status;
}

static zm_status create_state(zm_text_network *text)
{
    zm_network *network = &text->base;
    zm_storage *last = &network->storages[network->device_count - 1];
    uint64_t rows = (uint64_t)text->batch * text->info.d;
    zm_status status = create_tokens(text, text->batch, &text->tokens);
    if (status == ZM_OK && text->info.rotary_dim)
        status = create_numbers(text);
    if (status == ZM_OK && text->info.alibi)
        status = create_slopes(text);
    if (status == ZM_OK)
        status = zm_storage_matrix(last, 1, text->info.vocabulary, &text->logits);
    if (status == ZM_OK)
        status = create_caches(text);
    if (status == ZM_OK)
        status = zm_network_reserve_staging(
            network, rows > text->info.vocabulary ? rows : text->info.vocabulary);
    return status;
}

/* ---- the graph ---- */

static zm_block_norm norm_of(const zm_text_network *text)
{
    return text->norm == ZM_NORM_RMS ? ZM_BLOCK_RMS_NORM : ZM_BLOCK_LAYER_NORM;
}

static void settle_blocks(zm_text_network *text)
{
    const zm_text_info *info = &text->info;
    for (uint32_t i = 0; i < info->layers; i++) {
        zm_block *block = &text->weights.blocks[i];
        block->norm = norm_of(text);
        block->eps = text->eps;
        block->parallel = info->parallel;
        block->self.heads = info->heads;
        block->self.causal = true;
        block->self.window = info->window;
        block->self.slopes = text->weights.slopes;
        block->mlp.activation = info->activation;
        block->mlp.gated = info->gated;
    }
}

/* The first values of the main branch. */
static zm_tensor enter(const zm_text_network *text, zm_graph *graph, zm_size position)
{
    const zm_text_info *info = &text->info;
    const zm_text_weights *weights = &text->weights;
    const zm_size shape[] = {text->count, info->d};
    zm_tensor positions = weights->positions;
    if (positions.buffer) {
        positions = zm_tensor_rows(positions, info->first_position,
                                   info->position_rows - info->first_position);
        positions = zm_graph_rows(graph, positions, position, text->count);
    }
    const zm_embedding_params params = {.tokens = zm_tensor_rows(text->tokens, 0, text->count),
                                        .table = weights->table,
                                        .position = positions,
                                        .dst =
                                            zm_graph_tensor(graph, "x", ZM_DTYPE_NONE, 2, shape)};
    zm_graph_embedding(graph, &params);
    zm_tensor x = params.dst;
    if (info->embedding_norm) {
        const zm_block block = {.norm = norm_of(text), .eps = text->eps};
        x = zm_graph_block_norm(graph, &block, &weights->embedding_norm, x);
    }
    zm_graph_observe(graph, "decoder.input", 0, x);
    return x;
}

/* Only the last row is asked for. */
static void predict(const zm_text_network *text, zm_graph *graph, zm_tensor x)
{
    const zm_linear *head = &text->weights.head;
    zm_size last = zm_graph_difference(graph, text->count, 1);
    zm_tensor row = zm_graph_rows(graph, x, last, 1);
    const zm_matmul_params params = {
        .x = zm_graph_block_norm(graph, &text->weights.blocks[0], &text->weights.last_norm, row),
        .weight = head->weight,
        .bias = head->bias,
        .scale = {.column_sums = head->column_sums},
        .dst = text->logits};
    zm_graph_matmul(graph, &params);
    zm_graph_observe(graph, "logits", 0, params.dst);
}

static void build(zm_text_network *text, zm_graph *graph)
{
    const zm_text_info *info = &text->info;
    text->count = zm_graph_symbol(graph, "tokens", 1, text->batch);
    text->length = zm_graph_symbol(graph, "length", 1, text->positions);
    zm_size position = zm_graph_difference(graph, text->length, text->count);
    zm_tensor x = enter(text, graph, position);
    for (uint32_t i = 0; i < info->layers; i++) {
        zm_block block = text->weights.blocks[i];
        block.self.position = position;
        block.self.length = text->length;
        if (info->rotary_dim)
            block.self.rope = (zm_rope_params){
                .positions = zm_graph_rows(graph, text->numbers, position, text->count),
                .rotary_dim = info->rotary_dim,
                .layout = info->rope_layout,
                .base = info->rope_base,
                .frequency_scale = info->rope_scale};
        zm_graph_device(graph, zm_network_device(&text->base, i, info->layers));
        x = zm_graph_block(graph, &block, x);
        zm_graph_observe(graph, "decoder.layer", i, x);
    }
    predict(text, graph, x);
}

static zm_status compile(zm_text_network *text, const zm_compile_params *params)
{
    zm_graph *graph = NULL;
    zm_status status = zm_graph_create(&text->base.log, &graph);
    if (status != ZM_OK)
        return status;
    build(text, graph);
    status = zm_pipeline_compile(graph, text->base.devices, text->base.device_count, params,
                                 &text->decoder);
    zm_graph_destroy(&graph);
    return status;
}

/* ---- a network ---- */

static zm_status take_positions(zm_text_network *text, const zm_model *model, uint32_t wanted)
{
    uint32_t most = text->info.positions ? text->info.positions : UINT32_MAX;
    if (wanted > most)
        return zm_fail(&text->base.log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: is made for %u tokens; there can't be room for %u",
                       zm_model_get_info(model)->path, most, wanted);
    text->positions = wanted ? wanted : most < DEFAULT_POSITIONS ? most : DEFAULT_POSITIONS;
    text->base.info = (zm_session_info){text->info.vocabulary, text->positions};
    text->batch = text->positions < BATCH ? text->positions : BATCH;
    return ZM_OK;
}

static zm_status text_create(zm_network *network, const zm_model *model,
                             const zm_session_params *params)
{
    zm_text_network *text = (zm_text_network *)network;
    const zm_model_info *info = zm_model_get_info(model);
    text->info = info->text;
    text->norm = info->norm;
    text->eps = info->eps;
    zm_status status = take_positions(text, model, params->positions);
    if (status == ZM_OK)
        status = zm_network_check_layers(network, "decoder", text->info.layers);
    if (status == ZM_OK)
        status = zm_text_load_weights(text, model, params);
    if (status == ZM_OK)
        status = create_state(text);
    if (status == ZM_OK)
        settle_blocks(text);
    /* Where a device takes over what another one can't do, it copies weights. */
    if (status == ZM_OK && network->device_count > 1)
        status = zm_network_wait(network);
    if (status == ZM_OK)
        status = compile(text, &params->compile);
    if (status == ZM_OK)
        status = zm_network_wait(network);
    return status;
}

static void text_destroy(zm_network *network)
{
    zm_text_network *text = (zm_text_network *)network;
    zm_pipeline_destroy(&text->decoder);
    free(text->weights.blocks);
}

static zm_status check_tokens(const zm_text_network *text, const int32_t *tokens, uint32_t count)
{
    const zm_log *log = &text->base.log;
    if (count > text->positions - text->position)
        return zm_fail(log, ZM_ERROR_LIMIT,
                       "decode: %u tokens behind position %u; there is room for %u", count,
                       text->position, text->positions);
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= text->info.vocabulary)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: token %d is outside the vocabulary of %u", tokens[i],
                           text->info.vocabulary);
    return ZM_OK;
}

static zm_status run(zm_text_network *text, uint32_t position, const int32_t *tokens,
                     uint32_t count)
{
    zm_status status = zm_buffer_write(text->base.streams[0], text->tokens.buffer, 0, tokens,
                                       count * sizeof(*tokens));
    if (status == ZM_OK)
        status = zm_pipeline_set(text->decoder, text->count, count);
    if (status == ZM_OK)
        status = zm_pipeline_set(text->decoder, text->length, position + count);
    return status == ZM_OK ? zm_network_run(&text->base, text->decoder) : status;
}

static zm_status text_decode(zm_network *network, const int32_t *tokens, uint32_t count,
                             float *logits)
{
    zm_text_network *text = (zm_text_network *)network;
    zm_status status = check_tokens(text, tokens, count);
    for (uint32_t i = 0, piece; i < count && status == ZM_OK; i += piece) {
        piece = count - i < text->batch ? count - i : text->batch;
        status = run(text, text->position + i, tokens + i, piece);
    }
    if (status == ZM_OK)
        status = zm_network_read(network, &text->logits, logits);
    if (status == ZM_OK)
        text->position += count;
    return status;
}

static zm_status text_rewind(zm_network *network, uint32_t position)
{
    zm_text_network *text = (zm_text_network *)network;
    if (position > text->position)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "rewind: position %u is behind the %u tokens that are there", position,
                       text->position);
    text->position = position;
    return ZM_OK;
}

static const zm_pipeline *text_pipeline(const zm_network *network, zm_part part)
{
    return part == ZM_PART_DECODER ? ((const zm_text_network *)network)->decoder : NULL;
}

const zm_network_fns zm_network_text = {.architecture = ZM_ARCHITECTURE_TEXT,
                                        .size = sizeof(zm_text_network),
                                        .create = text_create,
                                        .destroy = text_destroy,
                                        .decode = text_decode,
                                        .rewind = text_rewind,
                                        .pipeline = text_pipeline};
