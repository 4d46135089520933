/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

#include <stdlib.h>

#include "session/kv_cache.h"

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

uint32_t zm_whisper_encoder_device(const zm_whisper *whisper, uint32_t layer)
{
    return zm_network_device(&whisper->base, layer, whisper->info.encoder_layers);
}

uint32_t zm_whisper_decoder_device(const zm_whisper *whisper, uint32_t layer)
{
    return zm_network_device(&whisper->base, layer, whisper->info.decoder_layers);
}

static zm_status create_cache(zm_whisper *whisper, uint32_t device, uint32_t heads,
                              uint32_t positions, zm_kv_cache *out)
{
    zm_network *network = &whisper->base;
    return zm_kv_cache_create(&network->storages[device], network->streams[device], heads,
                              whisper->info.d / heads, positions, 1, out);
}

/* The encoder needs what is in a cache for one layer only: one for all layers of a device. */
static zm_status create_caches(zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_block *encoder = whisper->weights.encoder, *decoder = whisper->weights.decoder;
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < info->encoder_layers && status == ZM_OK; i++) {
        uint32_t device = zm_whisper_encoder_device(whisper, i);
        if (i > 0 && device == zm_whisper_encoder_device(whisper, i - 1))
            encoder[i].self.cache = encoder[i - 1].self.cache;
        else
            status = create_cache(whisper, device, info->encoder_heads, info->encoder_positions,
                                  &encoder[i].self.cache);
    }
    for (uint32_t i = 0; i < info->decoder_layers && status == ZM_OK; i++) {
        uint32_t device = zm_whisper_decoder_device(whisper, i), heads = info->decoder_heads;
        status =
            create_cache(whisper, device, heads, info->decoder_positions, &decoder[i].self.cache);
        if (status == ZM_OK)
            status = create_cache(whisper, device, heads, info->encoder_positions,
                                  &decoder[i].cross.cache);
    }
    return status;
}

static zm_status create_state(zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_storage *first = &whisper->base.storages[0];
    uint64_t frames = 2 * (uint64_t)info->encoder_positions;
    uint64_t rows = larger(info->encoder_positions, info->decoder_positions);
    zm_status status = zm_storage_matrix(first, frames, info->mel_bins, &whisper->mel);
    if (status == ZM_OK)
        status = zm_decoding_create(&whisper->base, info->decoder_positions,
                                    larger(3 * (uint64_t)info->d, info->decoder_ff));
    if (status == ZM_OK)
        status = create_caches(whisper);
    if (status == ZM_OK)
        status = zm_network_reserve_staging(
            &whisper->base,
            larger(larger(rows * info->d, info->vocabulary), frames * info->mel_bins));
    return status;
}

void zm_whisper_settle(zm_whisper *whisper)
{
    const zm_whisper_info *info = &whisper->info;
    zm_block_norm norm = zm_network_block_norm(whisper->base.norm);
    for (uint32_t i = 0; i < info->encoder_layers + info->decoder_layers; i++) {
        bool encodes = i < info->encoder_layers;
        zm_block *block = encodes ? &whisper->weights.encoder[i]
                                  : &whisper->weights.decoder[i - info->encoder_layers];
        block->norm = norm;
        block->eps = whisper->eps;
        block->true_d = norm == ZM_BLOCK_CRMS_NORM ? info->d : 0;
        block->mlp.activation = ZM_ACTIVATION_GELU;
        block->self.causal = !encodes;
        block->self.length = block->cross.length = info->encoder_positions;
    }
}

static zm_status whisper_create(zm_network *network, const zm_model *model,
                                const zm_session_params *params)
{
    zm_whisper *whisper = (zm_whisper *)network;
    const zm_model_info *info = zm_model_get_info(model);
    whisper->info = info->whisper;
    whisper->info.suppress = whisper->info.begin_suppress = NULL; /* the model's, not ours */
    whisper->info.suppress_count = whisper->info.begin_suppress_count = 0;
    network->info = (zm_session_info){info->whisper.vocabulary, info->whisper.decoder_positions, 1,
                                      1, network->norm};
    if (params->sequences > 1)
        return zm_fail(&network->log, ZM_ERROR_UNSUPPORTED,
                       "session: %u sequences; a model of speech has one", params->sequences);
    whisper->eps = info->eps;
    zm_status status = zm_network_check_layers(network, "encoder", whisper->info.encoder_layers);
    if (status == ZM_OK)
        status = zm_network_check_layers(network, "decoder", whisper->info.decoder_layers);
    if (status == ZM_OK)
        status = zm_whisper_load_weights(whisper, model, params);
    if (status == ZM_OK)
        status = create_state(whisper);
    if (status == ZM_OK)
        zm_whisper_settle(whisper);
    /* Where a device takes over what another one can't do, it copies weights. */
    if (status == ZM_OK)
        status = zm_network_wait(network);
    if (status == ZM_OK)
        status = zm_network_compile(network, zm_whisper_build_encoder, &params->compile,
                                    &network->encoder);
    if (status == ZM_OK)
        status = zm_network_compile(network, zm_whisper_build_decoder, &params->compile,
                                    &network->decoding.pipeline);
    if (status == ZM_OK)
        status = zm_network_wait(network);
    return status;
}

static void whisper_destroy(zm_network *network)
{
    zm_whisper *whisper = (zm_whisper *)network;
    free(whisper->weights.encoder);
    free(whisper->weights.decoder);
    free(whisper->weights.cross_kv);
}

const zm_network_fns zm_network_whisper = {.architecture = ZM_ARCHITECTURE_WHISPER,
                                           .size = sizeof(zm_whisper),
                                           .create = whisper_create,
                                           .destroy = whisper_destroy,
                                           .encode = zm_whisper_encode,
                                           .can_decode = zm_whisper_can_decode};
