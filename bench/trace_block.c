/* SPDX-License-Identifier: Apache-2.0 */
#include "trace_block.h"

#include <string.h>

#define D 768
#define HEADS 12
#define FF 3072
#define EPS 1e-5f

/* While it is built; the first error sticks, and nothing is done any more. */
typedef struct builder {
    zm_device *device;
    zm_stream *stream;
    zm_graph *graph;
    zm_dtype type;
    uint32_t tokens;
    trace_block *block;
    zm_status status;
} builder;

/* Zeros: how long it takes does not depend on the numbers. */
static zm_buffer *buffer(builder *b, uint64_t elements)
{
    const zm_buffer_params params = {.size = elements * zm_dtype_size(b->type)};
    zm_buffer **out = &b->block->buffers[b->block->buffer_count];
    if (b->status == ZM_OK)
        b->status = zm_buffer_create(b->device, &params, out);
    if (b->status == ZM_OK) {
        b->block->buffer_count++;
        b->status = zm_buffer_fill(b->stream, *out, 0, params.size, 0);
    }
    return *out;
}

static zm_tensor weight(builder *b, uint32_t n, uint32_t k)
{
    zm_weight_layout layout = {0};
    if (b->status == ZM_OK)
        b->status = zm_weight_layout_get(b->device, n, k, b->type, &layout);
    zm_tensor tensor = zm_tensor_2d(buffer(b, layout.elements), b->type, n, k);
    tensor.panel = layout.panel;
    return tensor;
}

static zm_tensor vector(builder *b, uint32_t n)
{
    return zm_tensor_1d(buffer(b, n), b->type, n);
}

static zm_tensor rows(builder *b, const char *name, uint32_t cols)
{
    return zm_graph_tensor(b->graph, name, b->type, 2, (zm_size[]){b->tokens, cols});
}

static zm_tensor norm(builder *b, const char *name, zm_tensor x)
{
    const zm_norm_params params = {
        .x = x, .weight = vector(b, D), .bias = vector(b, D), .dst = rows(b, name, D), .eps = EPS};
    zm_graph_layer_norm(b->graph, &params);
    return params.dst;
}

static void linear(builder *b, zm_tensor x, zm_tensor residual, zm_activation activation,
                   zm_tensor dst)
{
    const zm_matmul_params params = {.x = x,
                                     .weight = weight(b, dst.shape[1], x.shape[1]),
                                     .bias = vector(b, dst.shape[1]),
                                     .activation = activation,
                                     .residual = residual,
                                     .dst = dst};
    zm_graph_matmul(b->graph, &params);
}

static zm_tensor attention(builder *b, zm_tensor qkv)
{
    zm_kv_layout layout = {0};
    if (b->status == ZM_OK)
        b->status = zm_kv_layout_get(b->device, b->type, HEADS, D / HEADS, b->tokens, &layout);
    const zm_kv_store_params store = {.k = zm_tensor_cols(qkv, D, D),
                                      .v = zm_tensor_cols(qkv, 2 * D, D),
                                      .k_cache = vector(b, (uint32_t)layout.elements),
                                      .v_cache = vector(b, (uint32_t)layout.elements),
                                      .layout = layout};
    const zm_attention_params params = {.q = zm_tensor_cols(qkv, 0, D),
                                        .k_cache = store.k_cache,
                                        .v_cache = store.v_cache,
                                        .layout = layout,
                                        .kv_length = b->tokens,
                                        .causal = true,
                                        .dst = rows(b, "attended", D)};
    zm_graph_kv_store(b->graph, &store);
    zm_graph_attention(b->graph, &params);
    return params.dst;
}

static void build(builder *b)
{
    const zm_tensor none = {0};
    zm_tensor x = zm_tensor_2d(buffer(b, (uint64_t)b->tokens * D), b->type, b->tokens, D);
    zm_tensor dst = zm_tensor_2d(buffer(b, (uint64_t)b->tokens * D), b->type, b->tokens, D);
    zm_tensor qkv = rows(b, "qkv", 3 * D), middle = rows(b, "middle", D), up = rows(b, "up", FF);
    linear(b, norm(b, "norm1", x), none, ZM_ACTIVATION_NONE, qkv);
    linear(b, attention(b, qkv), x, ZM_ACTIVATION_NONE, middle);
    linear(b, norm(b, "norm2", middle), none, ZM_ACTIVATION_GELU, up);
    linear(b, up, middle, ZM_ACTIVATION_NONE, dst);
}

zm_status trace_block_create(zm_device *device, zm_stream *stream, const zm_log *log,
                             uint32_t tokens, trace_block *out)
{
    memset(out, 0, sizeof(*out));
    builder b = {.device = device,
                 .stream = stream,
                 .type = zm_device_get_info(device)->real_type,
                 .tokens = tokens,
                 .block = out};
    b.status = zm_graph_create(log, &b.graph);
    if (b.status == ZM_OK)
        build(&b);
    if (b.status == ZM_OK)
        b.status = zm_graph_compile(b.graph, device, NULL, &out->executable);
    zm_graph_destroy(&b.graph);
    return b.status;
}

void trace_block_finish(trace_block *block)
{
    zm_executable_destroy(&block->executable);
    while (block->buffer_count)
        zm_buffer_destroy(&block->buffers[--block->buffer_count]);
}
