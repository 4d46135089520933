/* SPDX-License-Identifier: Apache-2.0 */
/* What activate does to the output of a matmul is done in its epilogue.
 *
 * Before matmuls are merged: those of queries, keys and values that get their biases so can be
 * merged with them. Of a gate and an up projection with adjacent weights the gate takes the product
 * and is not merged then. Both ways are two launches and take about as long, but the other one
 * takes twice the memory. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Is what activate does still to come in the epilogue: bias, activation, factor? */
static bool can_follow(const zm_matmul_params *p, const zm_activate_params *a)
{
    bool factor_only = a->activation == ZM_ACTIVATION_NONE && !a->bias.buffer;
    return !p->residual.buffer && !p->factor.buffer && !p->gated &&
           (factor_only || p->activation == ZM_ACTIVATION_NONE) &&
           (!p->bias.buffer || !a->bias.buffer);
}

static bool fuse(zm_graph *graph, size_t m, const zm_activate_params *a)
{
    size_t n = zm_last_writer(graph, m, zm_edit_root(graph, &a->x));
    const zm_matmul_params *p = zm_product_of(graph, n, &a->x);
    if (!p || !can_follow(p, a))
        return false;
    zm_matmul_params with = *p;
    with.factor = a->y;
    with.dst = a->dst;
    if (a->bias.buffer)
        with.bias = a->bias;
    if (a->activation != ZM_ACTIVATION_NONE)
        with.activation = a->activation;
    return zm_product_take(graph, n, m, &with, &a->y);
}

/* Of x y alone either may be the output of a matmul. */
static bool fuse_either(zm_graph *graph, size_t m)
{
    const zm_activate_params a = *(const zm_activate_params *)graph->nodes[m].params;
    zm_activate_params swapped = a;
    swapped.x = a.y;
    swapped.y = a.x;
    bool swappable = a.y.buffer && !a.bias.buffer && a.activation == ZM_ACTIVATION_NONE;
    return fuse(graph, m, &a) || (swappable && fuse(graph, m, &swapped));
}

uint32_t zm_pass_activation(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t m = 0; graph->status == ZM_OK && m < graph->node_count; m++) {
        if (graph->nodes[m].op != &zm_op_activate || !fuse_either(graph, m))
            continue;
        fired++;
        m--; /* the activation is where its matmul was taken out before it */
    }
    return fired;
}
