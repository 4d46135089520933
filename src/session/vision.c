/* SPDX-License-Identifier: Apache-2.0 */
#include "session/vision.h"

#include <math.h>
#include <stdlib.h>

#include "session/kv_cache.h"

/* ---- the graphs ---- */

static zm_tensor matrix(zm_graph *graph, const char *name, zm_size rows, uint32_t cols)
{
    const zm_size shape[] = {rows, cols};
    return zm_graph_tensor(graph, name, ZM_DTYPE_NONE, 2, shape);
}

static void settle_blocks(const zm_vision_network *vision, zm_vision_tower *tower, bool causal,
                          zm_size length)
{
    for (uint32_t i = 0; i < tower->info.layers; i++) {
        zm_block *block = &tower->weights.blocks[i];
        block->norm = zm_network_block_norm(vision->base.norm);
        block->eps = tower->info.eps;
        block->self.causal = causal;
        block->self.length = length;
        block->mlp.activation = tower->info.activation;
    }
}

/* A token of the model's own, with its position. */
static void enter_token(zm_graph *graph, const zm_vision_weights *weights, zm_tensor token,
                        uint32_t row, zm_tensor x)
{
    const zm_add_params params = {.x = token,
                                  .y = zm_tensor_rows(weights->positions, row, 1),
                                  .dst = zm_graph_rows(graph, x, row, 1)};
    zm_graph_add(graph, &params);
}

/* A norm in front of the main branch gives a mean to it by its weights. */
static zm_tensor enter_norm(const zm_vision_network *vision, zm_graph *graph,
                            const zm_vision_tower *tower, zm_tensor x)
{
    const zm_block block = {.norm = ZM_BLOCK_LAYER_NORM, .eps = tower->info.eps};
    x = zm_graph_block_norm(graph, &block, &tower->weights.entry_norm, x);
    if (vision->base.norm != ZM_NORM_RMS)
        return x;
    const zm_add_params params = {.x = x, .dst = matrix(graph, "x", x.shape[0], x.shape[1])};
    zm_graph_recentre(graph, &params);
    return params.dst;
}

/* Patches behind the class token: the first values of the main branch. Their weights have been
 * recentred where the model has been converted. */
static zm_tensor enter_image(const zm_vision_network *vision, zm_graph *graph,
                             const zm_vision_tower *tower)
{
    const zm_encoder_info *info = &tower->info;
    const zm_vision_weights *weights = &tower->weights;
    const uint32_t first = vision->info.distilled ? 2 : 1;
    zm_tensor x = matrix(graph, "x", info->positions, info->d);
    const zm_patch_embedding_params params = {
        .x = tower->pixels,
        .weight = weights->patches.weight,
        .bias = weights->patches.bias,
        .position = zm_tensor_rows(weights->positions, first, info->positions - first),
        .dst = zm_graph_rows(graph, x, first, info->positions - first),
        .patch = info->patch};
    zm_graph_patch_embedding(graph, &params);
    enter_token(graph, weights, weights->first, 0, x);
    if (vision->info.distilled)
        enter_token(graph, weights, weights->second, 1, x);
    if (vision->info.entry_norm)
        x = enter_norm(vision, graph, tower, x);
    zm_graph_observe(graph, "encoder.input", 0, x);
    return x;
}

static zm_tensor run_layers(const zm_vision_network *vision, zm_graph *graph, const char *what,
                            const zm_vision_tower *tower, zm_tensor x)
{
    for (uint32_t i = 0; i < tower->info.layers; i++) {
        zm_graph_device(graph, zm_network_device(&vision->base, i, tower->info.layers));
        x = zm_graph_block(graph, &tower->weights.blocks[i], x);
        zm_graph_observe(graph, what, i, x);
    }
    return x;
}

static zm_tensor last_norm(zm_graph *graph, const zm_vision_tower *tower, zm_tensor row)
{
    return zm_graph_block_norm(graph, &tower->weights.blocks[0], &tower->weights.last_norm, row);
}

