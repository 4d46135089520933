/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "graph/edit.h"
#include "graph/executable.h"

#define TEXT 512

typedef struct printer {
    const zm_graph *graph;
    zm_write_fn write;
    void *user;
} printer;

ZM_PRINTF(2, 3)
static void put(const printer *p, const char *format, ...)
{
    char text[TEXT];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    p->write(p->user, text);
}

/* As it stands between quotes. */
static void put_escaped(const printer *p, const char *text)
{
    char piece[3] = "";
    for (; *text; text++) {
        bool special = *text == '"' || *text == '\\';
        piece[0] = special ? '\\' : *text;
        piece[1] = special ? *text : '\0';
        p->write(p->user, piece);
    }
}

static void put_shape(const printer *p, const zm_tensor *tensor)
{
    char size[96];
    for (uint32_t i = 0; i < tensor->rank; i++) {
        zm_size_print(p->graph, tensor->shape[i], size, sizeof(size));
        put(p, "[%s]", size);
    }
}

static const char *type_name(zm_dtype dtype)
{
    return dtype == ZM_DTYPE_NONE ? "real" : zm_dtype_name(dtype);
}

static bool is_shown(const zm_value *value)
{
    return value->kind == ZM_VALUE_EXTERN || value->kind == ZM_VALUE_INNER;
}

/* Names of inner tensors need not be unique: "x", but "x%3" where there is another x. */
static void put_name(const printer *p, const zm_value *value)
{
    char text[96];
    bool unique = true;
    for (size_t i = 0; value->name && i < p->graph->value_count; i++) {
        const zm_value *other = p->graph->values[i];
        unique &= other == value || !other->name || strcmp(other->name, value->name) != 0;
    }
    zm_value_print(value, text, sizeof(text));
    put_escaped(p, text);
    if (!unique)
        put(p, "%%%" PRIu32, value->index);
}

static const zm_value *operand_value(const zm_graph *graph, const zm_node *node, size_t i)
{
    return node->value[i] ? graph->values[node->value[i] - 1] : NULL;
}

/* The name, and what part of it where it is not all: "h@past[tokens][512]+64". */
static void put_view(const printer *p, const zm_value *value, const zm_tensor *tensor)
{
    char text[96];
    bool plain = is_shown(value) && tensor->offset == 0 && tensor->rank == value->tensor.rank;
    for (uint32_t i = 0; plain && i < tensor->rank; i++)
        plain = tensor->shape[i] == value->tensor.shape[i] && tensor->stride[i] == 0;
    put_name(p, p->graph->values[value->root]);
    for (; value->kind == ZM_VALUE_ROWS; value = p->graph->values[value->base]) {
        zm_size_print(p->graph, value->first, text, sizeof(text));
        put(p, "@%s", text);
    }
    if (plain)
        return;
    put_shape(p, tensor);
    if (tensor->offset)
        put(p, "+%" PRIu64, tensor->offset);
}

static void put_size(const printer *p, const zm_node *node, const zm_operand *operand)
{
    char text[96];
    zm_size size;
    memcpy(&size, (const char *)node->params + operand->offset, sizeof(size));
    zm_size_print(p->graph, size, text, sizeof(text));
    put(p, "%s", text);
}

/* ---- text ---- */

/* What no operation uses, or only one of another stage, is nowhere. Externs are bound all the same.
 */
static bool is_there(const zm_graph *graph, const zm_value *value)
{
    return value->kind == ZM_VALUE_EXTERN || zm_nodes_read(graph, 0, graph->node_count, value) ||
           zm_nodes_write(graph, 0, graph->node_count, value);
}

static void put_values(const printer *p)
{
    for (size_t i = 0; i < p->graph->value_count; i++) {
        const zm_value *value = p->graph->values[i];
        if (!is_shown(value) || !is_there(p->graph, value))
            continue;
        put(p, value->kind == ZM_VALUE_EXTERN ? "extern " : "inner ");
        put_name(p, value);
        put(p, " %s ", type_name(value->tensor.dtype));
        put_shape(p, &value->tensor);
        put(p, "\n");
    }
}

