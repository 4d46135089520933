/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

void zm_graph_layer_norm(zm_graph *graph, const zm_norm_params *params)
{
    zm_graph_add_node(graph, &zm_op_layer_norm, params, NULL);
}

void zm_graph_rms_norm(zm_graph *graph, const zm_norm_params *params)
{
    zm_graph_add_node(graph, &zm_op_rms_norm, params, NULL);
}

void zm_graph_crms_norm(zm_graph *graph, const zm_norm_params *params)
{
    zm_graph_add_node(graph, &zm_op_crms_norm, params, NULL);
}

void zm_graph_row_statistics(zm_graph *graph, const zm_row_statistics_params *params)
{
    zm_graph_add_node(graph, &zm_op_row_statistics, params, NULL);
}

void zm_graph_add(zm_graph *graph, const zm_add_params *params)
{
    zm_graph_add_node(graph, &zm_op_add, params, NULL);
}

void zm_graph_recentre(zm_graph *graph, const zm_add_params *params)
{
    zm_graph_add_node(graph, &zm_op_recentre, params, NULL);
}

void zm_graph_activate(zm_graph *graph, const zm_activate_params *params)
{
    zm_graph_add_node(graph, &zm_op_activate, params, NULL);
}

/* Of a LayerNorm that may be deferred: the op knows them with a row scale only. */
static bool sums_are_sound(const zm_matmul_params *p)
{
    const zm_tensor *weight = &p->weight, *sums = &p->scale.column_sums;
    return p->scale.kind != ZM_ROW_SCALE_NONE || !sums->buffer ||
           (weight->rank == 2 && sums->rank == 1 && weight->shape[0] == sums->shape[0] &&
            !((weight->shape[0] | weight->shape[1]) & ZM_SIZE_FORMULA));
}

void zm_graph_matmul(zm_graph *graph, const zm_matmul_params *params)
{
    if (graph && params && !sums_are_sound(params))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "matmul: column sums need a weight [n][k] and are [n]");
    zm_graph_add_node(graph, &zm_op_matmul, params, NULL);
}

void zm_graph_conv1d(zm_graph *graph, const zm_conv1d_params *params)
{
    zm_graph_add_node(graph, &zm_op_conv1d, params, NULL);
}

void zm_graph_patch_embedding(zm_graph *graph, const zm_patch_embedding_params *params)
{
    zm_graph_add_node(graph, &zm_op_patch_embedding, params, NULL);
}

void zm_graph_embedding(zm_graph *graph, const zm_embedding_params *params)
{
    zm_graph_add_node(graph, &zm_op_embedding, params, NULL);
}

void zm_graph_kv_store(zm_graph *graph, const zm_kv_store_params *params)
{
    zm_graph_add_node(graph, &zm_op_kv_store, params, NULL);
}

void zm_graph_attention(zm_graph *graph, const zm_attention_params *params)
{
    zm_graph_add_node(graph, &zm_op_attention, params, NULL);
}

void zm_graph_rope(zm_graph *graph, const zm_rope_params *params)
{
    zm_graph_add_node(graph, &zm_op_rope, params, NULL);
}

void zm_graph_softmax(zm_graph *graph, const zm_softmax_params *params)
{
    zm_graph_add_node(graph, &zm_op_softmax, params, NULL);
}

void zm_graph_copy(zm_graph *graph, const zm_copy_params *params)
{
    zm_graph_add_node(graph, &zm_op_copy, params, NULL);
}

void zm_graph_top_k(zm_graph *graph, const zm_top_k_params *params)
{
    zm_graph_add_node(graph, &zm_op_top_k, params, NULL);
}

void zm_graph_argmax(zm_graph *graph, const zm_argmax_params *params)
{
    zm_graph_add_node(graph, &zm_op_argmax, params, NULL);
}

static zm_status observe_check(const zm_device *device, const void *params, zm_refusal *refusal)
{
    const zm_observe_params *p = params;
    (void)device;
    return p->x.buffer ? ZM_OK : zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "x: it is missing");
}

static const zm_operand observe_operands[] = {
    {"x", offsetof(zm_observe_params, x), ZM_OPERAND_ANY, ZM_OPERAND_STRIDED, 0},
};

const zm_op zm_op_observe = {.name = "observe",
                             .check = observe_check,
                             .operands = observe_operands,
                             .operand_count = ZM_COUNT(observe_operands),
                             .params_size = sizeof(zm_observe_params)};

void zm_graph_observe(zm_graph *graph, const char *what, uint32_t index, zm_tensor tensor)
{
    const zm_observe_params params = {.x = tensor, .index = index};
    zm_graph_add_node(graph, &zm_op_observe, &params, what ? what : "");
}
