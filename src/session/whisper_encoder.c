/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

static zm_status convolve(const zm_whisper *whisper, zm_tensor x, const zm_linear *linear,
                          uint32_t stride, zm_tensor dst)
{
    zm_conv1d_params params = {.x = x,
                               .weight = linear->weight,
                               .bias = linear->bias,
                               .dst = dst,
                               .kernel = ZM_WHISPER_KERNEL,
                               .stride = stride,
                               .padding = 1,
                               .activation = ZM_ACTIVATION_GELU};
    zm_status status = zm_network_go_on(&whisper->base);
    if (status != ZM_OK)
        return status;
    return zm_conv1d(whisper->base.stream, &params);
}

/* The convolutions and positions: the first values of the main branch. GELU writes them, so no
 * weight can keep their mean at zero: an RMSNorm model takes it out here. */
static zm_status enter(const zm_whisper *whisper, const zm_workspace *space)
{
    const zm_whisper_scratch *scratch = &whisper->scratch;
    zm_tensor wide = zm_tensor_2d(scratch->ff, whisper->base.storage.real_type,
                                  scratch->mel.shape[0], whisper->info.d);
    zm_status status = convolve(whisper, scratch->mel, &whisper->weights.conv1, 1, wide);
    if (status == ZM_OK)
        status = convolve(whisper, wide, &whisper->weights.conv2, 2, space->x);
    zm_add_params add = {.x = space->x, .y = whisper->weights.encoder_positions, .dst = space->x};
    if (status == ZM_OK)
        status = whisper->norm == ZM_NORM_RMS ? zm_recentre(space->stream, &add)
                                              : zm_add(space->stream, &add);
    return status;
}

static zm_status run_blocks(zm_whisper *whisper, const zm_workspace *space)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < whisper->info.encoder_layers && status == ZM_OK; i++) {
        const zm_block *block = &whisper->weights.encoder[i];
        status = zm_block_self_attention(space, block, &whisper->scratch.encoder, 0, false);
        if (status == ZM_OK)
            status = zm_block_mlp(space, block);
        if (status == ZM_OK)
            status = zm_network_observe(&whisper->base, "encoder.layer", i, &space->x);
    }
    return status;
}

/* What the decoder reads: keys and values of the encoder's output, for each of its layers. */
static zm_status leave(zm_whisper *whisper, const zm_workspace *space)
{
    zm_status status = zm_block_norm(space, space->x, &whisper->weights.encoder_norm, space->y);
    if (status == ZM_OK)
        status = zm_network_observe(&whisper->base, "encoder.output", 0, &space->y);
    for (uint32_t i = 0; i < whisper->info.decoder_layers && status == ZM_OK; i++)
        status = zm_block_cross_store(space, &whisper->weights.decoder[i],
                                      &whisper->scratch.cross[i], space->y);
    return status;
}

zm_status zm_whisper_encode(zm_network *network, const float *mel)
{
    zm_whisper *whisper = (zm_whisper *)network;
    zm_workspace space =
        zm_whisper_workspace(whisper, whisper->info.encoder_positions, whisper->info.encoder_ff);
    whisper->encoded = false;
    whisper->position = 0;
    zm_status status = zm_network_write(network, &whisper->scratch.mel, mel);
    if (status == ZM_OK)
        status = enter(whisper, &space);
    if (status == ZM_OK)
        status = zm_network_observe(network, "encoder.input", 0, &space.x);
    if (status == ZM_OK)
        status = run_blocks(whisper, &space);
    if (status == ZM_OK)
        status = leave(whisper, &space);
    if (status == ZM_OK)
        status = zm_stream_flush(network->stream);
    whisper->encoded = status == ZM_OK;
    return status;
}
