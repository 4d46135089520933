/* SPDX-License-Identifier: Apache-2.0 */
/* Two matmuls of one input whose weights (and biases) follow each other in memory become one of
 * both, so that the input is read once and the device is filled better: queries, keys and values of
 * an attention. What they wrote are columns of what it writes. */
#include <stdio.h>

#include "graph/edit.h"
#include "graph/passes/passes.h"
#include "ops/view.h"

/* Are they rows (or elements) of one memory, b right behind a? */
static bool follows(const zm_tensor *a, const zm_tensor *b, uint64_t row)
{
    return a->buffer == b->buffer && a->dtype == b->dtype && a->panel == b->panel &&
           a->rank == b->rank && b->offset == a->offset + a->shape[0] * row;
}

static bool vectors_follow(const zm_tensor *a, const zm_tensor *b)
{
    return (!a->buffer && !b->buffer) || (a->buffer && b->buffer && follows(a, b, 1));
}

static bool weights_follow(const zm_tensor *a, const zm_tensor *b)
{
    uint32_t k = a->shape[1];
    bool numbers = !((a->shape[0] | b->shape[0] | k | b->shape[1]) & ZM_SIZE_FORMULA);
    bool packed = a->panel ? a->shape[0] % a->panel == 0
                           : zm_tensor_stride(a, 0) == k && zm_tensor_stride(b, 0) == k;
    return numbers && packed && k == b->shape[1] && follows(a, b, k);
}

/* Nothing in them is of one row or column only, but for the bias. */
static bool is_plain(const zm_matmul_params *p)
{
    return p->x.rank == 2 && !p->gated && !p->residual.buffer && !p->factor.buffer &&
           !p->statistics.buffer && p->scale.kind == ZM_ROW_SCALE_NONE;
}

/* The matrix of both outputs, which has no memory behind it: for asking only. */
static zm_tensor columns_of(zm_tensor both, const zm_tensor *dst, uint32_t first)
{
    both.buffer = dst->buffer;
    return zm_tensor_cols(both, first, dst->shape[1]);
}

/* Is there a buffer for both? */
static bool fits(const zm_graph *graph, const zm_device *device, const zm_tensor *both)
{
    const zm_value value = {.tensor = *both};
    uint64_t bytes = 0;
    return zm_value_bytes(graph, &value, &bytes) == ZM_OK &&
           bytes <= device->info.limits.max_buffer_bytes;
}

static bool outputs_can_move(const zm_graph *graph, const zm_device *device, size_t a, size_t b,
                             const zm_tensor *x, const zm_tensor *y)
{
    if (!zm_is_private(graph, a, x) || !zm_is_private(graph, b, y) || x->dtype != y->dtype ||
        x->shape[0] != y->shape[0] || ((x->shape[1] | y->shape[1]) & ZM_SIZE_FORMULA))
        return false;
    zm_tensor both = *x;
    both.shape[1] += y->shape[1];
    const zm_tensor left = columns_of(both, x, 0), right = columns_of(both, y, x->shape[1]);
    return fits(graph, device, &both) && zm_can_replace(graph, zm_value_find(graph, x), &left) &&
           zm_can_replace(graph, zm_value_find(graph, y), &right);
}

static bool can_merge(const zm_graph *graph, const zm_device *device, size_t a, size_t b)
{
    const zm_matmul_params *p = graph->nodes[a].params, *q = graph->nodes[b].params;
    return is_plain(p) && is_plain(q) && p->activation == q->activation &&
           zm_same_view(&p->x, &q->x) && weights_follow(&p->weight, &q->weight) &&
           vectors_follow(&p->bias, &q->bias) &&
           outputs_can_move(graph, device, a, b, &p->dst, &q->dst) &&
           zm_inputs_keep(graph, &graph->nodes[b], a, b);
}

static zm_tensor both_create(zm_graph *graph, const zm_matmul_params *p, const zm_matmul_params *q)
{
    char x[32], y[32], name[72];
    zm_value_print(zm_value_find(graph, &p->dst), x, sizeof(x));
    zm_value_print(zm_value_find(graph, &q->dst), y, sizeof(y));
    snprintf(name, sizeof(name), "%s, %s", x, y);
    const zm_size shape[] = {p->dst.shape[0], p->dst.shape[1] + q->dst.shape[1]};
    return zm_graph_tensor(graph, name, p->dst.dtype, 2, shape);
}

static void merge(zm_graph *graph, size_t a, size_t b)
{
    zm_matmul_params p = *(const zm_matmul_params *)graph->nodes[a].params;
    const zm_matmul_params q = *(const zm_matmul_params *)graph->nodes[b].params;
    zm_tensor *sums = &p.scale.column_sums; /* lost where they are not adjacent */
    const zm_value *x = zm_value_find(graph, &p.dst), *y = zm_value_find(graph, &q.dst);
    const zm_tensor both = both_create(graph, &p, &q);
    const zm_tensor left = zm_tensor_cols(both, 0, p.dst.shape[1]);
    const zm_tensor right = zm_tensor_cols(both, p.dst.shape[1], q.dst.shape[1]);
    if (graph->status != ZM_OK)
        return;
    zm_node_remove(graph, b);
    zm_replace(graph, x, &left);
    zm_replace(graph, y, &right);
    p.weight.shape[0] += q.weight.shape[0];
    if (p.bias.buffer)
        p.bias.shape[0] += q.bias.shape[0];
    if (!vectors_follow(sums, &q.scale.column_sums))
        *sums = (zm_tensor){0};
    else if (sums->buffer)
        sums->shape[0] += q.scale.column_sums.shape[0];
    p.dst = both;
    zm_node_become(graph, a, &zm_op_matmul, &p);
}

uint32_t zm_pass_merge(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    for (size_t a = 0; a < graph->node_count; a++) {
        if (graph->nodes[a].op != &zm_op_matmul)
            continue;
        for (size_t b = a + 1; graph->status == ZM_OK && b < graph->node_count;) {
            if (graph->nodes[b].op != &zm_op_matmul || !can_merge(graph, device, a, b)) {
                b++;
                continue;
            }
            merge(graph, a, b);
            b = a + 1; /* what follows both may have come before the second */
            fired++;
        }
    }
    return fired;
}