/* row: normed. residual optional. */
static void put_linear(zm_graph *graph, const zm_linear *linear, zm_tensor row, zm_tensor residual,
                       zm_tensor dst)
{
    const zm_matmul_params params = {
        .x = row, .weight = linear->weight, .bias = linear->bias, .residual = residual, .dst = dst};
    zm_graph_matmul(graph, &params);
}

static void put_embedding(zm_graph *graph, const zm_vision_tower *tower, zm_tensor row)
{
    const zm_tensor none = {0};
    if (tower->weights.embedding.weight.buffer) {
        put_linear(graph, &tower->weights.embedding, row, none, tower->output);
    } else {
        const zm_copy_params params = {.x = row, .dst = tower->output};
        zm_graph_copy(graph, &params);
    }
    zm_graph_observe(graph, "embedding", 0, tower->output);
}

void zm_vision_build_image(zm_network *network, zm_graph *graph)
{
    const zm_tensor none = {0};
    zm_vision_network *vision = (zm_vision_network *)network;
    zm_vision_tower *tower = &vision->towers[ZM_TOWER_IMAGE];
    const zm_vision_weights *weights = &tower->weights;
    settle_blocks(vision, tower, false, tower->info.positions);
    zm_tensor x = enter_image(vision, graph, tower);
    x = run_layers(vision, graph, "encoder.layer", tower, x);
    zm_tensor row = last_norm(graph, tower, zm_graph_rows(graph, x, 0, 1));
    put_embedding(graph, tower, row);
    if (!weights->head.weight.buffer)
        return;
    put_linear(graph, &weights->head, row, none, tower->logits);
    if (weights->second_head.weight.buffer)
        put_linear(graph, &weights->second_head,
                   last_norm(graph, tower, zm_graph_rows(graph, x, 1, 1)), tower->logits,
                   tower->logits);
    zm_graph_observe(graph, "logits", 0, tower->logits);
}

void zm_vision_build_text(zm_network *network, zm_graph *graph)
{
    zm_vision_network *vision = (zm_vision_network *)network;
    zm_vision_tower *tower = &vision->towers[ZM_TOWER_TEXT];
    const zm_encoder_info *info = &tower->info;
    tower->count = zm_graph_symbol(graph, "tokens", 1, info->positions);
    settle_blocks(vision, tower, true, tower->count);
    const zm_embedding_params enter = {
        .tokens = zm_graph_rows(graph, tower->numbers, 1, tower->count),
        .table = tower->weights.table,
        .position = zm_graph_rows(graph, tower->weights.positions, 0, tower->count),
        .dst = matrix(graph, "x", tower->count, info->d),
        .recentre = vision->base.norm == ZM_NORM_RMS};
    zm_graph_embedding(graph, &enter);
    zm_graph_observe(graph, "decoder.input", 0, enter.dst);
    zm_tensor x = run_layers(vision, graph, "decoder.layer", tower, enter.dst);
    const zm_embedding_params end = {.tokens = zm_graph_rows(graph, tower->numbers, 0, 1),
                                     .table = x,
                                     .dst = matrix(graph, "end", 1, info->d)};
    zm_graph_embedding(graph, &end);
    put_embedding(graph, tower, last_norm(graph, tower, end.dst));
}

/* ---- memory ---- */

/* One cache for all layers of a device. */
static zm_status create_caches(zm_vision_network *vision, zm_vision_tower *tower)
{
    zm_network *network = &vision->base;
    const zm_encoder_info *info = &tower->info;
    zm_block *blocks = tower->weights.blocks;
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < info->layers && status == ZM_OK; i++) {
        uint32_t device = zm_network_device(network, i, info->layers);
        if (i > 0 && device == zm_network_device(network, i - 1, info->layers))
            blocks[i].self.cache = blocks[i - 1].self.cache;
        else
            status = zm_kv_cache_create(&network->storages[device], network->streams[device],
                                        info->heads, info->d / info->heads, info->positions, 1,
                                        &blocks[i].self.cache);
    }
    return status;
}

