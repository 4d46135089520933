/* SPDX-License-Identifier: Apache-2.0 */
/* The graph of a stage: the nodes of it, with the memory that they have on its device. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/edit.h"
#include "graph/pipeline.h"

/* ---- other memory ---- */

/* What was a view of one buffer becomes one of another. */
static void buffer_replace(zm_graph *graph, const zm_buffer *from, zm_buffer *to)
{
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i]->tensor.buffer == from)
            graph->values[i]->tensor.buffer = to;
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++)
            if (node->value[i] && zm_node_tensor(node, i)->buffer == from)
                zm_node_tensor(node, i)->buffer = to;
    }
}

/* What crosses a border lies in a buffer of the pipeline. */
static void crossings_replace(const zm_pipeline *pipeline, const zm_stage *stage, zm_graph *graph)
{
    for (size_t i = 0; i < pipeline->crossing_count; i++) {
        const zm_crossing *crossing = &pipeline->crossings[i];
        zm_value *value = graph->values[crossing->root];
        zm_buffer *own = crossing->owned[stage->device];
        if (!stage->uses[i] || value->kind == ZM_VALUE_EXTERN || !own)
            continue;
        const zm_buffer *from =
            value->kind == ZM_VALUE_BUFFER ? value->tensor.buffer : &value->buffer;
        buffer_replace(graph, from, own);
        value->tensor.buffer = own;
        value->kind = ZM_VALUE_BUFFER;
        value->apart = true;
    }
}

/* ---- constants ---- */

static zm_stream *stream_on(zm_pipeline *pipeline, uint32_t device)
{
    zm_stream **stream = &pipeline->streams[device];
    if (!*stream && zm_stream_create(pipeline->devices[device], NULL, stream) != ZM_OK)
        return NULL;
    return *stream;
}

static const zm_constant *constant_find(const zm_pipeline *pipeline, const zm_tensor *from,
                                        zm_operand_type type, uint32_t device)
{
    for (size_t i = 0; i < pipeline->constant_count; i++) {
        const zm_constant *constant = &pipeline->constants[i];
        if (constant->device == device && constant->type == type &&
            zm_same_view(&constant->from, from))
            return constant;
    }
    return NULL;
}

static zm_status constant_make(zm_pipeline *pipeline, zm_constant *constant)
{
    const zm_log *log = &pipeline->graph->log;
    void *all = pipeline->constants;
    uint32_t home = zm_pipeline_find(pipeline, constant->from.buffer->device);
    if (home == pipeline->device_count)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "graph: a weight is of none of the devices");
    if (!zm_array_reserve(&all, &pipeline->constant_capacity, pipeline->constant_count + 1,
                          sizeof(*constant)))
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "graph: out of memory");
    pipeline->constants = all;
    zm_stream *from = stream_on(pipeline, home), *to = stream_on(pipeline, constant->device);
    if (!from || !to)
        return ZM_ERROR_DEVICE;
    zm_buffer *buffer = NULL;
    zm_dtype dtype = zm_constant_type(to->device, constant->type, constant->from.dtype);
    zm_status status =
        zm_constant_copy(from, &constant->from, constant->type, to, dtype, &buffer, &constant->to);
    if (!buffer)
        return status;
    constant->to.buffer = buffer; /* which is destroyed with the others */
    pipeline->constants[pipeline->constant_count++] = *constant;
    pipeline->info.copied_bytes += buffer->size;
    return status;
}

static zm_status constants_replace(zm_pipeline *pipeline, const zm_stage *stage, zm_node *node,
                                   const zm_graph *graph)
{
    for (size_t i = 0; i < node->op->operand_count; i++) {
        zm_tensor *tensor = zm_node_tensor(node, i);
        if (!zm_operand_is_constant(graph, node, i) ||
            tensor->buffer->device == pipeline->devices[stage->device])
            continue;
        zm_constant wanted = {
            .from = *tensor, .type = node->op->operands[i].type, .device = stage->device};
        if (!constant_find(pipeline, &wanted.from, wanted.type, stage->device)) {
            zm_status status = constant_make(pipeline, &wanted);
            if (status != ZM_OK)
                return status;
        }
        *tensor = constant_find(pipeline, &wanted.from, wanted.type, stage->device)->to;
    }
    return ZM_OK;
}

/* ---- what the stage is not ---- */

static void node_drop(zm_node *node)
{
    free(node->params);
    free(node->what);
}

static void nodes_keep(zm_graph *graph, size_t first, size_t last)
{
    for (size_t n = 0; n < graph->node_count; n++)
        if (n < first || n >= last)
            node_drop(&graph->nodes[n]);
    memmove(graph->nodes, graph->nodes + first, (last - first) * sizeof(*graph->nodes));
    graph->node_count = last - first;
}

/* An extern that the stage does not need need not be bound. */
static void externs_keep(const zm_pipeline *pipeline, const zm_stage *stage, zm_graph *graph)
{
    for (size_t i = 0; i < pipeline->crossing_count; i++) {
        zm_value *value = graph->values[pipeline->crossings[i].root];
        if (!stage->uses[i] && value->kind == ZM_VALUE_EXTERN)
            value->kind = ZM_VALUE_INNER;
    }
}

zm_status zm_stage_compile(zm_pipeline *pipeline, zm_stage *stage, const zm_compile_params *params)
{
    zm_graph *graph = NULL;
    zm_device *device = pipeline->devices[stage->device];
    zm_status status = zm_graph_clone(pipeline->graph, &graph);
    if (status != ZM_OK)
        return status;
    nodes_keep(graph, stage->first, stage->last);
    for (size_t n = 0; status == ZM_OK && n < graph->node_count; n++)
        status = constants_replace(pipeline, stage, &graph->nodes[n], graph);
    crossings_replace(pipeline, stage, graph);
    for (size_t n = 0; status == ZM_OK && n < graph->node_count; n++)
        zm_node_take(graph, &graph->nodes[n]);
    externs_keep(pipeline, stage, graph);
    if (status == ZM_OK)
        status = zm_graph_compile(graph, device, params, &stage->executable);
    zm_graph_destroy(&graph);
    return status;
}
