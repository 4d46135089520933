/* SPDX-License-Identifier: Apache-2.0 */
/* W norm(x) = r W x: a norm without bias (fold it into those of what reads it) that only matmuls
 * read is left out. They read x itself, or x times the norm's weight where it has one, and scale
 * their rows, from statistics of x. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Can the reader at m take x instead of its norm? */
static bool can_scale(const zm_graph *graph, size_t m, const zm_norm_params *norm,
                      zm_row_scale_kind kind)
{
    const zm_matmul_params *p = graph->nodes[m].params;
    if (graph->nodes[m].op != &zm_op_matmul || p->x.rank != 2 ||
        p->scale.kind != ZM_ROW_SCALE_NONE || !zm_same_view(&p->x, &norm->dst))
        return false;
    /* No output must lie where it now reads; what is weighted has a place of its own. */
    if (!norm->weight.buffer && zm_nodes_write(graph, m, m + 1, zm_edit_root(graph, &norm->x)))
        return false;
    return kind != ZM_ROW_SCALE_LAYER || p->scale.column_sums.buffer;
}

/* x times a weight may be more than F16 holds; the norm is not. */
static bool can_weight(const zm_norm_params *norm)
{
    return !norm->weight.buffer || norm->x.dtype != ZM_F16;
}

static bool can_defer(const zm_graph *graph, size_t n)
{
    const zm_norm_params *norm = graph->nodes[n].params;
    zm_row_scale_kind kind = zm_norm_scale(graph->nodes[n].op);
    if (kind == ZM_ROW_SCALE_NONE || norm->bias.buffer || norm->residual.buffer ||
        !can_weight(norm) || (norm->x.shape[1] & ZM_SIZE_FORMULA) ||
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
        bool stays = norm->weight.buffer || !zm_nodes_write(graph, n, m, x);
        if (uses != 1 || !stays || !can_scale(graph, m, norm, kind))
            return false;
        readers++;
    }
    return readers > 0;
}

/* Statistics of the norm's x, and x times its weight. */
static zm_row_statistics_params statistics_of(zm_graph *graph, const zm_norm_params *norm,
                                              const zm_device *device)
{
    uint32_t group = zm_statistics_group(device), d = norm->x.shape[1];
    const zm_size rows = norm->x.shape[0], sums[] = {rows, 2 * ((d + group - 1) / group)};
    zm_row_statistics_params p = {
        .x = norm->x,
        .statistics = zm_graph_tensor(graph, NULL, device->info.real_type, 2, sums),
        .weight = norm->weight,
    };
    if (p.weight.buffer)
        p.weighted = zm_graph_tensor(graph, NULL, norm->x.dtype, 2, (zm_size[]){rows, d});
    return p;
}

static void defer(zm_graph *graph, size_t n, const zm_device *device)
{
    const zm_norm_params norm = *(const zm_norm_params *)graph->nodes[n].params;
    const zm_row_statistics_params statistics = statistics_of(graph, &norm, device);
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
        const zm_tensor sums = p->scale.column_sums;
        p->x = norm.weight.buffer ? statistics.weighted : norm.x;
        p->scale = scale;
        if (kind == ZM_ROW_SCALE_LAYER)
            p->scale.column_sums = sums;
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
