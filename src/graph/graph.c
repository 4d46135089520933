/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/graph.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"

void zm_graph_fail(zm_graph *graph, zm_status status, const char *format, ...)
{
    char reason[320];
    va_list args;
    if (graph->status != ZM_OK)
        return;
    va_start(args, format);
    vsnprintf(reason, sizeof(reason), format, args);
    va_end(args);
    graph->status = zm_fail(&graph->log, status, "graph: %s", reason);
}

zm_status zm_graph_fail_memory(const zm_graph *graph)
{
    return zm_fail(&graph->log, ZM_ERROR_OUT_OF_MEMORY, "graph: out of memory");
}

void *zm_graph_reserve(zm_graph *graph, void *array, size_t *capacity, size_t count, size_t size)
{
    if (zm_array_reserve(&array, capacity, count + 1, size))
        return array;
    zm_graph_fail(graph, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
    return NULL;
}

zm_status zm_graph_create(const zm_log *log, zm_graph **out)
{
    if (!out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_graph *graph = zm_calloc(1, sizeof(*graph));
    if (!graph)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "graph: out of memory");
    graph->log = zm_log_copy(log);
    *out = graph;
    return ZM_OK;
}

void zm_graph_destroy(zm_graph **out)
{
    if (!out || !*out)
        return;
    zm_graph *graph = *out;
    for (size_t i = 0; i < graph->formula_count; i++)
        free(graph->formulas[i].name);
    for (size_t i = 0; i < graph->value_count; i++)
        zm_value_destroy(graph->values[i]);
    for (size_t i = 0; i < graph->node_count; i++) {
        free(graph->nodes[i].params);
        free(graph->nodes[i].what);
    }
    free(graph->formulas);
    free(graph->values);
    free(graph->nodes);
    free(graph);
    *out = NULL;
}

zm_status zm_graph_status(const zm_graph *graph)
{
    return graph ? graph->status : ZM_ERROR_INVALID_ARGUMENT;
}

/* ---- nodes ---- */

zm_tensor *zm_node_tensor(const zm_node *node, size_t i)
{
    return (zm_tensor *)((char *)node->params + node->op->operands[i].offset);
}

zm_value *zm_node_root(const zm_graph *graph, const zm_node *node, size_t i)
{
    return node->value[i] ? graph->values[graph->values[node->value[i] - 1]->root] : NULL;
}

static void size_take(zm_graph *graph, zm_node *node, const zm_operand *operand)
{
    zm_size size;
    memcpy(&size, (const char *)node->params + operand->offset, sizeof(size));
    if (!zm_size_is_sound(graph, size))
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "%s: %s is not a size of this graph",
                      node->op->name, operand->name);
    else
        node->symbols |= zm_size_symbols(graph, size);
}

static bool shape_is_sound(const zm_graph *graph, const zm_tensor *tensor)
{
    bool sound = tensor->rank <= ZM_MAX_RANK, inner = false, strides = false;
    for (uint32_t i = 0; sound && i < tensor->rank; i++) {
        sound = zm_size_is_sound(graph, tensor->shape[i]);
        inner |= i > 0 && (tensor->shape[i] & ZM_SIZE_FORMULA);
        strides |= tensor->stride[i] != 0;
    }
    return sound && !(inner && strides);
}

static void tensor_take(zm_graph *graph, zm_node *node, size_t i)
{
    const zm_operand *operand = &node->op->operands[i];
    const zm_tensor *tensor = zm_node_tensor(node, i);
    if (!tensor->buffer)
        return;
    const zm_value *value = zm_value_of(graph, tensor);
    if (!value) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "%s: %s is a tensor of another graph",
                      node->op->name, operand->name);
    } else if (!shape_is_sound(graph, tensor)) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "%s: %s has sizes of another graph, or is a part of a tensor with symbols in "
                      "other than its first dimension",
                      node->op->name, operand->name);
    } else if (graph->values[value->root]->kind != ZM_VALUE_BUFFER &&
               graph->values[value->root]->tensor.dtype != tensor->dtype) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "%s: %s has another type than its memory",
                      node->op->name, operand->name);
    } else {
        node->value[i] = value->index + 1;
        node->symbols |= zm_value_symbols(graph, value, tensor);
    }
}

void zm_node_take(zm_graph *graph, zm_node *node)
{
    memset(node->value, 0, sizeof(node->value));
    node->symbols = 0;
    for (size_t i = 0; graph->status == ZM_OK && i < node->op->operand_count; i++) {
        if (node->op->operands[i].type == ZM_OPERAND_SIZE)
            size_take(graph, node, &node->op->operands[i]);
        else
            tensor_take(graph, node, i);
    }
}

/* Is there something to read, and may it be written? */
static void order_check(zm_graph *graph, const zm_node *node)
{
    char name[64];
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_operand *operand = &node->op->operands[i];
        const zm_value *root = zm_node_root(graph, node, i);
        if (!root || root->kind != ZM_VALUE_INNER)
            continue;
        zm_value_print(root, name, sizeof(name));
        if (operand->use & ZM_OPERAND_KEPT)
            zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                          "%s: %s keeps what was there, which an inner tensor (%s) can't",
                          node->op->name, operand->name, name);
        else if (!(operand->use & ZM_OPERAND_OUTPUT) && !root->written)
            zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                          "%s: %s is %s, which nothing has written yet", node->op->name,
                          operand->name, name);
    }
    for (size_t i = 0; i < node->op->operand_count; i++)
        if (node->value[i] && (node->op->operands[i].use & ZM_OPERAND_OUTPUT))
            zm_node_root(graph, node, i)->written = true;
}

