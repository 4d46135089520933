/* SPDX-License-Identifier: Apache-2.0 */
#include "session/whisper.h"

zm_status zm_whisper_can_decode(const zm_network *network)
{
    if (((const zm_whisper *)network)->encoded)
        return ZM_OK;
    return zm_fail(&network->log, ZM_ERROR_INVALID_ARGUMENT, "decode: nothing is encoded yet");
}

/* The table is also the head, which reads its mean: an RMSNorm model keeps the table as it is and
 * takes the mean out of the rows here. */
static zm_tensor embed(const zm_whisper *whisper, zm_graph *graph)
{
    const zm_decoding *decoding = &whisper->base.decoding;
    const zm_size shape[] = {decoding->count, whisper->info.d};
    const zm_whisper_weights *weights = &whisper->weights;
    const zm_embedding_params params = {
        .tokens = zm_tensor_rows(decoding->tokens, 0, decoding->count),
        .table = weights->table,
        .position = zm_decoding_positions(&whisper->base, graph, weights->decoder_positions,
                                          whisper->info.d),
        .dst = zm_graph_tensor(graph, "x", ZM_DTYPE_NONE, 2, shape),
        .recentre = whisper->base.norm != ZM_NORM_LAYER};
    zm_graph_embedding(graph, &params);
    zm_tensor x = zm_network_enter(&whisper->base, graph, params.dst);
    zm_graph_observe(graph, "decoder.input", 0, x);
    return x;
}

void zm_whisper_build_decoder(zm_network *network, zm_graph *graph)
{
    zm_whisper *whisper = (zm_whisper *)network;
    const zm_whisper_weights *weights = &whisper->weights;
    zm_decoding_begin(network, graph);
    zm_tensor x = embed(whisper, graph);
    for (uint32_t i = 0; i < whisper->info.decoder_layers; i++) {
        zm_block block = weights->decoder[i];
        zm_decoding_attend(network, &block.self);
        zm_graph_device(graph, zm_whisper_decoder_device(whisper, i));
        x = zm_graph_block(graph, &block, x);
        zm_graph_observe(graph, "decoder.layer", i, x);
    }
    zm_decoding_end(network, graph, &weights->decoder[0], &weights->decoder_norm, &weights->head,
                    x);
}
