/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/block.h>

#include <inttypes.h>

#include "graph/graph.h"

/* ---- what is wrong, in words of the block ---- */

static bool is_matrix(const zm_tensor *tensor)
{
    return tensor->buffer && tensor->rank == 2 && !(tensor->shape[1] & ZM_SIZE_FORMULA);
}

/* n 0 = any. A graph that has failed keeps its first reason. */
static void linear_check(zm_graph *graph, const char *part, const zm_linear *linear, uint64_t n,
                         uint64_t k)
{
    const zm_tensor *weight = &linear->weight;
    if (!is_matrix(weight))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "block: %s has no weight [n][k]", part);
    else if (n && weight->shape[0] != n)
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "block: %s has a weight of %" PRIu32 " rows, but needs %" PRIu64, part,
                      weight->shape[0], n);
    else if (weight->shape[1] != k)
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "block: %s has a weight of %" PRIu32 " columns, but needs %" PRIu64, part,
                      weight->shape[1], k);
}

static void cache_check(zm_graph *graph, const char *part, const zm_kv_cache *cache)
{
    if (!cache->k.buffer || !cache->v.buffer || !cache->layout.heads || !cache->layout.head_dim)
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "block: %s needs keys, values and their layout (zm_kv_layout_get)", part);
}

/* An inner matrix of x's type and rows. */
static zm_tensor matrix_like(zm_graph *graph, const char *name, zm_tensor x, uint32_t cols)
{
    const zm_size shape[] = {x.shape[0], cols};
    return zm_graph_tensor(graph, name, x.dtype, 2, shape);
}

static zm_tensor norm(zm_graph *graph, const zm_block *block, const zm_norm_weights *weights,
                      zm_tensor x)
{
    const zm_norm_params params = {.x = x,
                                   .weight = weights->weight,
                                   .bias = weights->bias,
                                   .dst = matrix_like(graph, "norm", x, x.shape[1]),
                                   .eps = block->eps,
                                   .true_d = block->true_d};
    switch (block->norm) {
    case ZM_BLOCK_RMS_NORM: zm_graph_rms_norm(graph, &params); break;
    case ZM_BLOCK_CRMS_NORM: zm_graph_crms_norm(graph, &params); break;
    default: zm_graph_layer_norm(graph, &params); break;
    }
    return params.dst;
}

zm_tensor zm_graph_block_norm(zm_graph *graph, const zm_block *block,
                              const zm_norm_weights *weights, zm_tensor x)
{
    if (!graph)
        return x;
    if (!block || !weights || block->norm > ZM_BLOCK_NO_NORM || !is_matrix(&x))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "block: a norm needs its kind, its weights and x [rows][d]");
    else if (block->norm != ZM_BLOCK_NO_NORM)
        return norm(graph, block, weights, x);
    return x;
}

static bool is_there(const zm_linear *linear)
{
    return linear->weight.buffer;
}

/* ---- products ---- */

/* The weight fits x. */
static zm_tensor product(zm_graph *graph, const char *name, const zm_linear *linear, zm_tensor x,
                         zm_activation activation, bool gated)
{
    uint32_t n = linear->weight.shape[0];
    const zm_matmul_params params = {.x = x,
                                     .weight = linear->weight,
                                     .bias = linear->bias,
                                     .scale = {.column_sums = linear->column_sums},
                                     .dst = matrix_like(graph, name, x, gated ? n / 2 : n),
                                     .activation = activation,
                                     .gated = gated};
    zm_graph_matmul(graph, &params);
    return params.dst;
}

zm_tensor zm_graph_linear(zm_graph *graph, const char *name, const zm_linear *linear,
                          zm_activation activation, zm_tensor x)
{
    if (!graph)
        return x;
    if (!linear || !is_matrix(&x))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "block: %s needs a weight and x [rows][k]",
                      name ? name : "a linear");
    else
        linear_check(graph, name ? name : "a linear", linear, 0, x.shape[1]);
    if (zm_graph_status(graph) != ZM_OK)
        return x;
    return product(graph, name, linear, x, activation, false);
}

static zm_tensor sum(zm_graph *graph, zm_tensor x, zm_tensor branch)
{
    const zm_add_params params = {x, branch, matrix_like(graph, "x", x, x.shape[1])};
    zm_graph_add(graph, &params);
    return params.dst;
}

