/* SPDX-License-Identifier: Apache-2.0 */
/* What a graph does with the main branch of a transformer, from the operations alone. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/edit.h"

/* Of the memory of a value, at a point of the graph. */
typedef struct branch_state {
    bool main;      /* the main branch */
    size_t norm;    /* 1 + the norm of it that wrote it; 0 = none */
    size_t product; /* 1 + the matmul that wrote it, and nothing else has; 0 = none */
} branch_state;

typedef struct tracer {
    const zm_graph *graph;
    const char *start;
    bool started;
    branch_state *states; /* by the root's index */
    zm_branch_fn tell;
    void *user;
} tracer;

static branch_state *state_of(const tracer *t, const zm_tensor *tensor)
{
    const zm_value *root = zm_edit_root(t->graph, tensor);
    return root ? &t->states[root->index] : NULL;
}

static bool is_main(const tracer *t, const zm_tensor *tensor)
{
    const branch_state *state = state_of(t, tensor);
    return state && state->main;
}

static const char *name_of(const tracer *t, const zm_tensor *tensor)
{
    const zm_value *root = zm_edit_root(t->graph, tensor);
    return root && root->kind == ZM_VALUE_EXTERN ? root->name : NULL;
}

static zm_status refuse(const tracer *t, size_t node, const char *why)
{
    char what[96];
    zm_node_print(t->graph, node, what, sizeof(what));
    return zm_fail(&t->graph->log, ZM_ERROR_UNSUPPORTED, "graph: %s %s", what, why);
}

static zm_status tell(const tracer *t, zm_branch_part part, const zm_tensor *weight,
                      const zm_tensor *bias)
{
    const zm_branch_use use = {part, name_of(t, weight), name_of(t, bias), NULL};
    return t->tell(t->user, &use);
}

static zm_status tell_reader(const tracer *t, const branch_state *x, const zm_matmul_params *p)
{
    const zm_norm_params *norm = t->graph->nodes[x->norm - 1].params;
    const zm_branch_use use = {ZM_BRANCH_READER, name_of(t, &p->weight), name_of(t, &p->bias),
                               name_of(t, &norm->weight)};
    return t->tell(t->user, &use);
}

static bool sums_main(const tracer *t, const zm_add_params *p)
{
    return is_main(t, &p->x) || is_main(t, &p->y);
}

/* dst = x + y, or only x; one of them is the main branch. */
static zm_status trace_sum(const tracer *t, size_t node, const zm_add_params *p)
{
    bool x = is_main(t, &p->x);
    if (x && is_main(t, &p->y))
        return refuse(t, node, "adds the main branch to itself");
    if (p->y.buffer) {
        const branch_state *branch = state_of(t, x ? &p->y : &p->x);
        if (!branch->product)
            return refuse(t, node, "adds to the main branch what no matmul has written");
        const zm_matmul_params *writer = t->graph->nodes[branch->product - 1].params;
        if (writer->activation != ZM_ACTIVATION_NONE || writer->gated || writer->factor.buffer ||
            writer->residual.buffer)
            return refuse(t, node, "adds to the main branch what is more than a product");
        zm_status status = tell(t, ZM_BRANCH_WRITER, &writer->weight, &writer->bias);
        if (status != ZM_OK)
            return status;
    }
    *state_of(t, &p->dst) = (branch_state){.main = true};
    return ZM_OK;
}

/* Rows of the main branch are a main branch. */
static zm_status trace_rows(const tracer *t, size_t node, const zm_embedding_params *p)
{
    if (p->position.buffer || p->recentre || (p->scale != 0 && p->scale != 1))
        return refuse(t, node, "changes rows of the main branch");
    *state_of(t, &p->dst) = (branch_state){.main = true};
    return ZM_OK;
}

static zm_status trace_norm(const tracer *t, size_t node, const zm_norm_params *p)
{
    if (is_main(t, &p->residual))
        return refuse(t, node, "is a sum and a norm at once");
    if (!is_main(t, &p->x))
        return ZM_OK;
    *state_of(t, &p->dst) = (branch_state){.norm = node + 1};
    return tell(t, ZM_BRANCH_NORM, &p->weight, &p->bias);
}

/* What is written is no product any more, nor a norm. */
static zm_status trace_operands(const tracer *t, size_t n, bool norm)
{
    const zm_node *node = &t->graph->nodes[n];
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(t->graph, node, i);
        branch_state *state = root ? &t->states[root->index] : NULL;
        bool output = node->op->operands[i].use & ZM_OPERAND_OUTPUT;
        if (!state)
            continue;
        if (state->main && output)
            return refuse(t, n, "writes over the main branch");
        if (state->main && !norm)
            return refuse(t, n, "reads the main branch without a norm");
        if (output)
            *state = (branch_state){0};
    }
    return ZM_OK;
}

