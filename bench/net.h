/* SPDX-License-Identifier: Apache-2.0 */
/* Networks of standard blocks, by their sizes: those of known models, or any others. */
#ifndef ZM_BENCH_NET_H
#define ZM_BENCH_NET_H

#include <zeromean/ops.h>

#include "shape.h"

typedef struct net {
    const char *name; /* of the preset; "" = made up */
    uint32_t d, heads, kv_heads, ff;
    uint32_t tokens; /* rows of a sequence in a run */
    uint32_t past;   /* positions of a sequence that are in the cache before */
    uint32_t layers;
    zm_activation activation;
    bool causal, gated, rotary;
    bool biases;    /* also of the norms */
    uint32_t batch; /* sequences; 0 = 1 */
} net;

#define NET_KEYS "d, heads, kv, ff, tokens, past, layers, batch, causal, gated, rotary, bare"

/* A preset, "KEY=NUMBER,FLAG", or a preset and what is different: "gpt2-small,tokens=64".
 * past: tokens of the cache. ZM_ERROR_INVALID_ARGUMENT with a reason. */
zm_status net_read(const char *text, net *out, shape_reason *reason);
/* The i-th preset; NULL = there are no more. */
const net *net_preset(size_t i);
/* As net_read takes it. */
void net_print(const net *n, char *text, size_t size);

/* Refuses a batch of more rows than there can be. */
zm_status net_set_batch(net *n, uint32_t batch, shape_reason *reason);

uint32_t net_head_dim(const net *n);
uint32_t net_batch(const net *n);
/* Of all sequences in a run. */
uint32_t net_rows(const net *n);
/* Elements of the weights of a layer. */
double net_layer_weights(const net *n);
/* Multiply-adds count as two; a causal row attends to no more than it sees. */
double net_flops(const net *n);

#endif
