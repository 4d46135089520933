/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/edit.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "ops/view.h"

const zm_value *zm_edit_root(const zm_graph *graph, const zm_tensor *tensor)
{
    const zm_value *value = zm_value_find(graph, tensor);
    return value ? graph->values[value->root] : NULL;
}

/* ---- who reads and writes ---- */

bool zm_roots_meet(const zm_value *a, const zm_value *b)
{
    if (a == b)
        return true;
    bool inner = a->kind == ZM_VALUE_INNER || b->kind == ZM_VALUE_INNER || a->apart || b->apart;
    bool known = a->kind == ZM_VALUE_BUFFER && b->kind == ZM_VALUE_BUFFER;
    return !inner && !known;
}

static bool nodes_use(const zm_graph *graph, size_t first, size_t last, const zm_value *root,
                      bool output)
{
    for (size_t n = first; n < last; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            const zm_value *used = zm_node_root(graph, node, i);
            bool is_output = (node->op->operands[i].use & ZM_OPERAND_OUTPUT) != 0;
            if (used && is_output == output && zm_roots_meet(used, root))
                return true;
        }
    }
    return false;
}

bool zm_nodes_write(const zm_graph *graph, size_t first, size_t last, const zm_value *root)
{
    return nodes_use(graph, first, last, root, true);
}

bool zm_nodes_read(const zm_graph *graph, size_t first, size_t last, const zm_value *root)
{
    return nodes_use(graph, first, last, root, false);
}

bool zm_inputs_keep(const zm_graph *graph, const zm_node *node, size_t first, size_t last)
{
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(graph, node, i);
        bool output = (node->op->operands[i].use & ZM_OPERAND_OUTPUT) != 0;
        if (root && !output && zm_nodes_write(graph, first, last, root))
            return false;
    }
    return true;
}

bool zm_is_private(const zm_graph *graph, size_t node, const zm_tensor *output)
{
    const zm_value *value = zm_value_find(graph, output);
    return value && zm_value_is_whole(value, output) && !zm_nodes_read(graph, 0, node, value) &&
           !zm_nodes_write(graph, 0, node, value) &&
           !zm_nodes_write(graph, node + 1, graph->node_count, value);
}

size_t zm_last_writer(const zm_graph *graph, size_t node, const zm_value *root)
{
    while (node-- > 0)
        if (zm_nodes_write(graph, node, node + 1, root))
            return node;
    return ZM_NO_NODE;
}

size_t zm_reader_count(const zm_graph *graph, const zm_value *root)
{
    size_t count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++)
            count += zm_node_root(graph, node, i) == root &&
                     !(node->op->operands[i].use & ZM_OPERAND_OUTPUT);
    }
    return count;
}

bool zm_same_view(const zm_tensor *a, const zm_tensor *b)
{
    bool same = a->buffer == b->buffer && a->offset == b->offset && a->dtype == b->dtype &&
                a->rank == b->rank && a->panel == b->panel;
    for (uint32_t i = 0; same && i < a->rank; i++)
        same = a->shape[i] == b->shape[i] && zm_tensor_stride(a, i) == zm_tensor_stride(b, i);
    return same;
}

/* ---- one tensor instead of another ---- */

/* Elements from where the root begins to where the value does, but for whole rows. */
static uint64_t offset_in_root(const zm_graph *graph, const zm_value *value)
{
    uint64_t offset = 0;
    for (; value->kind == ZM_VALUE_ROWS; value = graph->values[value->base])
        offset += value->tensor.offset;
    return offset;
}

/* Is each row of a view of a packed matrix (or vector) within one row of it, so that it can be a
 * view of `by`, which has its shape? Where that is packed too, rows do not matter. begin: of the
 * view's buffer, in the matrix. */
