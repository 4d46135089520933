/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a pre-norm transformer block, enqueued with the public ops. */
#ifndef ZM_SRC_SESSION_BLOCK_H
#define ZM_SRC_SESSION_BLOCK_H

#include "session/kv_cache.h"
#include "session/network.h"

typedef struct zm_linear {
    zm_tensor weight; /* [n][k] */
    zm_tensor bias;   /* [n] or absent */
} zm_linear;

typedef struct zm_norm_weights {
    zm_tensor weight, bias; /* [d] */
} zm_norm_weights;

/* Weights of one block; one without cross-attention leaves those absent. */
typedef struct zm_block {
    zm_norm_weights self_norm;
    zm_linear self_in; /* [3 d][d]: q, k, v */
    zm_linear self_out;
    zm_norm_weights cross_norm;
    zm_linear cross_q;
    zm_linear cross_kv; /* [2 d][d], on the encoder's output */
    zm_linear cross_out;
    zm_norm_weights mlp_norm;
    zm_linear mlp_in;  /* [ff][d], GELU */
    zm_linear mlp_out; /* [d][ff] */
} zm_block;

/* Where a block computes: the main branch and memory for its branches. */
typedef struct zm_workspace {
    const zm_network *network;
    zm_stream *stream;
    zm_norm norm;
    float eps;
    zm_tensor x;   /* [rows][d]: the main branch */
    zm_tensor y;   /* [rows][d] */
    zm_tensor qkv; /* [rows][3 d] */
    zm_tensor ff;  /* [rows][ff] */
} zm_workspace;

zm_status zm_block_norm(const zm_workspace *space, zm_tensor x, const zm_norm_weights *weights,
                        zm_tensor dst);
/* residual without a buffer = none */
zm_status zm_block_linear(const zm_workspace *space, zm_tensor x, const zm_linear *linear,
                          zm_activation activation, zm_tensor residual, zm_tensor dst);

/* x += attention(norm(x)) over the cache's positions 0 .. position + rows, the last of which it
 * stores. */
zm_status zm_block_self_attention(const zm_workspace *space, const zm_block *block,
                                  const zm_kv_cache *cache, uint32_t position, bool causal);
/* Stores the keys and values of source [rows][d]; uses qkv. */
zm_status zm_block_cross_store(const zm_workspace *space, const zm_block *block,
                               const zm_kv_cache *cache, zm_tensor source);
/* x += attention(norm(x)) over the cache's first kv_length positions. */
zm_status zm_block_cross_attention(const zm_workspace *space, const zm_block *block,
                                   const zm_kv_cache *cache, uint32_t kv_length);
/* x += mlp(norm(x)) */
zm_status zm_block_mlp(const zm_workspace *space, const zm_block *block);

#endif
