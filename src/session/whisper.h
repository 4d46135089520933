/* SPDX-License-Identifier: Apache-2.0 */
/* Whisper on a device (Radford et al. 2022, arXiv 2212.04356). */
#ifndef ZM_SRC_SESSION_WHISPER_H
#define ZM_SRC_SESSION_WHISPER_H

#include <zeromean/block.h>

#include "session/network.h"

#define ZM_WHISPER_KERNEL 3 /* rows of both convolutions */

typedef struct zm_whisper_weights {
    zm_linear conv1, conv2;
    zm_tensor encoder_positions; /* [encoder_positions][d] */
    zm_block *encoder;           /* encoder_layers, with one cache for all of them */
    zm_norm_weights encoder_norm;
    zm_tensor table; /* [vocabulary][d]: embedding and, tied to it, the head */
    zm_linear head;  /* the same on the last device */
    zm_tensor decoder_positions;
    zm_block *decoder;   /* decoder_layers; cross caches are kept from encode on */
    zm_linear *cross_kv; /* decoder_layers: keys and values from the encoder's output */
    zm_norm_weights decoder_norm;
} zm_whisper_weights;

typedef struct zm_whisper {
    zm_network base;
    zm_whisper_info info; /* without its lists */
    float eps;
    zm_whisper_weights weights;
    zm_tensor mel; /* [2 encoder_positions][mel_bins] */
    bool encoded;
} zm_whisper;

zm_status zm_whisper_load_weights(zm_whisper *whisper, const zm_model *model,
                                  const zm_session_params *params);
zm_status zm_whisper_encode(zm_network *network, const float *mel);
zm_status zm_whisper_can_decode(const zm_network *network);

/* Of a layer, or of what is before and behind them. */
uint32_t zm_whisper_encoder_device(const zm_whisper *whisper, uint32_t layer);
uint32_t zm_whisper_decoder_device(const zm_whisper *whisper, uint32_t layer);

/* What all blocks have in common, as far as it is known before there is a graph. */
void zm_whisper_settle(zm_whisper *whisper);
/* Puts the model's halves into graphs, whose errors stick. */
void zm_whisper_build_encoder(zm_network *network, zm_graph *graph);
void zm_whisper_build_decoder(zm_network *network, zm_graph *graph);

#endif
