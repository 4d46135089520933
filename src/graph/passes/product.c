/* SPDX-License-Identifier: Apache-2.0 */
/* How passes put what happens to the output of a matmul into its epilogue. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Is what the matmul at n writes there for the node at m alone? That one may have its dst in the
 * same place; otherwise nothing else may need what lies there. */
static bool is_for(const zm_graph *graph, size_t n, size_t m, const zm_tensor *output,
                   const zm_tensor *dst)
{
    if (zm_same_view(output, dst))
        return !zm_nodes_read(graph, n + 1, m, zm_edit_root(graph, output));
    return zm_is_private(graph, n, output) &&
           zm_reader_count(graph, zm_value_find(graph, output)) == 1;
}

/* May the matmul write dst, which may have something in common with what it reads? Externs can be
 * bound to one memory, but neither weights nor column sums to that of an output. */
static bool can_write(const zm_graph *graph, const zm_node *node, const zm_tensor *dst)
{
    const zm_matmul_params *p = node->params;
    const zm_value *to = zm_edit_root(graph, dst);
    if (zm_same_view(&p->dst, dst))
        return true;
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(graph, node, i);
        bool weight = node->op->operands[i].type == ZM_OPERAND_WEIGHT ||
                      zm_node_tensor(node, i) == &p->scale.column_sums;
        if (root && (weight ? root == to : zm_roots_meet(root, to)))
            return false;
    }
    return true;
}

bool zm_product_take(zm_graph *graph, size_t n, size_t m, const zm_matmul_params *with,
                     const zm_tensor *other)
{
    const zm_node *node = &graph->nodes[n];
    const zm_tensor *output = &((const zm_matmul_params *)node->params)->dst;
    const zm_value *root = zm_edit_root(graph, other);
    if ((root && zm_roots_meet(root, zm_edit_root(graph, output))) ||
        !is_for(graph, n, m, output, &with->dst) || !zm_inputs_keep(graph, node, n + 1, m) ||
        !can_write(graph, node, &with->dst))
        return false;
    zm_node_become(graph, m, &zm_op_matmul, with);
    zm_node_remove(graph, n);
    return true;
}

const zm_matmul_params *zm_product_of(const zm_graph *graph, size_t n, const zm_tensor *output)
{
    if (n == ZM_NO_NODE || graph->nodes[n].op != &zm_op_matmul)
        return NULL;
    const zm_matmul_params *p = graph->nodes[n].params;
    return zm_same_view(&p->dst, output) && !p->statistics.buffer ? p : NULL;
}