static zm_status create_pixels(zm_vision_network *vision, zm_vision_tower *tower)
{
    zm_storage *storage = &vision->base.storages[0];
    const uint32_t side = tower->info.image, channels = tower->info.channels;
    zm_buffer *buffer;
    zm_status status =
        zm_storage_buffer(storage, (uint64_t)channels * side * side, storage->real_type, &buffer);
    if (status == ZM_OK)
        tower->pixels = (zm_tensor){.buffer = buffer,
                                    .dtype = storage->real_type,
                                    .rank = 3,
                                    .shape = {channels, side, side}};
    return status;
}

static zm_status create_numbers(zm_vision_network *vision, zm_vision_tower *tower)
{
    zm_buffer *buffer;
    const uint32_t count = 1 + tower->info.positions;
    zm_status status = zm_storage_buffer(&vision->base.storages[0], count, ZM_I32, &buffer);
    if (status == ZM_OK)
        tower->numbers = zm_tensor_1d(buffer, ZM_I32, count);
    return status;
}

static zm_status create_tower(zm_vision_network *vision, zm_tower kind)
{
    zm_vision_tower *tower = &vision->towers[kind];
    zm_storage *last = &vision->base.storages[vision->base.device_count - 1];
    zm_status status = create_caches(vision, tower);
    if (status == ZM_OK)
        status =
            kind == ZM_TOWER_IMAGE ? create_pixels(vision, tower) : create_numbers(vision, tower);
    if (status == ZM_OK)
        status = zm_storage_matrix(last, 1, tower->info.embedding, &tower->output);
    if (status == ZM_OK && tower->weights.head.weight.buffer)
        status = zm_storage_matrix(last, 1, vision->info.labels, &tower->logits);
    return status;
}

static zm_status reserve_staging(zm_vision_network *vision)
{
    const zm_encoder_info *image = &vision->info.image, *text = &vision->info.text;
    const uint64_t needs[] = {(uint64_t)image->channels * image->image * image->image,
                              (uint64_t)image->positions * image->d,
                              (uint64_t)text->positions * text->d,
                              image->embedding,
                              text->embedding,
                              vision->info.labels};
    uint64_t most = 0;
    for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
        most = needs[i] > most ? needs[i] : most;
    return zm_network_reserve_staging(&vision->base, most);
}

static zm_status check_params(const zm_vision_network *vision, const zm_session_params *params)
{
    const zm_network *network = &vision->base;
    zm_status status = ZM_OK;
    if (params->sequences > 1)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED,
                       "session: %u sequences; a model of images has one", params->sequences);
    for (int i = 0; i < ZM_TOWER_COUNT && status == ZM_OK; i++)
        if (vision->towers[i].info.d)
            status = zm_network_check_layers(network, "encoder", vision->towers[i].info.layers);
    return status;
}

static zm_status compile(zm_vision_network *vision, const zm_compile_params *params)
{
    zm_network *network = &vision->base;
    zm_status status = ZM_OK;
    if (vision->info.image.d)
        status = zm_network_compile(network, zm_vision_build_image, params, &network->encoder);
    if (status == ZM_OK && vision->info.text.d)
        status =
            zm_network_compile(network, zm_vision_build_text, params, &network->decoding.pipeline);
    return status;
}

static zm_status vision_create(zm_network *network, const zm_model *model,
                               const zm_session_params *params)
{
    zm_vision_network *vision = (zm_vision_network *)network;
    const zm_model_info *info = zm_model_get_info(model);
    vision->info = info->vision;
    network->info = (zm_session_info){.norm = network->norm};
    vision->towers[ZM_TOWER_IMAGE].info = info->vision.image;
    vision->towers[ZM_TOWER_TEXT].info = info->vision.text;
    zm_status status = check_params(vision, params);
    if (status == ZM_OK)
        status = zm_vision_load_weights(vision, model, params);
    for (int i = 0; i < ZM_TOWER_COUNT && status == ZM_OK; i++)
        if (vision->towers[i].info.d)
            status = create_tower(vision, (zm_tower)i);
    if (status == ZM_OK)
        status = reserve_staging(vision);
    /* Where a device takes over what another one can't do, it copies weights. */
    if (status == ZM_OK && network->device_count > 1)
        status = zm_network_wait(network);
    if (status == ZM_OK)
        status = compile(vision, &params->compile);
    if (status == ZM_OK)
        status = zm_network_wait(network);
    return status;
}

