/* SPDX-License-Identifier: Apache-2.0 */
#include "session/block.h"

static const zm_tensor absent;

zm_tensor zm_build_matrix(const zm_builder *builder, const char *name, zm_size rows, zm_size cols)
{
    const zm_size shape[] = {rows, cols};
    return zm_graph_tensor(builder->graph, name, ZM_DTYPE_NONE, 2, shape);
}

zm_tensor zm_build_norm(const zm_builder *builder, zm_tensor x, const zm_norm_weights *weights)
{
    const zm_norm_params params = {.x = x,
                                   .weight = weights->weight,
                                   .bias = weights->bias,
                                   .dst = zm_build_matrix(builder, "norm", x.shape[0], x.shape[1]),
                                   .eps = builder->eps};
    if (builder->norm == ZM_NORM_RMS)
        zm_graph_rms_norm(builder->graph, &params);
    else
        zm_graph_layer_norm(builder->graph, &params);
    return params.dst;
}

zm_tensor zm_build_linear(const zm_builder *builder, const char *name, zm_tensor x,
                          const zm_linear *linear, zm_activation activation, zm_tensor residual)
{
    const zm_matmul_params params = {
        .x = x,
        .weight = linear->weight,
        .bias = linear->bias,
        .residual = residual,
        .dst = zm_build_matrix(builder, name, x.shape[0], linear->weight.shape[0]),
        .activation = activation};
    zm_graph_matmul(builder->graph, &params);
    return params.dst;
}

static zm_tensor add_branch(const zm_builder *builder, zm_tensor x, zm_tensor branch,
                            const zm_linear *linear)
{
    return zm_build_linear(builder, "x", branch, linear, ZM_ACTIVATION_NONE, x);
}

zm_tensor zm_build_self_attention(const zm_builder *builder, zm_tensor x, const zm_block *block,
                                  const zm_kv_cache *cache, zm_size position, zm_size length,
                                  bool causal)
{
    uint32_t d = x.shape[1];
    zm_tensor norm = zm_build_norm(builder, x, &block->self_norm);
    zm_tensor qkv =
        zm_build_linear(builder, "qkv", norm, &block->self_in, ZM_ACTIVATION_NONE, absent);
    zm_tensor heads = zm_build_matrix(builder, "heads", x.shape[0], d);
    zm_kv_cache_store(cache, builder->graph, zm_tensor_cols(qkv, d, 2 * d), position);
    zm_kv_cache_attend(cache, builder->graph, zm_tensor_cols(qkv, 0, d), length, causal, heads);
    return add_branch(builder, x, heads, &block->self_out);
}

void zm_build_cross_store(const zm_builder *builder, zm_tensor source, const zm_block *block,
                          const zm_kv_cache *cache)
{
    zm_tensor kv =
        zm_build_linear(builder, "kv", source, &block->cross_kv, ZM_ACTIVATION_NONE, absent);
    zm_kv_cache_store(cache, builder->graph, kv, 0);
}

zm_tensor zm_build_cross_attention(const zm_builder *builder, zm_tensor x, const zm_block *block,
                                   const zm_kv_cache *cache, zm_size length)
{
    zm_tensor norm = zm_build_norm(builder, x, &block->cross_norm);
    zm_tensor q = zm_build_linear(builder, "q", norm, &block->cross_q, ZM_ACTIVATION_NONE, absent);
    zm_tensor heads = zm_build_matrix(builder, "heads", x.shape[0], x.shape[1]);
    zm_kv_cache_attend(cache, builder->graph, q, length, false, heads);
    return add_branch(builder, x, heads, &block->cross_out);
}

zm_tensor zm_build_mlp(const zm_builder *builder, zm_tensor x, const zm_block *block)
{
    zm_tensor norm = zm_build_norm(builder, x, &block->mlp_norm);
    zm_tensor ff = zm_build_linear(builder, "ff", norm, &block->mlp_in, ZM_ACTIVATION_GELU, absent);
    return add_branch(builder, x, ff, &block->mlp_out);
}