static bool can_view(const zm_tensor *view, uint64_t begin, const zm_tensor *by)
{
    uint32_t cols = by->shape[by->rank - 1];
    bool plain = view->rank == by->rank && view->rank <= 2 && view->dtype == by->dtype &&
                 !view->panel && !by->panel && view->stride[view->rank - 1] <= 1 &&
                 by->stride[by->rank - 1] <= 1;
    if (!plain || view->rank == 1)
        return plain;
    uint64_t step = view->shape[0] > 1 ? zm_tensor_stride(view, 0) : cols;
    if (((cols | view->shape[1]) & ZM_SIZE_FORMULA) || step % cols != 0)
        return false;
    return zm_tensor_stride(by, 0) == cols ||
           begin % cols + view->offset % cols + view->shape[1] <= cols;
}

/* A view for which that holds. Only the first of a chain of views says where the matrix begins. */
static zm_tensor view_through(const zm_tensor *view, bool direct, const zm_tensor *by)
{
    zm_tensor out = *view;
    if (direct)
        out.buffer = by->buffer;
    if (view->rank == 2) {
        uint32_t cols = by->shape[1];
        uint64_t step = zm_tensor_stride(by, 0);
        uint64_t rows = view->shape[0] > 1 ? zm_tensor_stride(view, 0) / cols : 1;
        out.offset = view->offset / cols * step + view->offset % cols;
        out.stride[0] = rows * step;
        out.stride[1] = 1;
        if (out.stride[0] == out.shape[1])
            memset(out.stride, 0, sizeof(out.stride)); /* so that it is seen to be whole */
    }
    if (direct)
        out.offset += by->offset;
    return out;
}

bool zm_can_replace(const zm_graph *graph, const zm_value *value, const zm_tensor *by)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        const zm_value *part = graph->values[i];
        if (part->kind == ZM_VALUE_ROWS && part->root == value->index &&
            !can_view(&part->tensor, offset_in_root(graph, graph->values[part->base]), by))
            return false;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            if (zm_node_root(graph, node, i) != value)
                continue;
            const zm_value *used = graph->values[node->value[i] - 1];
            /* An observer reads what it is shown as it lies there. */
            bool packed =
                node->op == &zm_op_observe || (node->op->operands[i].use & ZM_OPERAND_PACKED) != 0;
            if (!can_view(zm_node_tensor(node, i), offset_in_root(graph, used), by) ||
                (packed && !zm_tensor_is_packed(by)))
                return false;
        }
    }
    return true;
}

void zm_replace(zm_graph *graph, const zm_value *value, const zm_tensor *by)
{
    const zm_value *to = zm_value_find(graph, by);
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            zm_tensor *view = zm_node_tensor(node, i);
            if (zm_node_root(graph, node, i) == value)
                *view = view_through(view, node->value[i] == value->index + 1, by);
        }
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        zm_value *part = graph->values[i];
        if (part->kind != ZM_VALUE_ROWS || part->root != value->index)
            continue;
        bool direct = part->base == value->index;
        part->tensor = view_through(&part->tensor, direct, by);
        part->base = direct ? to->index : part->base;
        part->root = to->root;
    }
    for (size_t n = 0; n < graph->node_count; n++)
        zm_node_take(graph, &graph->nodes[n]);
}

/* ---- nodes ---- */

zm_row_scale_kind zm_norm_scale(const zm_op *op)
{
    if (op == &zm_op_layer_norm)
        return ZM_ROW_SCALE_LAYER;
    if (op == &zm_op_rms_norm)
        return ZM_ROW_SCALE_RMS;
    return op == &zm_op_crms_norm ? ZM_ROW_SCALE_CRMS : ZM_ROW_SCALE_NONE;
}

void zm_node_become(zm_graph *graph, size_t n, const zm_op *op, const void *params)
{
    zm_node *node = &graph->nodes[n];
    void *copy = zm_calloc(1, op->params_size);
    if (!copy) {
        zm_graph_fail(graph, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
        return;
    }
    memcpy(copy, params, op->params_size);
    free(node->params);
    node->op = op;
    node->params = copy;
    zm_node_take(graph, node);
}

void zm_node_remove(zm_graph *graph, size_t n)
{
    free(graph->nodes[n].params);
    free(graph->nodes[n].what);
    graph->node_count--;
    memmove(&graph->nodes[n], &graph->nodes[n + 1],
            (graph->node_count - n) * sizeof(graph->nodes[n]));
}