static void vision_destroy(zm_network *network)
{
    zm_vision_network *vision = (zm_vision_network *)network;
    for (int i = 0; i < ZM_TOWER_COUNT; i++)
        free(vision->towers[i].weights.blocks);
}

/* ---- runs ---- */

static zm_status embed_image(zm_network *network, const float *pixels, float *embedding,
                             float *logits)
{
    zm_vision_network *vision = (zm_vision_network *)network;
    const zm_vision_tower *tower = &vision->towers[ZM_TOWER_IMAGE];
    if (!tower->info.d)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "embed: the model reads no images");
    if (logits && !tower->logits.buffer)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "embed: the model is no classifier");
    zm_status status = zm_network_write(network, &tower->pixels, pixels);
    if (status == ZM_OK)
        status = zm_network_run(network, network->encoder);
    if (status == ZM_OK && embedding)
        status = zm_network_read(network, &tower->output, embedding);
    for (uint32_t i = 0;
         status == ZM_OK && embedding && vision->info.pooler && i < tower->info.embedding; i++)
        embedding[i] = tanhf(embedding[i]);
    if (status == ZM_OK && logits)
        status = zm_network_read(network, &tower->logits, logits);
    return status;
}

/* The place of the token whose row is the embedding, or the number of tokens. */
static uint32_t find_end(const zm_encoder_info *info, const int32_t *tokens, uint32_t count)
{
    uint32_t end = 0;
    if (info->end_token >= 0) {
        while (end < count && tokens[end] != info->end_token)
            end++;
        return end;
    }
    for (uint32_t i = 1; i < count; i++)
        if (tokens[i] > tokens[end])
            end = i;
    return end;
}

static zm_status check_tokens(const zm_network *network, const zm_encoder_info *info,
                              const int32_t *tokens, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= info->vocabulary)
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "embed: token %d is outside the vocabulary of %u", tokens[i],
                           info->vocabulary);
    uint32_t end = find_end(info, tokens, count);
    if (end >= count)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "embed: the text has no end token %d", info->end_token);
    if (end >= info->positions)
        return zm_fail(&network->log, ZM_ERROR_LIMIT,
                       "embed: a text of %u tokens; there is room for %u", end + 1,
                       info->positions);
    return ZM_OK;
}

/* No token sees those behind it: what stands behind the end needs no work. */
static zm_status embed_text(zm_network *network, const int32_t *tokens, uint32_t count,
                            float *embedding)
{
    zm_vision_network *vision = (zm_vision_network *)network;
    const zm_vision_tower *tower = &vision->towers[ZM_TOWER_TEXT];
    if (!tower->info.d)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED, "embed: the model reads no text");
    zm_status status = check_tokens(network, &tower->info, tokens, count);
    if (status != ZM_OK)
        return status;
    const int32_t end = (int32_t)find_end(&tower->info, tokens, count);
    zm_buffer *buffer = tower->numbers.buffer;
    status = zm_buffer_write(network->streams[0], buffer, 0, &end, sizeof(end));
    if (status == ZM_OK)
        status = zm_buffer_write(network->streams[0], buffer, sizeof(end), tokens,
                                 ((uint64_t)end + 1) * sizeof(*tokens));
    if (status == ZM_OK)
        status = zm_pipeline_set(network->decoding.pipeline, tower->count, (uint32_t)end + 1);
    if (status == ZM_OK)
        status = zm_network_run(network, network->decoding.pipeline);
    return status == ZM_OK && embedding ? zm_network_read(network, &tower->output, embedding)
                                        : status;
}

const zm_network_fns zm_network_vision = {.architecture = ZM_ARCHITECTURE_VISION,
                                          .size = sizeof(zm_vision_network),
                                          .create = vision_create,
                                          .destroy = vision_destroy,
                                          .embed_image = embed_image,
                                          .embed_text = embed_text};
