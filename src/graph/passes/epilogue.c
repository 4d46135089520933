/* SPDX-License-Identifier: Apache-2.0 */
/* A sum with the output of a matmul, which nothing else reads, becomes the matmul's residual. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

static bool fuse(zm_graph *graph, size_t n, size_t m, const zm_tensor *branch,
                 const zm_tensor *residual)
{
    const zm_matmul_params *p = zm_product_of(graph, n, branch);
    if (!p || p->residual.buffer || p->factor.buffer)
        return false;
    zm_matmul_params with = *p;
    with.residual = *residual;
    with.dst = ((const zm_add_params *)graph->nodes[m].params)->dst;
    return zm_product_take(graph, n, m, &with, residual);
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
