/* SPDX-License-Identifier: Apache-2.0 */
/* Models of images on a device: one network for all families (model/vision.h), which has an encoder
 * of images, one of text, or both. */
#ifndef ZM_SRC_SESSION_VISION_H
#define ZM_SRC_SESSION_VISION_H

#include <zeromean/block.h>

#include "model/vision.h"
#include "session/network.h"

typedef struct zm_vision_weights {
    zm_linear patches;          /* of images: [d][channels * patch * patch] */
    zm_tensor first, second;    /* [1][d]: class token and, optional, DeiT's second one */
    zm_tensor table;            /* of text: [vocabulary][d] */
    zm_tensor positions;        /* [positions][d] */
    zm_norm_weights entry_norm; /* optional */
    zm_norm_weights last_norm;
    zm_linear embedding;         /* optional: pooler or projection; else the norm gives it */
    zm_linear head, second_head; /* optional: logits of the first token, and of both */
    zm_block *blocks;            /* layers */
} zm_vision_weights;

/* An encoder. */
typedef struct zm_vision_tower {
    zm_encoder_info info; /* d 0: there is none */
    zm_vision_weights weights;
    zm_tensor pixels;         /* of images: [channels][image][image] */
    zm_tensor numbers;        /* of text, I32: the place of the end token, then the tokens */
    zm_tensor output, logits; /* [1][embedding], [1][labels] on the last device */
    zm_size count;            /* of tokens */
} zm_vision_tower;

typedef struct zm_vision_network {
    zm_network base;
    zm_vision_info info;
    zm_vision_tower towers[ZM_TOWER_COUNT];
} zm_vision_network;

/* Puts the encoder of images, or of text, into a graph, whose errors stick. */
void zm_vision_build_image(zm_network *network, zm_graph *graph);
void zm_vision_build_text(zm_network *network, zm_graph *graph);

/* Fills weights, whose blocks are zeroed and have no caches. */
zm_status zm_vision_load_weights(zm_vision_network *vision, const zm_model *model,
                                 const zm_session_params *params);

#endif
