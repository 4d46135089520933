/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

#include <stdlib.h>

#include "common/alloc.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

zm_workspace zm_whisper_workspace(const zm_whisper *whisper, uint32_t rows, uint32_t ff)
{
    const zm_whisper_scratch *scratch = &whisper->scratch;
    return (zm_workspace){.network = &whisper->base,
                          .stream = whisper->base.stream,
                          .norm = whisper->norm,
                          .eps = whisper->eps,
                          .x = zm_tensor_rows(scratch->x, 0, rows),
                          .y = zm_tensor_rows(scratch->y, 0, rows),
                          .qkv = zm_tensor_rows(scratch->qkv, 0, rows),
                          .ff =
                              zm_tensor_2d(scratch->ff, whisper->base.storage.real_type, rows, ff)};
}

static zm_status create_caches(zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_scratch *scratch = &whisper->scratch;
    zm_storage *storage = &whisper->base.storage;
    zm_stream *stream = whisper->base.stream;
    uint32_t heads = info->decoder_heads, head_dim = info->d / heads;
    scratch->decoder = zm_calloc(info->decoder_layers, sizeof(zm_kv_cache));
    scratch->cross = zm_calloc(info->decoder_layers, sizeof(zm_kv_cache));
    if (!scratch->decoder || !scratch->cross)
        return zm_fail(&whisper->base.log, ZM_ERROR_OUT_OF_MEMORY, "session: out of memory");
    zm_status status =
        zm_kv_cache_create(storage, stream, info->encoder_heads, info->d / info->encoder_heads,
                           info->encoder_positions, &scratch->encoder);
    for (uint32_t i = 0; i < info->decoder_layers && status == ZM_OK; i++) {
        status = zm_kv_cache_create(storage, stream, heads, head_dim, info->decoder_positions,
                                    &scratch->decoder[i]);
        if (status == ZM_OK)
            status = zm_kv_cache_create(storage, stream, heads, head_dim, info->encoder_positions,
                                        &scratch->cross[i]);
    }
    return status;
}

static zm_status create_scratch(zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_whisper_scratch *scratch = &whisper->scratch;
    zm_storage *storage = &whisper->base.storage;
    uint64_t frames = 2 * (uint64_t)info->encoder_positions, d = info->d;
    uint64_t rows = larger(info->encoder_positions, info->decoder_positions);
    uint64_t ff = larger(rows * larger(info->encoder_ff, info->decoder_ff), frames * d);
    zm_status status = zm_storage_matrix(storage, frames, info->mel_bins, &scratch->mel);
    if (status == ZM_OK)
        status = zm_storage_matrix(storage, rows, d, &scratch->x);
    if (status == ZM_OK)
        status = zm_storage_matrix(storage, rows, d, &scratch->y);
    if (status == ZM_OK)
        status = zm_storage_matrix(storage, rows, 3 * d, &scratch->qkv);
    if (status == ZM_OK)
        status = zm_storage_buffer(storage, ff, storage->real_type, &scratch->ff);
    if (status == ZM_OK)
        status = zm_storage_buffer(storage, info->decoder_positions, ZM_I32, &scratch->tokens);
    if (status == ZM_OK)
        status = zm_storage_matrix(storage, 1, info->vocabulary, &scratch->logits);
    if (status == ZM_OK)
        status = create_caches(whisper);
    if (status == ZM_OK)
        status = zm_network_reserve_staging(
            &whisper->base, larger(larger(rows * d, info->vocabulary), frames * info->mel_bins));
    return status;
}

static zm_status whisper_create(zm_network *network, const zm_model *model,
                                const zm_session_params *params)
{
    zm_whisper *whisper = (zm_whisper *)network;
    const zm_model_info *info = zm_model_get_info(model);
    whisper->info = info->whisper;
    whisper->info.suppress = whisper->info.begin_suppress = NULL; /* the model's, not ours */
    whisper->info.suppress_count = whisper->info.begin_suppress_count = 0;
    whisper->norm = info->norm;
    whisper->eps = info->eps;
    zm_status status = zm_whisper_load_weights(whisper, model, params);
    if (status == ZM_OK)
        status = create_scratch(whisper);
    if (status == ZM_OK)
        status = zm_stream_wait(network->stream);
    return status;
}

static void whisper_destroy(zm_network *network)
{
    zm_whisper *whisper = (zm_whisper *)network;
    free(whisper->weights.encoder);
    free(whisper->weights.decoder);
    free(whisper->scratch.decoder);
    free(whisper->scratch.cross);
}

static zm_status whisper_rewind(zm_network *network, uint32_t position)
{
    zm_whisper *whisper = (zm_whisper *)network;
    if (position > whisper->position)
        return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT,
                       "rewind: position %u is behind the decoder's %u tokens", position,
                       whisper->position);
    whisper->position = position;
    return ZM_OK;
}

const zm_network_fns zm_network_whisper = {.architecture = ZM_ARCHITECTURE_WHISPER,
                                           .size = sizeof(zm_whisper),
                                           .create = whisper_create,
                                           .destroy = whisper_destroy,
                                           .encode = zm_whisper_encode,
                                           .decode = zm_whisper_decode,
                                           .rewind = whisper_rewind};