/* ---- attention ---- */

static uint32_t width_of(const zm_kv_cache *cache)
{
    return cache->layout.heads * cache->layout.head_dim;
}

/* attention NULL: rows from position 0 on, as many of each sequence. */
static void store(zm_graph *graph, const zm_kv_cache *cache, zm_tensor k, zm_tensor v,
                  const zm_block_attention *attention)
{
    static const zm_block_attention from_begin;
    attention = attention ? attention : &from_begin;
    const zm_kv_store_params params = {.k = k,
                                       .v = v,
                                       .k_cache = cache->k,
                                       .v_cache = cache->v,
                                       .layout = cache->layout,
                                       .sequences = cache->sequences,
                                       .position = attention->position,
                                       .positions = attention->positions,
                                       .starts = attention->starts,
                                       .rows = attention->rows};
    zm_graph_kv_store(graph, &params);
}

void zm_graph_cross_store(zm_graph *graph, const zm_kv_cache *cache, const zm_linear *kv,
                          zm_tensor source)
{
    static const zm_kv_cache no_cache;
    static const zm_linear no_linear;
    if (!graph)
        return;
    cache = cache ? cache : &no_cache;
    kv = kv ? kv : &no_linear;
    uint32_t width = width_of(cache);
    cache_check(graph, "cross: the cache", cache);
    linear_check(graph, "cross: kv", kv, (uint64_t)2 * width, source.shape[1]);
    zm_tensor rows = zm_graph_linear(graph, "kv", kv, ZM_ACTIVATION_NONE, source);
    store(graph, cache, zm_tensor_cols(rows, 0, width), zm_tensor_cols(rows, width, width), NULL);
}

static uint32_t heads_of(const zm_block_attention *attention)
{
    return attention->heads ? attention->heads : attention->cache.layout.heads;
}

/* The queries' columns are the first ones of q, which may have keys and values behind them. */
static zm_tensor attend(zm_graph *graph, const zm_block_attention *attention, zm_tensor q)
{
    uint32_t width = heads_of(attention) * attention->cache.layout.head_dim;
    const zm_attention_params params = {.q = q.shape[1] == width ? q : zm_tensor_cols(q, 0, width),
                                        .k_cache = attention->cache.k,
                                        .v_cache = attention->cache.v,
                                        .layout = attention->cache.layout,
                                        .heads = attention->heads,
                                        .sequences = attention->cache.sequences,
                                        .kv_length = attention->length,
                                        .lengths = attention->lengths,
                                        .starts = attention->starts,
                                        .rows = attention->rows,
                                        .causal = attention->causal,
                                        .window = attention->window,
                                        .scale = attention->scale,
                                        .soft_cap = attention->soft_cap,
                                        .slopes = attention->slopes,
                                        .dst = matrix_like(graph, "heads", q, width)};
    zm_graph_attention(graph, &params);
    return zm_graph_linear(graph, "attention", &attention->out, ZM_ACTIVATION_NONE, params.dst);
}

/* q and k lie side by side: one call turns the heads of both. */
static void rotate(zm_graph *graph, const zm_block_attention *attention, zm_tensor qkv)
{
    const zm_kv_layout *layout = &attention->cache.layout;
    zm_rope_params params = attention->rope;
    if (!params.positions.buffer)
        return;
    params.head_dim = layout->head_dim;
    params.x = params.dst =
        zm_tensor_cols(qkv, 0, (heads_of(attention) + layout->heads) * layout->head_dim);
    zm_graph_rope(graph, &params);
}

static zm_tensor self_attention(zm_graph *graph, const zm_block_attention *attention,
                                zm_tensor norm)
{
    const zm_kv_cache *cache = &attention->cache;
    uint32_t queries = heads_of(attention) * cache->layout.head_dim, width = width_of(cache);
    zm_tensor qkv = zm_graph_linear(graph, "qkv", &attention->in, ZM_ACTIVATION_NONE, norm);
    zm_tensor v = is_there(&attention->value)
                      ? zm_graph_linear(graph, "v", &attention->value, ZM_ACTIVATION_NONE, norm)
                      : zm_tensor_cols(qkv, queries + width, width);
    rotate(graph, attention, qkv);
    store(graph, cache, zm_tensor_cols(qkv, queries, width), v, attention);
    return attend(graph, attention, qkv);
}