static void node_free(zm_node *node)
{
    free(node->params);
    free(node->what);
}

static zm_status node_fill(zm_node *node, const zm_op *op, const void *params, const char *what)
{
    *node = (zm_node){.op = op, .params = zm_calloc(1, op->params_size)};
    node->what = what ? zm_strdup(what) : NULL;
    if (node->params && (node->what || !what)) {
        memcpy(node->params, params, op->params_size);
        return ZM_OK;
    }
    node_free(node);
    return ZM_ERROR_OUT_OF_MEMORY;
}

void zm_graph_add_node(zm_graph *graph, const zm_op *op, const void *params, const char *what)
{
    zm_node node;
    if (!graph || graph->status != ZM_OK)
        return;
    if (!params) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "%s: no parameters", op->name);
        return;
    }
    zm_node *nodes = zm_graph_reserve(graph, graph->nodes, &graph->node_capacity, graph->node_count,
                                      sizeof(*nodes));
    if (!nodes)
        return;
    graph->nodes = nodes;
    if (node_fill(&node, op, params, what) != ZM_OK) {
        zm_graph_fail(graph, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
        return;
    }
    node.device = graph->device;
    zm_node_take(graph, &node);
    order_check(graph, &node);
    if (graph->status == ZM_OK)
        graph->nodes[graph->node_count++] = node;
    else
        node_free(&node);
}

void zm_graph_device(zm_graph *graph, uint32_t index)
{
    if (graph)
        graph->device = index;
}

/* ---- copies ---- */

static zm_status formulas_clone(const zm_graph *graph, zm_graph *copy)
{
    copy->formulas = zm_calloc(graph->formula_count + 1, sizeof(zm_formula));
    if (!copy->formulas)
        return ZM_ERROR_OUT_OF_MEMORY;
    copy->formula_capacity = graph->formula_count + 1;
    for (; copy->formula_count < graph->formula_count; copy->formula_count++) {
        zm_formula *formula = &copy->formulas[copy->formula_count];
        const char *name = graph->formulas[copy->formula_count].name;
        *formula = graph->formulas[copy->formula_count];
        formula->name = name ? zm_strdup(name) : NULL;
        if (name && !formula->name)
            return ZM_ERROR_OUT_OF_MEMORY;
    }
    return ZM_OK;
}

/* From a value of the graph that was copied to the copy of that value; a real buffer stays. */
static void tensor_follow(const zm_graph *copy, zm_tensor *tensor)
{
    if (tensor->buffer && !tensor->buffer->device)
        tensor->buffer = &copy->values[((const zm_value *)tensor->buffer)->index]->buffer;
}

static zm_status values_clone(const zm_graph *graph, zm_graph *copy)
{
    copy->values = zm_calloc(graph->value_count + 1, sizeof(zm_value *));
    if (!copy->values)
        return ZM_ERROR_OUT_OF_MEMORY;
    copy->value_capacity = graph->value_count + 1;
    zm_status status = ZM_OK;
    while (status == ZM_OK && copy->value_count < graph->value_count) {
        size_t i = copy->value_count;
        status = zm_value_copy(graph->values[i], copy, &copy->values[i]);
        copy->value_count += status == ZM_OK;
    }
    for (size_t i = 0; i < copy->value_count; i++)
        tensor_follow(copy, &copy->values[i]->tensor);
    return status;
}

static zm_status nodes_clone(const zm_graph *graph, zm_graph *copy)
{
    copy->nodes = zm_calloc(graph->node_count + 1, sizeof(zm_node));
    if (!copy->nodes)
        return ZM_ERROR_OUT_OF_MEMORY;
    copy->node_capacity = graph->node_count + 1;
    for (; copy->node_count < graph->node_count; copy->node_count++) {
        const zm_node *from = &graph->nodes[copy->node_count];
        zm_node *to = &copy->nodes[copy->node_count];
        zm_status status = node_fill(to, from->op, from->params, from->what);
        if (status != ZM_OK)
            return status;
        memcpy(to->value, from->value, sizeof(to->value));
        to->symbols = from->symbols;
        to->device = from->device;
        for (size_t i = 0; i < to->op->operand_count; i++)
            if (to->value[i])
                tensor_follow(copy, zm_node_tensor(to, i));
    }
    return ZM_OK;
}

zm_status zm_graph_clone(const zm_graph *graph, zm_graph **out)
{
    zm_graph *copy = NULL;
    zm_status status = zm_graph_create(&graph->log, &copy);
    if (status != ZM_OK)
        return status;
    status = formulas_clone(graph, copy);
    if (status == ZM_OK)
        status = values_clone(graph, copy);
    if (status == ZM_OK)
        status = nodes_clone(graph, copy);
    if (status == ZM_OK) {
        *out = copy;
        return ZM_OK;
    }
    zm_graph_destroy(&copy);
    return zm_fail(&graph->log, status, "graph: out of memory");
}
