/* SPDX-License-Identifier: Apache-2.0 */
/* Norms of one tensor share its statistics, also where their eps are not the same: branches that
 * are parallel. Where a norm has a weight, what is weighted is written for it alone: that stays. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Does n compute the statistics of m, with nothing changed in between? */
static bool is_same(const zm_graph *graph, size_t n, size_t m)
{
    const zm_row_statistics_params *p = graph->nodes[n].params, *q = graph->nodes[m].params;
    return graph->nodes[n].op == &zm_op_row_statistics && zm_same_view(&p->x, &q->x) &&
           zm_is_private(graph, n, &p->statistics) && zm_is_private(graph, m, &q->statistics) &&
           !zm_nodes_write(graph, n, m, zm_edit_root(graph, &q->x)) &&
           zm_can_replace(graph, zm_value_find(graph, &q->statistics), &p->statistics);
}

static bool share(zm_graph *graph, size_t m)
{
    const zm_row_statistics_params q = *(const zm_row_statistics_params *)graph->nodes[m].params;
    for (size_t n = 0; q.statistics.buffer && n < m; n++) {
        if (!is_same(graph, n, m))
            continue;
        const zm_row_statistics_params p =
            *(const zm_row_statistics_params *)graph->nodes[n].params;
        zm_row_statistics_params rest = q;
        rest.statistics = (zm_tensor){0};
        if (q.weighted.buffer)
            zm_node_become(graph, m, &zm_op_row_statistics, &rest);
        else
            zm_node_remove(graph, m);
        zm_replace(graph, zm_value_find(graph, &q.statistics), &p.statistics);
        return true;
    }
    return false;
}

uint32_t zm_pass_shared_statistic(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t m = 0; graph->status == ZM_OK && m < graph->node_count;) {
        if (graph->nodes[m].op == &zm_op_row_statistics && share(graph, m))
            fired++;
        else
            m++;
    }
    return fired;
}
