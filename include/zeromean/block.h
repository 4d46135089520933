/* SPDX-License-Identifier: Apache-2.0 */
/* The standard pre-norm transformer block as a part of a graph:
 *
 *   x = x + out(attention(in(norm(x))))     self-attention
 *   x = x + out(attention(in(norm(x))))     cross-attention, where there is one
 *   x = x + down(activation(up(norm(x))))   MLP; gated: activation(gate) * up
 *
 * or with parallel (GPT-J, GPT-NeoX, Falcon): x + out(attention(...norm(x))) + down(...norm(x)).
 * The functions only add operations of ops.h to the graph: an application that wants another block
 * writes its own from the same parts. Sums are operations of their own; the passes put them into
 * the products' epilogues or into the norms, and so they do with activations (zm_activate).
 *
 * Errors stick to the graph. Structs are read during the call only; their buffers have to live as
 * long as what is compiled. Thread-safety: as graph.h. */
#ifndef ZEROMEAN_BLOCK_H
#define ZEROMEAN_BLOCK_H

#include <zeromean/graph.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum zm_block_norm {
    ZM_BLOCK_LAYER_NORM = 0,
    ZM_BLOCK_RMS_NORM,
    ZM_BLOCK_CRMS_NORM,
    ZM_BLOCK_NO_NORM /* x itself: what the norms cost */
} zm_block_norm;

typedef struct zm_norm_weights {
    zm_tensor weight, bias; /* [d]; both optional */
} zm_norm_weights;

typedef struct zm_linear {
    zm_tensor weight;      /* [n][k] as zm_matmul has it */
    zm_tensor bias;        /* [n], optional */
    zm_tensor column_sums; /* [n], optional: those of zm_graph_matmul, for the norm before it */
} zm_linear;

/* Keys and values of one attention, 1-d tensors as zm_kv_store has them. Where there are several
 * sequences, the rows of x (of the source of a cross-attention) are theirs, one below the other. */
typedef struct zm_kv_cache {
    zm_kv_layout layout;
    zm_tensor k, v;
    uint32_t sequences; /* 0 = 1 */
} zm_kv_cache;

typedef struct zm_block_attention {
    zm_norm_weights norm;
    zm_linear in;    /* self: rows of q, k, v, [(heads + 2 kv heads) * head_dim][d]; cross: of q */
    zm_linear value; /* self: the rows of v where `in` has none, as when they are of another type */
    zm_linear out;   /* [d][heads * head_dim] */
    zm_kv_cache cache;
    uint32_t heads;   /* 0 = those of the cache */
    zm_size position; /* self: of the first row; rows are stored there */
    zm_size length;   /* positions in use, with these rows */
    /* Of each sequence, optional, as zm_kv_store and zm_attention have them. */
    zm_tensor positions, lengths, starts;
    zm_size rows; /* with starts: the most of a sequence */
    bool causal;
    uint32_t window;  /* as zm_attention_params; needs causal */
    float scale;      /* 0 = 1 / sqrt(head_dim) */
    float soft_cap;   /* 0 = none */
    zm_tensor slopes; /* [heads], optional: ALiBi */
    /* Rotates q and k where positions are given; x, dst and head_dim are left out. */
    zm_rope_params rope;
} zm_block_attention;

typedef struct zm_block_mlp {
    zm_norm_weights norm;
    zm_linear up; /* [ff][d]; gated: [2 ff][d] of zm_gated_weight_pack */
    zm_linear down;
    zm_activation activation;
    bool gated;
} zm_block_mlp;

/* A part whose first weight is absent is left out. */
typedef struct zm_block {
    zm_block_norm norm;
    float eps;
    uint32_t true_d; /* ZM_BLOCK_CRMS_NORM: as zm_norm_params */
    bool parallel;   /* not with cross-attention; one norm serves both where the tensors of both are
                        the same */
    zm_block_attention self, cross;
    zm_block_mlp mlp;
} zm_block;

/* x: [rows][d], which gives the type of all in between. The result is an inner tensor like x. */
ZM_API zm_tensor zm_graph_block(zm_graph *graph, const zm_block *block, zm_tensor x);

/* The block's kind of norm, with these weights: the one behind the last block. */
ZM_API zm_tensor zm_graph_block_norm(zm_graph *graph, const zm_block *block,
                                     const zm_norm_weights *weights, zm_tensor x);

/* bias + weight x; rows as x. activation: ZM_ACTIVATION_NONE = none. */
ZM_API zm_tensor zm_graph_linear(zm_graph *graph, const char *name, const zm_linear *linear,
                                 zm_activation activation, zm_tensor x);

/* Fills the cache of a cross-attention from the other side's rows, by the linear of k and v:
 * [2 kv heads * head_dim][source columns]. */
ZM_API void zm_graph_cross_store(zm_graph *graph, const zm_kv_cache *cache, const zm_linear *kv,
                                 zm_tensor source);

#ifdef __cplusplus
}
#endif
#endif
