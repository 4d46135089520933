/* SPDX-License-Identifier: Apache-2.0 */
/* A sum with what only a matmul writes and nothing else reads becomes the matmul's residual. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* May the matmul write dst, which the sum may have had in common with what it reads? Externs can be
 * bound to one memory, but no weight to that of an output. */
static bool can_write(const zm_graph *graph, const zm_node *node, const zm_tensor *residual,
                      const zm_tensor *dst)
{
    const zm_matmul_params *p = node->params;
    const zm_value *to = zm_edit_root(graph, dst);
    if (zm_roots_meet(zm_edit_root(graph, &p->x), to) ||
        (zm_edit_root(graph, residual) == to && !zm_same_view(residual, dst)))
        return false;
    for (size_t i = 0; i < node->op->operand_count; i++)
        if (zm_node_root(graph, node, i) == to)
            return false;
    return true;
}

/* The matmul at n with the residual, in the place of the sum at m. */
static bool can_add(const zm_graph *graph, size_t n, size_t m, const zm_tensor *residual,
                    const zm_tensor *dst)
{
    const zm_node *node = &graph->nodes[n];
    const zm_matmul_params *p = node->params;
    return !p->residual.buffer && !p->statistics.buffer && zm_is_private(graph, n, &p->dst) &&
           zm_reader_count(graph, zm_value_find(graph, &p->dst)) == 1 &&
           zm_inputs_keep(graph, node, n, m) && can_write(graph, node, residual, dst);
}

static bool fuse(zm_graph *graph, size_t n, size_t m, const zm_tensor *branch,
                 const zm_tensor *residual)
{
    if (n == ZM_NO_NODE || graph->nodes[n].op != &zm_op_matmul)
        return false;
    const zm_add_params *p = graph->nodes[m].params;
    zm_matmul_params fused = *(const zm_matmul_params *)graph->nodes[n].params;
    if (!zm_same_view(&fused.dst, branch) || !can_add(graph, n, m, residual, &p->dst))
        return false;
    fused.residual = *residual;
    fused.dst = p->dst;
    zm_node_become(graph, m, &zm_op_matmul, &fused);
    zm_node_remove(graph, n);
    return true;
}

/* Of two products the later one, which has the shorter way to go. */
static bool fuse_either(zm_graph *graph, size_t m)
{
    const zm_add_params p = *(const zm_add_params *)graph->nodes[m].params;
    size_t x = zm_last_writer(graph, m, zm_edit_root(graph, &p.x));
    size_t y = zm_last_writer(graph, m, zm_edit_root(graph, &p.y));
    bool x_first = x != ZM_NO_NODE && (y == ZM_NO_NODE || x > y);
    return x_first ? fuse(graph, x, m, &p.x, &p.y) || fuse(graph, y, m, &p.y, &p.x)
                   : fuse(graph, y, m, &p.y, &p.x) || fuse(graph, x, m, &p.x, &p.y);
}

uint32_t zm_pass_epilogue(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t m = 0; graph->status == ZM_OK && m < graph->node_count; m++) {
        if (graph->nodes[m].op != &zm_op_add || !fuse_either(graph, m))
            continue;
        fired++;
        m--; /* the sum is where its matmul was taken out before it */
    }
    return fired;
}
