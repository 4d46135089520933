/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a pre-norm transformer block, put into a graph. */
#ifndef ZM_SRC_SESSION_BLOCK_H
#define ZM_SRC_SESSION_BLOCK_H

#include <zeromean/graph.h>

#include "session/kv_cache.h"

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

/* What the blocks of a model have in common. */
typedef struct zm_builder {
    zm_graph *graph;
    zm_norm norm;
    float eps;
} zm_builder;

/* An inner matrix of the real type. */
zm_tensor zm_build_matrix(const zm_builder *builder, const char *name, zm_size rows, zm_size cols);
/* norm(x) */
zm_tensor zm_build_norm(const zm_builder *builder, zm_tensor x, const zm_norm_weights *weights);
/* activation(linear(x)) + residual, where there is one */
zm_tensor zm_build_linear(const zm_builder *builder, const char *name, zm_tensor x,
                          const zm_linear *linear, zm_activation activation, zm_tensor residual);

/* x + attention(norm(x)) over the cache's positions 0 .. position + rows = length, the last of
 * which it stores. */
zm_tensor zm_build_self_attention(const zm_builder *builder, zm_tensor x, const zm_block *block,
                                  const zm_kv_cache *cache, zm_size position, zm_size length,
                                  bool causal);
/* Stores the keys and values of source [rows][d]. */
void zm_build_cross_store(const zm_builder *builder, zm_tensor source, const zm_block *block,
                          const zm_kv_cache *cache);
/* x + attention(norm(x)) over the cache's first length positions. */
zm_tensor zm_build_cross_attention(const zm_builder *builder, zm_tensor x, const zm_block *block,
                                   const zm_kv_cache *cache, zm_size length);
/* x + mlp(norm(x)) */
zm_tensor zm_build_mlp(const zm_builder *builder, zm_tensor x, const zm_block *block);

#endif
