/* SPDX-License-Identifier: Apache-2.0 */
#include "session/decoding.h"

#include "session/network.h"

zm_status zm_decoding_create(zm_network *network, uint32_t batch)
{
    zm_decoding *decoding = &network->decoding;
    zm_storage *last = &network->storages[network->device_count - 1];
    zm_buffer *tokens = NULL;
    zm_status status = zm_storage_buffer(&network->storages[0], batch, ZM_I32, &tokens);
    if (status == ZM_OK)
        status = zm_storage_matrix(last, 1, network->info.vocabulary, &decoding->logits);
    decoding->tokens = zm_tensor_1d(tokens, ZM_I32, batch);
    decoding->batch = batch;
    return status;
}

/* ---- the graph ---- */

zm_size zm_decoding_begin(zm_network *network, zm_graph *graph)
{
    zm_decoding *decoding = &network->decoding;
    decoding->count = zm_graph_symbol(graph, "tokens", 1, decoding->batch);
    decoding->length = zm_graph_symbol(graph, "length", 1, network->info.positions);
    return zm_graph_difference(graph, decoding->length, decoding->count);
}

void zm_decoding_end(zm_network *network, zm_graph *graph, const zm_block *block,
                     const zm_norm_weights *norm, const zm_linear *head, zm_tensor x)
{
    const zm_decoding *decoding = &network->decoding;
    zm_size last = zm_graph_difference(graph, decoding->count, 1);
    zm_tensor row = zm_graph_rows(graph, x, last, 1);
    const zm_matmul_params params = {.x = zm_graph_block_norm(graph, block, norm, row),
                                     .weight = head->weight,
                                     .bias = head->bias,
                                     .scale = {.column_sums = head->column_sums},
                                     .dst = decoding->logits};
    zm_graph_matmul(graph, &params);
    zm_graph_observe(graph, "logits", 0, params.dst);
}

/* ---- runs ---- */

static zm_status check_tokens(const zm_network *network, const int32_t *tokens, uint32_t count)
{
    const zm_session_info *info = &network->info;
    uint32_t position = network->decoding.position;
    if (count > info->positions - position)
        return zm_fail(&network->log, ZM_ERROR_LIMIT,
                       "decode: %u tokens behind position %u; there is room for %u", count,
                       position, info->positions);
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= info->vocabulary)
            return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: token %d is outside the vocabulary of %u", tokens[i],
                           info->vocabulary);
    return ZM_OK;
}

static zm_status piece_run(zm_network *network, uint32_t position, const int32_t *tokens,
                           uint32_t count)
{
    const zm_decoding *decoding = &network->decoding;
    zm_status status = zm_buffer_write(network->streams[0], decoding->tokens.buffer, 0, tokens,
                                       count * sizeof(*tokens));
    if (status == ZM_OK)
        status = zm_pipeline_set(decoding->pipeline, decoding->count, count);
    if (status == ZM_OK)
        status = zm_pipeline_set(decoding->pipeline, decoding->length, position + count);
    return status == ZM_OK ? zm_network_run(network, decoding->pipeline) : status;
}

zm_status zm_decoding_run(zm_network *network, const int32_t *tokens, uint32_t count, float *logits)
{
    zm_decoding *decoding = &network->decoding;
    zm_status status = check_tokens(network, tokens, count);
    for (uint32_t i = 0, piece; i < count && status == ZM_OK; i += piece) {
        piece = count - i < decoding->batch ? count - i : decoding->batch;
        status = piece_run(network, decoding->position + i, tokens + i, piece);
    }
    if (status == ZM_OK)
        status = zm_network_read(network, &decoding->logits, logits);
    if (status == ZM_OK)
        decoding->position += count;
    return status;
}

zm_status zm_decoding_rewind(zm_network *network, uint32_t position)
{
    zm_decoding *decoding = &network->decoding;
    if (position > decoding->position)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "rewind: position %u is behind the decoder's %u tokens", position,
                       decoding->position);
    decoding->position = position;
    return ZM_OK;
}
