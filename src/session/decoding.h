/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoders of all models have in common: new tokens go behind those that the caches hold,
 * and the logits of the last one come out. */
#ifndef ZM_SRC_SESSION_DECODING_H
#define ZM_SRC_SESSION_DECODING_H

#include <zeromean/block.h>
#include <zeromean/session.h>

typedef struct zm_network zm_network;

typedef struct zm_decoding {
    zm_tensor tokens; /* [batch] I32: the new ones */
    zm_tensor logits; /* [1][vocabulary] */
    zm_pipeline *pipeline;
    zm_size count, length; /* of tokens: new ones, and all of them */
    uint32_t batch;        /* new ones of a run, at most */
    uint32_t position;     /* tokens that are there */
} zm_decoding;

/* Room for the tokens of a run on the first device, and for logits on the last one. */
zm_status zm_decoding_create(zm_network *network, uint32_t batch);

/* The sizes of a run; the position of its first new token. */
zm_size zm_decoding_begin(zm_network *network, zm_graph *graph);
/* The norm and the head of the last row of x, [count][d]; only that one is asked for. block: one of
 * the decoder's, whose kind of norm it is. */
void zm_decoding_end(zm_network *network, zm_graph *graph, const zm_block *block,
                     const zm_norm_weights *norm, const zm_linear *head, zm_tensor x);

/* As zm_session_decode and zm_session_rewind. */
zm_status zm_decoding_run(zm_network *network, const int32_t *tokens, uint32_t count,
                          float *logits);
zm_status zm_decoding_rewind(zm_network *network, uint32_t position);

#endif