/* What is added where the branch begins: a patch, a token, a position. */
static zm_status tell_entry(const tracer *t, const zm_tensor *weight, const zm_tensor *bias)
{
    static const zm_tensor none;
    weight = weight ? weight : &none;
    return weight->buffer || bias->buffer ? tell(t, ZM_BRANCH_ENTRY, weight, bias) : ZM_OK;
}

static zm_status trace_first(const tracer *t, size_t n)
{
    const zm_node *node = &t->graph->nodes[n];
    zm_status status = ZM_OK;
    if (node->op == &zm_op_recentre)
        return ZM_OK;
    if (node->op == &zm_op_embedding) {
        const zm_embedding_params *p = node->params;
        if (p->recentre)
            return ZM_OK;
        status = tell_entry(t, NULL, &p->table);
        return status == ZM_OK ? tell_entry(t, NULL, &p->position) : status;
    }
    if (node->op == &zm_op_patch_embedding) {
        const zm_patch_embedding_params *p = node->params;
        status = tell_entry(t, &p->weight, &p->bias);
        return status == ZM_OK ? tell_entry(t, NULL, &p->position) : status;
    }
    if (node->op == &zm_op_add) {
        const zm_add_params *p = node->params;
        status = name_of(t, &p->x) && name_of(t, &p->y)
                     ? tell_entry(t, NULL, &p->x)
                     : refuse(t, n, "begins the main branch with what is no tensor of a file");
        return status == ZM_OK ? tell_entry(t, NULL, &p->y) : status;
    }
    return refuse(t, n, "begins the main branch with a mean that nothing takes out");
}

/* All that has written the tensor, which the branch begins with. */
static zm_status trace_entry(const tracer *t, size_t end, const zm_tensor *x)
{
    const zm_value *main = zm_edit_root(t->graph, x);
    zm_status status = ZM_OK;
    for (size_t n = 0; n < end && status == ZM_OK; n++) {
        const zm_node *node = &t->graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count && status == ZM_OK; i++)
            if ((node->op->operands[i].use & ZM_OPERAND_OUTPUT) &&
                zm_node_root(t->graph, node, i) == main)
                status = trace_first(t, n);
    }
    return status;
}

static zm_status trace_node(tracer *t, size_t n)
{
    const zm_node *node = &t->graph->nodes[n];
    bool norm = zm_norm_scale(node->op) != ZM_ROW_SCALE_NONE;
    if (node->op == &zm_op_observe) {
        const zm_observe_params *shown = node->params;
        if (strcmp(node->what, t->start) == 0 && state_of(t, &shown->x)) {
            state_of(t, &shown->x)->main = true;
            t->started = true;
            return trace_entry(t, n, &shown->x);
        }
        return ZM_OK;
    }
    if ((node->op == &zm_op_add || node->op == &zm_op_recentre) && sums_main(t, node->params))
        return trace_sum(t, n, node->params);
    const zm_embedding_params *rows = node->op == &zm_op_embedding ? node->params : NULL;
    if (rows && is_main(t, &rows->table))
        return trace_rows(t, n, rows);
    const zm_matmul_params *product = node->op == &zm_op_matmul ? node->params : NULL;
    const branch_state *x = product ? state_of(t, &product->x) : NULL;
    zm_status status = x && x->norm ? tell_reader(t, x, product) : ZM_OK;
    if (status == ZM_OK)
        status = trace_operands(t, n, norm);
    if (status == ZM_OK && norm)
        status = trace_norm(t, n, node->params);
    if (status == ZM_OK && product && state_of(t, &product->dst))
        state_of(t, &product->dst)->product = n + 1;
    return status;
}

zm_status zm_graph_trace_branch(const zm_graph *graph, const char *start, zm_branch_fn fn,
                                void *user)
{
    if (!graph || !start || !fn)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (graph->status != ZM_OK)
        return graph->status;
    tracer t = {.graph = graph, .start = start, .tell = fn, .user = user};
    t.states = zm_calloc(graph->value_count, sizeof(*t.states));
    if (!t.states)
        return zm_graph_fail_memory(graph);
    zm_status status = ZM_OK;
    for (size_t n = 0; n < graph->node_count && status == ZM_OK; n++)
        status = trace_node(&t, n);
    free(t.states);
    if (status == ZM_OK && !t.started)
        return zm_fail(&graph->log, ZM_ERROR_NOT_FOUND, "graph: nothing is shown as %s", start);
    return status;
}