static void put_text(const printer *p)
{
    const zm_graph *graph = p->graph;
    for (size_t i = 0; i < graph->formula_count; i++)
        if (graph->formulas[i].name)
            put(p, "symbol %s %" PRIu32 "..%" PRIu32 "\n", graph->formulas[i].name,
                graph->formulas[i].least, graph->formulas[i].most);
    put_values(p);
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        put(p, "%zu %s", n, node->op->name);
        for (size_t i = 0; i < node->op->operand_count; i++) {
            const zm_operand *operand = &node->op->operands[i];
            const zm_value *value = operand_value(graph, node, i);
            if (!value && operand->type != ZM_OPERAND_SIZE)
                continue;
            put(p, " %s=", operand->name);
            if (value)
                put_view(p, value, zm_node_tensor(node, i));
            else
                put_size(p, node, operand);
        }
        put(p, node->what ? " as %s\n" : "\n", node->what);
    }
}

/* ---- Graphviz ---- */

static void dot_value(const printer *p, const zm_value *value)
{
    put(p, "  v%" PRIu32 " [shape=box label=\"", value->index);
    put_name(p, value);
    if (value->kind == ZM_VALUE_EXTERN) {
        put(p, "\\n%s ", type_name(value->tensor.dtype));
        put_shape(p, &value->tensor);
    }
    put(p, "\"]\n");
}

/* An edge from whoever wrote it last, and one to an extern that is written. */
static void dot_edges(const printer *p, size_t n, uint32_t *writer)
{
    const zm_node *node = &p->graph->nodes[n];
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *value = operand_value(p->graph, node, i);
        if (!value || (node->op->operands[i].use & ZM_OPERAND_OUTPUT))
            continue;
        if (writer[value->root])
            put(p, "  n%" PRIu32, writer[value->root] - 1);
        else
            put(p, "  v%" PRIu32, value->root);
        put(p, " -> n%zu [label=\"", n);
        put_view(p, value, zm_node_tensor(node, i));
        put(p, "\"]\n");
    }
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *value = operand_value(p->graph, node, i);
        if (!value || !(node->op->operands[i].use & ZM_OPERAND_OUTPUT))
            continue;
        writer[value->root] = (uint32_t)n + 1;
        if (p->graph->values[value->root]->kind != ZM_VALUE_INNER)
            put(p, "  n%zu -> v%" PRIu32 "\n", n, value->root);
    }
}

static void put_dot(const printer *p)
{
    const zm_graph *graph = p->graph;
    uint32_t *writer = zm_calloc(graph->value_count + 1, sizeof(*writer)); /* 1 + node */
    if (!writer)
        return;
    put(p, "digraph zeromean {\n");
    for (size_t i = 0; i < graph->value_count; i++)
        if ((graph->values[i]->kind == ZM_VALUE_EXTERN ||
             graph->values[i]->kind == ZM_VALUE_BUFFER) &&
            is_there(graph, graph->values[i]))
            dot_value(p, graph->values[i]);
    for (size_t n = 0; n < graph->node_count; n++) {
        put(p, "  n%zu [label=\"%s\"]\n", n, graph->nodes[n].op->name);
        dot_edges(p, n, writer);
    }
    put(p, "}\n");
    free(writer);
}

void zm_graph_print(const zm_graph *graph, zm_graph_format format, zm_write_fn write, void *user)
{
    const printer p = {graph, write, user};
    if (!graph || !write)
        return;
    if (format == ZM_GRAPH_DOT)
        put_dot(&p);
    else
        put_text(&p);
}

void zm_executable_print(const zm_executable *executable, zm_graph_format format, zm_write_fn write,
                         void *user)
{
    if (executable)
        zm_graph_print(executable->graph, format, write, user);
}

void zm_node_output_print(const zm_graph *graph, size_t n, char *text, size_t capacity)
{
    const zm_node *node = &graph->nodes[n];
    text[0] = '\0';
    for (size_t i = 0; !text[0] && i < node->op->operand_count; i++)
        if (node->value[i] && (node->op->operands[i].use & ZM_OPERAND_OUTPUT))
            zm_value_print(zm_node_root(graph, node, i), text, capacity);
}

void zm_node_print(const zm_graph *graph, size_t n, char *text, size_t capacity)
{
    char name[64];
    zm_node_output_print(graph, n, name, sizeof(name));
    snprintf(text, capacity, "node %zu (%s%s%s)", n, graph->nodes[n].op->name,
             name[0] ? " -> " : "", name);
}
