/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of what a matmul writes come out of its epilogue, where the rows are at hand, as does
 * what is weighted: with the deferred norm, no kernel is left that is about a norm. */
#include "graph/edit.h"
#include "graph/passes/passes.h"

/* Can the matmul at n write what is weighted at m? Not where it would be of more rows. */
static bool can_weight(const zm_graph *graph, size_t n, size_t m)
{
    const zm_row_statistics_params *p = graph->nodes[m].params;
    const zm_matmul_params *writer = graph->nodes[n].params;
    bool same_type = !writer->bias.buffer || writer->bias.dtype == p->weight.dtype;
    return zm_same_view(&p->x, &writer->dst) && same_type &&
           zm_is_private(graph, m, &p->weighted) &&
           !zm_nodes_write(graph, n, m, zm_edit_root(graph, &p->weight));
}

/* Is x some rows of the matrix, one by one? What reaches behind the matrix is refused in a run
 * where nothing else is there. */
static bool are_rows(const zm_graph *graph, const zm_tensor *rows, const zm_tensor *matrix)
{
    const zm_value *value = zm_value_find(graph, rows);
    zm_tensor all = *matrix;
    all.buffer = rows->buffer;
    all.offset = 0;
    all.shape[0] = rows->shape[0];
    return value->kind == ZM_VALUE_ROWS && zm_same_view(&value->tensor, matrix) &&
           zm_value_is_whole(graph->values[value->root], matrix) && zm_same_view(rows, &all);
}

/* Does the matmul not write yet what is asked for? */
static bool has_room(const zm_matmul_params *writer, const zm_row_statistics_params *p)
{
    bool statistics =
        p->statistics.buffer ? !writer->statistics.buffer : writer->statistics.buffer != NULL;
    return statistics && (!p->weighted.buffer || !writer->weighted.buffer);
}

/* The node at n is a matmul that writes x, or the rows of which x is some. */
static bool can_fuse(const zm_graph *graph, size_t n, size_t m)
{
    if (n == ZM_NO_NODE || graph->nodes[n].op != &zm_op_matmul)
        return false;
    const zm_row_statistics_params *p = graph->nodes[m].params;
    const zm_matmul_params *writer = graph->nodes[n].params;
    return writer->dst.rank == 2 && has_room(writer, p) &&
           (are_rows(graph, &p->x, &writer->dst) || zm_same_view(&p->x, &writer->dst)) &&
           (!p->statistics.buffer || zm_is_private(graph, m, &p->statistics)) &&
           (!p->weighted.buffer || can_weight(graph, n, m));
}

static void fuse(zm_graph *graph, size_t n, size_t m)
{
    const zm_row_statistics_params p = *(const zm_row_statistics_params *)graph->nodes[m].params;
    const zm_value *x = zm_value_find(graph, &p.x);
    zm_matmul_params writer = *(const zm_matmul_params *)graph->nodes[n].params;
    if (p.statistics.buffer)
        writer.statistics = p.statistics;
    if (p.weighted.buffer) {
        writer.norm_weight = p.weight;
        writer.weighted = p.weighted;
    }
    if (!zm_same_view(&p.x, &writer.dst)) {
        const zm_size shape[] = {writer.dst.shape[0], p.statistics.shape[1]};
        writer.statistics = zm_graph_tensor(graph, NULL, p.statistics.dtype, 2, shape);
        const zm_tensor rows = zm_graph_rows(graph, writer.statistics, x->first, p.x.shape[0]);
        if (graph->status != ZM_OK)
            return;
        zm_node_remove(graph, m);
        zm_replace(graph, zm_value_find(graph, &p.statistics), &rows);
    } else {
        zm_node_remove(graph, m);
    }
    zm_node_become(graph, n, &zm_op_matmul, &writer);
}

uint32_t zm_pass_writer_statistic(zm_graph *graph, const zm_device *device)
{
    uint32_t fired = 0;
    (void)device;
    for (size_t m = 0; graph->status == ZM_OK && m < graph->node_count; m++) {
        const zm_row_statistics_params *p = graph->nodes[m].params;
        if (graph->nodes[m].op != &zm_op_row_statistics)
            continue;
        size_t n = zm_last_writer(graph, m, zm_edit_root(graph, &p->x));
        if (!can_fuse(graph, n, m))
            continue;
        fuse(graph, n, m);
        m--;
        fired++;
    }
    return fired;
}
