/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders of text on a device: one network for all families (model/text.h). */
#ifndef ZM_SRC_SESSION_TEXT_H
#define ZM_SRC_SESSION_TEXT_H

#include <zeromean/block.h>

#include "session/network.h"

typedef struct zm_text_weights {
    zm_tensor table;     /* [vocabulary][d] */
    zm_linear head;      /* the same where it is tied, on the last device */
    zm_tensor positions; /* [position_rows][d], optional: learned ones */
    zm_tensor slopes;    /* [heads], optional */
    zm_tensor factors;   /* [rotary_dim / 2], optional: of rope */
    zm_norm_weights embedding_norm, last_norm;
    zm_block *blocks; /* layers */
} zm_text_weights;

typedef struct zm_text_network {
    zm_network base;
    zm_text_info info;
    float eps;
    zm_text_weights weights;
} zm_text_network;

/* Puts the network into a graph, whose errors stick. */
void zm_text_build(zm_network *network, zm_graph *graph);

/* Fills weights, whose blocks are zeroed and have no caches. */
zm_status zm_text_load_weights(zm_text_network *text, const zm_model *model,
                               const zm_session_params *params);

#endif
