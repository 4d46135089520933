/* SPDX-License-Identifier: Apache-2.0 */
/* A transformer block written out in float64, without anything of the library. */
#ifndef ZM_TESTS_NAIVE_BLOCK_H
#define ZM_TESTS_NAIVE_BLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include <zeromean/ops.h>

#define NAIVE_ROWS 7
#define NAIVE_SOURCE 5 /* rows of the other side */
#define NAIVE_MAX 80   /* of any width */

typedef enum naive_norm_kind {
    NAIVE_LAYER = 0,
    NAIVE_RMS,
    NAIVE_CRMS,
    NAIVE_NO_NORM
} naive_norm_kind;

typedef struct naive_norm {
    bool has_weight, has_bias;
    float weight[NAIVE_MAX], bias[NAIVE_MAX];
} naive_norm;

typedef struct naive_linear {
    uint32_t n, k;
    bool has_bias;
    float weight[NAIVE_MAX * NAIVE_MAX], bias[NAIVE_MAX];
} naive_linear;

typedef struct naive_attention {
    naive_norm norm;
    naive_linear in, out;
} naive_attention;

typedef struct naive_block {
    /* What it is like. */
    uint32_t layers; /* the same block so many times */
    uint32_t d, heads, kv_heads, head_dim, ff;
    uint32_t source_d;
    naive_norm_kind norm;
    float eps;
    bool affine, biases, causal, rotary, gated, crosses, parallel, one_norm;
    bool column_sums;         /* are given to the graph */
    bool value_apart;         /* on the device v has a weight of its own */
    zm_activation activation; /* GELU or SILU */

    /* What naive_fill makes up. */
    naive_attention self, cross;
    naive_linear cross_kv, up, down; /* up: of a gate the gate's rows first */
    naive_norm mlp_norm;
    float x[NAIVE_ROWS * NAIVE_MAX], source[NAIVE_SOURCE * NAIVE_MAX];
} naive_block;

void naive_fill(naive_block *b);
/* out: [NAIVE_ROWS][d] */
void naive_run(const naive_block *b, double *out);

#endif
