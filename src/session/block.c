/* SPDX-License-Identifier: Apache-2.0 */
#include "session/block.h"

zm_status zm_block_norm(const zm_workspace *space, zm_tensor x, const zm_norm_weights *weights,
                        zm_tensor dst)
{
    zm_norm_params params = {
        .x = x, .weight = weights->weight, .bias = weights->bias, .dst = dst, .eps = space->eps};
    zm_status status = zm_network_go_on(space->network);
    if (status != ZM_OK)
        return status;
    if (space->norm == ZM_NORM_RMS)
        return zm_rms_norm(space->stream, &params);
    return zm_layer_norm(space->stream, &params);
}

zm_status zm_block_linear(const zm_workspace *space, zm_tensor x, const zm_linear *linear,
                          zm_activation activation, zm_tensor residual, zm_tensor dst)
{
    zm_matmul_params params = {.x = x,
                               .weight = linear->weight,
                               .bias = linear->bias,
                               .residual = residual,
                               .dst = dst,
                               .activation = activation};
    zm_status status = zm_network_go_on(space->network);
    if (status != ZM_OK)
        return status;
    return zm_matmul(space->stream, &params);
}

/* x = x + linear(y) */
static zm_status write_branch(const zm_workspace *space, zm_tensor y, const zm_linear *linear)
{
    return zm_block_linear(space, y, linear, ZM_ACTIVATION_NONE, space->x, space->x);
}

zm_status zm_block_self_attention(const zm_workspace *space, const zm_block *block,
                                  const zm_kv_cache *cache, uint32_t position, bool causal)
{
    uint32_t rows = space->x.shape[0], d = space->x.shape[1];
    zm_tensor q = zm_tensor_cols(space->qkv, 0, d), kv = zm_tensor_cols(space->qkv, d, 2 * d);
    zm_status status = zm_block_norm(space, space->x, &block->self_norm, space->y);
    if (status == ZM_OK)
        status = zm_block_linear(space, space->y, &block->self_in, ZM_ACTIVATION_NONE,
                                 (zm_tensor){0}, space->qkv);
    if (status == ZM_OK)
        status = zm_kv_cache_store(cache, space->stream, kv, position);
    if (status == ZM_OK)
        status = zm_kv_cache_attend(cache, space->stream, q, position + rows, causal, space->y);
    if (status == ZM_OK)
        status = write_branch(space, space->y, &block->self_out);
    return status;
}

zm_status zm_block_cross_store(const zm_workspace *space, const zm_block *block,
                               const zm_kv_cache *cache, zm_tensor source)
{
    zm_tensor kv = zm_tensor_cols(space->qkv, 0, 2 * source.shape[1]);
    zm_status status =
        zm_block_linear(space, source, &block->cross_kv, ZM_ACTIVATION_NONE, (zm_tensor){0}, kv);
    if (status == ZM_OK)
        status = zm_kv_cache_store(cache, space->stream, kv, 0);
    return status;
}

zm_status zm_block_cross_attention(const zm_workspace *space, const zm_block *block,
                                   const zm_kv_cache *cache, uint32_t kv_length)
{
    zm_tensor q = zm_tensor_cols(space->qkv, 0, space->x.shape[1]);
    zm_status status = zm_block_norm(space, space->x, &block->cross_norm, space->y);
    if (status == ZM_OK)
        status = zm_block_linear(space, space->y, &block->cross_q, ZM_ACTIVATION_NONE,
                                 (zm_tensor){0}, q);
    if (status == ZM_OK)
        status = zm_kv_cache_attend(cache, space->stream, q, kv_length, false, space->y);
    if (status == ZM_OK)
        status = write_branch(space, space->y, &block->cross_out);
    return status;
}

zm_status zm_block_mlp(const zm_workspace *space, const zm_block *block)
{
    zm_status status = zm_block_norm(space, space->x, &block->mlp_norm, space->y);
    if (status == ZM_OK)
        status = zm_block_linear(space, space->y, &block->mlp_in, ZM_ACTIVATION_GELU,
                                 (zm_tensor){0}, space->ff);
    if (status == ZM_OK)
        status = write_branch(space, space->ff, &block->mlp_out);
    return status;
}
