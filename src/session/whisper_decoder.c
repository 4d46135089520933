/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

static zm_status check_tokens(const zm_whisper *whisper, const int32_t *tokens, uint32_t count)
{
    const zm_log *log = &whisper->base.log;
    if (!whisper->encoded)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "decode: nothing is encoded yet");
    if (count > whisper->info.decoder_positions - whisper->position)
        return zm_fail(log, ZM_ERROR_LIMIT,
                       "decode: %u tokens behind position %u; the model has room for %u", count,
                       whisper->position, whisper->info.decoder_positions);
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i] < 0 || (uint32_t)tokens[i] >= whisper->info.vocabulary)
            return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                           "decode: token %d is outside the vocabulary of %u", tokens[i],
                           whisper->info.vocabulary);
    }
    return ZM_OK;
}

/* The table is also the head, which reads its mean: an RMSNorm model keeps the table as it is and
 * takes the mean out of the rows here. */
static zm_tensor embed(const zm_whisper *whisper, zm_graph *graph, zm_size position)
{
    const zm_size shape[] = {whisper->tokens, whisper->info.d};
    const zm_whisper_weights *weights = &whisper->weights;
    zm_tensor positions = weights->decoder_positions;
    const zm_embedding_params params = {
        .tokens = zm_tensor_rows(whisper->state.tokens, 0, whisper->tokens),
        .table = weights->table,
        .position = zm_graph_rows(graph, positions, position, whisper->tokens),
        .dst = zm_graph_tensor(graph, "x", ZM_DTYPE_NONE, 2, shape),
        .recentre = whisper->norm == ZM_NORM_RMS};
    zm_graph_embedding(graph, &params);
    zm_graph_observe(graph, "decoder.input", 0, params.dst);
    return params.dst;
}

/* Only the last row is asked for. */
static void predict(const zm_whisper *whisper, zm_graph *graph, zm_tensor x)
{
    const zm_whisper_weights *weights = &whisper->weights;
    zm_size last = zm_graph_difference(graph, whisper->tokens, 1);
    zm_tensor row = zm_graph_rows(graph, x, last, 1);
    const zm_matmul_params head = {
        .x = zm_graph_block_norm(graph, &weights->decoder[0], &weights->decoder_norm, row),
        .weight = weights->head.weight,
        .bias = weights->head.bias,
        .scale = {.column_sums = weights->head.column_sums},
        .dst = whisper->state.logits};
    zm_graph_matmul(graph, &head);
    zm_graph_observe(graph, "logits", 0, head.dst);
}

void zm_whisper_build_decoder(zm_whisper *whisper, zm_graph *graph)
{
    uint32_t most = whisper->info.decoder_positions;
    whisper->tokens = zm_graph_symbol(graph, "tokens", 1, most);
    whisper->length = zm_graph_symbol(graph, "length", 1, most);
    zm_size position = zm_graph_difference(graph, whisper->length, whisper->tokens);
    zm_tensor x = embed(whisper, graph, position);
    for (uint32_t i = 0; i < whisper->info.decoder_layers; i++) {
        zm_block block = whisper->weights.decoder[i];
        block.self.position = position;
        block.self.length = whisper->length;
        zm_graph_device(graph, zm_whisper_decoder_device(whisper, i));
        x = zm_graph_block(graph, &block, x);
        zm_graph_observe(graph, "decoder.layer", i, x);
    }
    predict(whisper, graph, x);
}

zm_status zm_whisper_decode(zm_network *network, const int32_t *tokens, uint32_t count,
                            float *logits)
{
    zm_whisper *whisper = (zm_whisper *)network;
    const zm_whisper_state *state = &whisper->state;
    zm_status status = check_tokens(whisper, tokens, count);
    if (status == ZM_OK)
        status = zm_buffer_write(network->streams[0], state->tokens.buffer, 0, tokens,
                                 count * sizeof(*tokens));
    if (status == ZM_OK)
        status = zm_pipeline_set(whisper->decoder, whisper->tokens, count);
    if (status == ZM_OK)
        status = zm_pipeline_set(whisper->decoder, whisper->length, whisper->position + count);
    if (status == ZM_OK)
        status = zm_network_run(network, whisper->decoder);
    if (status == ZM_OK)
        status = zm_network_read(network, &state->logits, logits);
    if (status == ZM_OK)
        whisper->position += count;
    return status;
}
