/* SPDX-License-Identifier: Apache-2.0 */
/* A sum and the norm of it become one pass over the rows, which writes both; the sum is left out
 * where only the norm reads it. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Is the vector not written from n on, neither by the sum itself? */
static bool keeps(const zm_graph *graph, size_t n, size_t m, const zm_tensor *vector)
{
    const zm_value *root = zm_edit_root(graph, vector);
    return !root || !zm_nodes_write(graph, n, m, root);
}

/* The norm at m moves to the sum at n. */
static bool can_fuse(const zm_graph *graph, size_t n, size_t m)
{
    const zm_add_params *add = graph->nodes[n].params;
    const zm_norm_params *norm = graph->nodes[m].params;
    return !norm->residual.buffer && zm_same_view(&add->dst, &norm->x) &&
           keeps(graph, n, m, &norm->weight) && keeps(graph, n, m, &norm->bias) &&
           zm_is_private(graph, m, &norm->dst) && zm_inputs_keep(graph, &graph->nodes[m], n + 1, m);
}

static void fuse(zm_graph *graph, size_t n, size_t m)
{
    const zm_add_params add = *(const zm_add_params *)graph->nodes[n].params;
    const zm_op *op = graph->nodes[m].op;
    zm_norm_params norm = *(const zm_norm_params *)graph->nodes[m].params;
    const zm_value *sum = zm_edit_root(graph, &add.dst);
    bool alone = zm_is_private(graph, n, &add.dst) && zm_reader_count(graph, sum) == 1;
    norm.x = add.x;
    norm.residual = add.y;
    norm.sum = alone ? (zm_tensor){0} : add.dst;
    zm_node_remove(graph, m);
    zm_node_become(graph, n, op, &norm);
}

uint32_t zm_pass_residual_norm(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t m = 0; graph->status == ZM_OK && m < graph->node_count; m++) {
        if (zm_norm_scale(graph->nodes[m].op) == ZM_ROW_SCALE_NONE)
            continue;
        const zm_norm_params *norm = graph->nodes[m].params;
        size_t n = zm_last_writer(graph, m, zm_edit_root(graph, &norm->x));
        if (n == ZM_NO_NODE || graph->nodes[n].op != &zm_op_add || !can_fuse(graph, n, m))
            continue;
        fuse(graph, n, m);
        m--;
        fired++;
    }
    return fired;
}
