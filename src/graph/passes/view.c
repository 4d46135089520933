/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what was copied where it is, instead of the copy. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

static size_t last_reader(const zm_graph *graph, const zm_value *root)
{
    size_t last = 0;
    for (size_t n = 0; n < graph->node_count; n++)
        if (zm_nodes_read(graph, n, n + 1, root))
            last = n;
    return last;
}

static bool is_view(const zm_graph *graph, size_t n)
{
    const zm_copy_params *p = graph->nodes[n].params;
    if (graph->nodes[n].op != &zm_op_copy || !zm_is_private(graph, n, &p->dst))
        return false;
    const zm_value *copy = zm_value_find(graph, &p->dst);
    /* What it is a copy of has to stay as it is for as long as the copy is read. */
    return zm_can_replace(graph, copy, &p->x) &&
           !zm_nodes_write(graph, n + 1, last_reader(graph, copy) + 1, zm_edit_root(graph, &p->x));
}

uint32_t zm_pass_view(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t n = 0; graph->status == ZM_OK && n < graph->node_count;) {
        if (!is_view(graph, n)) {
            n++;
            continue;
        }
        const zm_copy_params p = *(const zm_copy_params *)graph->nodes[n].params;
        zm_node_remove(graph, n);
        zm_replace(graph, zm_value_find(graph, &p.dst), &p.x);
        fired++;
    }
    return fired;
}
