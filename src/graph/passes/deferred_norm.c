/* SPDX-License-Identifier: Apache-2.0 */
/* W norm(x) = r W x: a norm without weight and bias (fold them into what reads it) that only
 * matmuls read is left out. They read x itself and scale their rows, from statistics of x. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Can the reader at m take x instead of its norm? */
static bool can_scale(const zm_graph *graph, size_t m, const zm_norm_params *norm,
                      zm_row_scale_kind kind)
{
    const zm_matmul_params *p = graph->nodes[m].params;
    zm_tensor sums;
    if (graph->nodes[m].op != &zm_op_matmul || p->x.rank != 2 ||
        p->scale.kind != ZM_ROW_SCALE_NONE || !zm_same_view(&p->x, &norm->dst))
        return false;
    /* Its output must not lie where it now reads. */
    if (zm_roots_meet(zm_edit_root(graph, &p->dst), zm_edit_root(graph, &norm->x)))
        return false;
    return kind != ZM_ROW_SCALE_LAYER || zm_column_sums_find(graph, &p->weight, &sums);
}

static bool can_defer(const zm_graph *graph, size_t n)
{
    const zm_norm_params *norm = graph->nodes[n].params;
    zm_row_scale_kind kind = zm_norm_scale(graph->nodes[n].op);
    if (kind == ZM_ROW_SCALE_NONE || norm->weight.buffer || norm->bias.buffer ||
        norm->residual.buffer || (norm->x.shape[1] & ZM_SIZE_FORMULA) ||
        !zm_is_private(graph, n, &norm->dst))
        return false;
    const zm_value *value = zm_value_find(graph, &norm->dst), *x = zm_edit_root(graph, &norm->x);
    size_t readers = 0;
    for (size_t m = n + 1; m < graph->node_count; m++) {
        const zm_node *node = &graph->nodes[m];
        size_t uses = 0;
        for (size_t i = 0; i < node->op->operand_count; i++)
            uses += zm_node_root(graph, node, i) == value;
        if (!uses)
            continue;
        if (uses != 1 || !can_scale(graph, m, norm, kind) || zm_nodes_write(graph, n, m, x))
            return false;
        readers++;
    }
    return readers > 0;
}

static void defer(zm_graph *graph, size_t n, const zm_device *device)
{
    const zm_norm_params norm = *(const zm_norm_params *)graph->nodes[n].params;
    uint32_t group = zm_statistics_group(device);
    const zm_size shape[] = {norm.x.shape[0], 2 * ((norm.x.shape[1] + group - 1) / group)};
    const zm_row_statistics_params statistics = {
        .x = norm.x, .statistics = zm_graph_tensor(graph, NULL, device->info.real_type, 2, shape)};
    const zm_row_scale_kind kind = zm_norm_scale(graph->nodes[n].op);
    const zm_row_scale scale = {.kind = kind,
                                .statistics = statistics.statistics,
                                .d = kind == ZM_ROW_SCALE_CRMS ? norm.true_d : 0,
                                .eps = norm.eps};
    zm_node_become(graph, n, &zm_op_row_statistics, &statistics);
    for (size_t m = n + 1; m < graph->node_count; m++) {
        zm_matmul_params *p = graph->nodes[m].params;
        if (graph->nodes[m].op != &zm_op_matmul || !zm_same_view(&p->x, &norm.dst))
            continue;
        p->x = norm.x;
        p->scale = scale;
        if (kind == ZM_ROW_SCALE_LAYER)
            zm_column_sums_find(graph, &p->weight, &p->scale.column_sums);
        zm_node_take(graph, &graph->nodes[m]);
    }
}

uint32_t zm_pass_deferred_norm(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    for (size_t n = 0; graph->status == ZM_OK && n < graph->node_count; n++) {
        if (!can_defer(graph, n))
            continue;
        defer(graph, n, device);
        fired++;
    }
    return fired;
}