static zm_tensor cross_attention(zm_graph *graph, const zm_block_attention *attention,
                                 zm_tensor norm)
{
    return attend(graph, attention,
                  zm_graph_linear(graph, "q", &attention->in, ZM_ACTIVATION_NONE, norm));
}

static zm_tensor mlp(zm_graph *graph, const zm_block_mlp *part, zm_tensor norm)
{
    zm_tensor up = product(graph, "ff", &part->up, norm, part->activation, part->gated);
    return zm_graph_linear(graph, "mlp", &part->down, ZM_ACTIVATION_NONE, up);
}

/* ---- the block ---- */

static bool same_tensor(const zm_tensor *a, const zm_tensor *b)
{
    return a->buffer == b->buffer && a->offset == b->offset;
}

static zm_tensor parallel_branches(zm_graph *graph, const zm_block *block, zm_tensor x)
{
    const zm_norm_weights *norms[] = {&block->self.norm, &block->mlp.norm};
    zm_tensor norm = zm_graph_block_norm(graph, block, norms[0], x);
    bool one = same_tensor(&norms[0]->weight, &norms[1]->weight) &&
               same_tensor(&norms[0]->bias, &norms[1]->bias);
    zm_tensor other = one ? norm : zm_graph_block_norm(graph, block, norms[1], x);
    zm_tensor sums = sum(graph, x, self_attention(graph, &block->self, norm));
    return sum(graph, sums, mlp(graph, &block->mlp, other));
}

static void attention_check(zm_graph *graph, const zm_block_attention *attention, bool self,
                            uint32_t d)
{
    const zm_kv_layout *layout = &attention->cache.layout;
    uint64_t q = (uint64_t)heads_of(attention) * layout->head_dim;
    uint64_t width = (uint64_t)layout->heads * layout->head_dim;
    uint64_t kv = !self ? 0 : is_there(&attention->value) ? width : 2 * width;
    cache_check(graph, self ? "self: the cache" : "cross: the cache", &attention->cache);
    linear_check(graph, self ? "self: in" : "cross: in", &attention->in, q + kv, d);
    if (self && is_there(&attention->value))
        linear_check(graph, "self: value", &attention->value, width, d);
    linear_check(graph, self ? "self: out" : "cross: out", &attention->out, d, q);
}

static void mlp_check(zm_graph *graph, const zm_block_mlp *part, uint32_t d)
{
    uint32_t n = part->up.weight.shape[0];
    linear_check(graph, "mlp: up", &part->up, part->gated ? (uint64_t)n + n % 2 : 0, d);
    linear_check(graph, "mlp: down", &part->down, d, part->gated ? n / 2 : n);
}

static void block_check(zm_graph *graph, const zm_block *block, const zm_tensor *x)
{
    bool attends = is_there(&block->self.in), crosses = is_there(&block->cross.in);
    if (!is_matrix(x))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "block: x needs to be a matrix [rows][d]");
    else if (!attends && !crosses && !is_there(&block->mlp.up))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "block: nothing is in it");
    else if (block->parallel && crosses)
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "block: parallel is not for one with cross-attention");
    if (attends)
        attention_check(graph, &block->self, true, x->shape[1]);
    if (crosses)
        attention_check(graph, &block->cross, false, x->shape[1]);
    if (is_there(&block->mlp.up))
        mlp_check(graph, &block->mlp, x->shape[1]);
}

zm_tensor zm_graph_block(zm_graph *graph, const zm_block *block, zm_tensor x)
{
    if (!graph)
        return x;
    if (block)
        block_check(graph, block, &x);
    else
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "block: there is none");
    if (zm_graph_status(graph) != ZM_OK)
        return x;
    bool attends = is_there(&block->self.in), feeds = is_there(&block->mlp.up);
    if (block->parallel && attends && feeds)
        return parallel_branches(graph, block, x);
    if (attends)
        x = sum(graph, x,
                self_attention(graph, &block->self,
                               zm_graph_block_norm(graph, block, &block->self.norm, x)));
    if (is_there(&block->cross.in))
        x = sum(graph, x,
                cross_attention(graph, &block->cross,
                                zm_graph_block_norm(graph, block, &block->cross.norm, x)));
    if (feeds)
        x = sum(graph, x,
                mlp(graph, &block->mlp, zm_graph_block_norm(graph, block, &block->mlp.norm, x)));
    return x;
}
