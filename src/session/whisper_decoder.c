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
static zm_status embed(const zm_whisper *whisper, const zm_workspace *space, const int32_t *tokens)
{
    uint32_t count = space->x.shape[0];
    zm_buffer *buffer = whisper->scratch.tokens;
    zm_status status = zm_buffer_write(space->stream, buffer, 0, tokens, count * sizeof(*tokens));
    zm_embedding_params params = {
        .tokens = zm_tensor_1d(buffer, ZM_I32, count),
        .table = whisper->weights.table,
        .position = zm_tensor_rows(whisper->weights.decoder_positions, whisper->position, count),
        .dst = space->x,
        .recentre = whisper->norm == ZM_NORM_RMS};
    return status == ZM_OK ? zm_embedding(space->stream, &params) : status;
}

static zm_status run_blocks(zm_whisper *whisper, const zm_workspace *space)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < whisper->info.decoder_layers && status == ZM_OK; i++) {
        const zm_block *block = &whisper->weights.decoder[i];
        status = zm_block_self_attention(space, block, &whisper->scratch.decoder[i],
                                         whisper->position, true);
        if (status == ZM_OK)
            status = zm_block_cross_attention(space, block, &whisper->scratch.cross[i],
                                              whisper->info.encoder_positions);
        if (status == ZM_OK)
            status = zm_block_mlp(space, block);
        if (status == ZM_OK)
            status = zm_network_observe(&whisper->base, "decoder.layer", i, &space->x);
    }
    return status;
}

/* Only the last row is asked for. */
static zm_status predict(const zm_whisper *whisper, const zm_workspace *space)
{
    zm_tensor x = zm_tensor_rows(space->x, space->x.shape[0] - 1, 1);
    zm_tensor y = zm_tensor_rows(space->y, 0, 1);
    zm_linear head = {.weight = whisper->weights.table};
    zm_status status = zm_block_norm(space, x, &whisper->weights.decoder_norm, y);
    if (status == ZM_OK)
        status = zm_block_linear(space, y, &head, ZM_ACTIVATION_NONE, (zm_tensor){0},
                                 whisper->scratch.logits);
    return status;
}

zm_status zm_whisper_decode(zm_network *network, const int32_t *tokens, uint32_t count,
                            float *logits)
{
    zm_whisper *whisper = (zm_whisper *)network;
    zm_status status = check_tokens(whisper, tokens, count);
    if (status != ZM_OK)
        return status;
    zm_workspace space = zm_whisper_workspace(whisper, count, whisper->info.decoder_ff);
    status = embed(whisper, &space, tokens);
    if (status == ZM_OK)
        status = zm_network_observe(network, "decoder.input", 0, &space.x);
    if (status == ZM_OK)
        status = run_blocks(whisper, &space);
    if (status == ZM_OK)
        status = predict(whisper, &space);
    if (status == ZM_OK)
        status = zm_network_observe(network, "logits", 0, &whisper->scratch.logits);
    if (status == ZM_OK)
        status = zm_network_read(network, &whisper->scratch.logits, logits);
    if (status == ZM_OK)
        whisper->position += count;
    return status;
}
