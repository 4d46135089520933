/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

static zm_tensor matrix(zm_graph *graph, const char *name, zm_size rows, uint32_t cols)
{
    const zm_size shape[] = {rows, cols};
    return zm_graph_tensor(graph, name, ZM_DTYPE_NONE, 2, shape);
}

static zm_tensor convolve(zm_graph *graph, zm_tensor x, const zm_linear *linear, uint32_t stride)
{
    uint32_t n = linear->weight.shape[0];
    const zm_conv1d_params params = {.x = x,
                                     .weight = linear->weight,
                                     .bias = linear->bias,
                                     .dst = matrix(graph, "conv", x.shape[0] / stride, n),
                                     .kernel = ZM_WHISPER_KERNEL,
                                     .stride = stride,
                                     .padding = 1,
                                     .activation = ZM_ACTIVATION_GELU};
    zm_graph_conv1d(graph, &params);
    return params.dst;
}

/* The convolutions and positions: the first values of the main branch. GELU writes them, so no
 * weight can keep their mean at zero: an RMSNorm model takes it out here. */
static zm_tensor enter(const zm_whisper *whisper, zm_graph *graph)
{
    zm_tensor wide = convolve(graph, whisper->mel, &whisper->weights.conv1, 1);
    zm_tensor x = convolve(graph, wide, &whisper->weights.conv2, 2);
    const zm_add_params add = {.x = x,
                               .y = whisper->weights.encoder_positions,
                               .dst = matrix(graph, "x", x.shape[0], x.shape[1])};
    if (whisper->base.norm == ZM_NORM_LAYER)
        zm_graph_add(graph, &add);
    else
        zm_graph_recentre(graph, &add);
    x = zm_network_enter(&whisper->base, graph, add.dst);
    zm_graph_observe(graph, "encoder.input", 0, x);
    return x;
}

/* The output is for the decoder, which reads keys and values of it in each of its layers. */
void zm_whisper_build_encoder(zm_network *network, zm_graph *graph)
{
    zm_whisper *whisper = (zm_whisper *)network;
    const zm_whisper_weights *weights = &whisper->weights;
    zm_tensor x = enter(whisper, graph);
    for (uint32_t i = 0; i < whisper->info.encoder_layers; i++) {
        zm_graph_device(graph, zm_whisper_encoder_device(whisper, i));
        x = zm_graph_block(graph, &weights->encoder[i], x);
        zm_graph_observe(graph, "encoder.layer", i, x);
    }
    zm_tensor output =
        zm_network_leave(network, graph, &weights->encoder[0], &weights->encoder_norm, x);
    zm_graph_observe(graph, "encoder.output", 0, output);
    for (uint32_t i = 0; i < whisper->info.decoder_layers; i++) {
        zm_graph_device(graph, zm_whisper_decoder_device(whisper, i));
        zm_graph_cross_store(graph, &weights->decoder[i].cross.cache, &weights->cross_kv[i],
                             output);
    }
}

zm_status zm_whisper_encode(zm_network *network, const float *mel)
{
    zm_whisper *whisper = (zm_whisper *)network;
    whisper->encoded = false;
    network->decoding.positions[0] = 0;
    zm_status status = zm_network_write(network, &whisper->mel, mel);
    if (status == ZM_OK)
        status = zm_network_run(network, network->encoder);
    if (status == ZM_OK)
        status = zm_network_flush(network);
    whisper->encoded = status == ZM_OK;
    return status;
}
