/* SPDX-License-Identifier: Apache-2.0 */
/* Takes out what writes only inner tensors that nothing reads afterwards. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

static bool is_dead(const zm_graph *graph, size_t n)
{
    const zm_node *node = &graph->nodes[n];
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(graph, node, i);
        if (!root || !(node->op->operands[i].use & ZM_OPERAND_OUTPUT))
            continue;
        if (root->kind != ZM_VALUE_INNER || zm_nodes_read(graph, n + 1, graph->node_count, root))
            return false;
    }
    return node->op != &zm_op_observe;
}

/* From the end: what only dead nodes read is dead as well. */
uint32_t zm_pass_dead_code(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t n = graph->node_count; n-- > 0;) {
        if (!is_dead(graph, n))
            continue;
        zm_node_remove(graph, n);
        fired++;
    }
    return fired;
}
