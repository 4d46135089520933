/* SPDX-License-Identifier: Apache-2.0 */
/* The stages of a pipeline, and which memory is used in more than one of them. */
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/pipeline.h"

uint32_t zm_pipeline_find(const zm_pipeline *pipeline, const zm_device *device)
{
    return zm_device_place(pipeline->devices, pipeline->device_count, device);
}

/* ---- stages ---- */

static zm_status stages_find(zm_pipeline *pipeline)
{
    size_t count = pipeline->graph->node_count;
    pipeline->stages = zm_calloc(count + 1, sizeof(*pipeline->stages));
    if (!pipeline->stages)
        return zm_graph_fail_memory(pipeline->graph);
    for (size_t n = 0; n < count; n++) {
        uint32_t device = pipeline->device_of[n];
        if (n == 0 || device != pipeline->device_of[n - 1])
            pipeline->stages[pipeline->stage_count++] = (zm_stage){.first = n, .device = device};
        pipeline->stages[pipeline->stage_count - 1].last = n + 1;
    }
    return ZM_OK;
}

/* ---- who uses what ---- */

/* Of one memory, over the whole graph. */
typedef struct usage {
    uint32_t users;     /* devices */
    size_t first_stage; /* 1 + its index; 0 = unused */
    bool stages;        /* more than one */
    bool foreign;       /* a given buffer, on another device than its own */
    bool weight, real;  /* read as one */
    bool varies;        /* read as something else than a weight or vector, or written */
} usage;

static void usage_add(const zm_pipeline *pipeline, usage *all, size_t s, const zm_node *node,
                      size_t i)
{
    const zm_graph *graph = pipeline->graph;
    const zm_value *root = zm_node_root(graph, node, i);
    uint32_t device = pipeline->stages[s].device;
    if (!root)
        return;
    bool foreign =
        root->kind == ZM_VALUE_BUFFER && root->tensor.buffer->device != pipeline->devices[device];
    if (foreign && zm_operand_is_constant(graph, node, i))
        return; /* which gets a copy of its own */
    zm_operand_type type = node->op->operands[i].type;
    usage *u = &all[root->index];
    u->users |= 1u << device;
    u->stages |= u->first_stage && u->first_stage != s + 1;
    u->first_stage = u->first_stage ? u->first_stage : s + 1;
    u->foreign |= foreign;
    u->weight |= type == ZM_OPERAND_WEIGHT;
    u->real |= type == ZM_OPERAND_REAL;
    u->varies |= root->written || !zm_type_is_constant(type);
}

static void usages_fill(const zm_pipeline *pipeline, usage *all)
{
    for (size_t s = 0; s < pipeline->stage_count; s++) {
        const zm_stage *stage = &pipeline->stages[s];
        for (size_t n = stage->first; n < stage->last; n++)
            for (size_t i = 0; i < pipeline->graph->nodes[n].op->operand_count; i++)
                usage_add(pipeline, all, s, &pipeline->graph->nodes[n], i);
    }
}

/* ---- crossings ---- */

static zm_status crossing_bytes(const zm_pipeline *pipeline, const zm_crossing *crossing,
                                uint32_t device, uint64_t *out)
{
    zm_value value = *pipeline->graph->values[crossing->root];
    if (value.kind == ZM_VALUE_BUFFER) {
        *out = value.tensor.buffer->size;
        return ZM_OK;
    }
    if (!value.tensor.dtype)
        value.tensor.dtype = pipeline->devices[device]->info.real_type;
    return zm_value_bytes(pipeline->graph, &value, out);
}

zm_status zm_crossing_own(zm_pipeline *pipeline, zm_crossing *crossing, uint32_t device)
{
    zm_device *on = pipeline->devices[device];
    zm_tensor *place = &crossing->place[device];
    zm_buffer_params params = {.host_visible = on->info.limits.unified_memory};
    zm_status status = crossing_bytes(pipeline, crossing, device, &params.size);
    if (status == ZM_OK)
        status = zm_buffer_create(on, &params, &crossing->owned[device]);
    if (status != ZM_OK)
        return status;
    *place = pipeline->graph->values[crossing->root]->tensor;
    for (uint32_t i = 0; i < place->rank; i++)
        place->shape[i] = zm_size_most(pipeline->graph, place->shape[i]);
    if (place->rank && !place->dtype)
        place->dtype = on->info.real_type;
    place->buffer = crossing->owned[device];
    pipeline->info.work.memory_bytes += params.size;
    pipeline->info.work.least_bytes += params.size; /* which lives all the time */
    return ZM_OK;
}

static zm_status crossing_add(zm_pipeline *pipeline, const zm_value *root, const usage *u)
{
    zm_crossing *crossing = &pipeline->crossings[pipeline->crossing_count++];
    *crossing = (zm_crossing){.root = root->index,
                              .constant = root->kind != ZM_VALUE_INNER && !u->varies && u->users,
                              .type = u->weight ? ZM_OPERAND_WEIGHT
                                      : u->real ? ZM_OPERAND_REAL
                                                : ZM_OPERAND_PARAM,
                              .users = u->users};
    pipeline->crossing_of[root->index] = (uint32_t)pipeline->crossing_count;
    if (root->kind == ZM_VALUE_EXTERN)
        return ZM_OK; /* has its places when it is bound */
    if (root->kind == ZM_VALUE_BUFFER) {
        uint32_t home = zm_pipeline_find(pipeline, root->tensor.buffer->device);
        if (home == pipeline->device_count)
            return zm_fail(&pipeline->graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: a buffer is of none of the devices");
        crossing->bound = 1u << home;
        crossing->place[home].buffer = root->tensor.buffer;
    }
    zm_status status = ZM_OK;
    for (uint32_t d = 0; status == ZM_OK && d < pipeline->device_count; d++)
        if ((crossing->users & ~crossing->bound) & (1u << d))
            status = zm_crossing_own(pipeline, crossing, d);
    return status;
}

/* Every extern is one, since it can be bound anywhere. */
static zm_status crossings_find(zm_pipeline *pipeline, const usage *all)
{
    const zm_graph *graph = pipeline->graph;
    pipeline->crossings = zm_calloc(graph->value_count + 1, sizeof(*pipeline->crossings));
    pipeline->crossing_of = zm_calloc(graph->value_count + 1, sizeof(*pipeline->crossing_of));
    if (!pipeline->crossings || !pipeline->crossing_of)
        return zm_graph_fail_memory(pipeline->graph);
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < graph->value_count; i++) {
        const zm_value *value = graph->values[i];
        if (value->kind == ZM_VALUE_EXTERN || (value->kind == ZM_VALUE_INNER && all[i].stages) ||
            (value->kind == ZM_VALUE_BUFFER && all[i].foreign))
            status = crossing_add(pipeline, value, &all[i]);
    }
    return status;
}

static zm_status stage_uses_fill(zm_pipeline *pipeline, zm_stage *stage)
{
    const zm_graph *graph = pipeline->graph;
    stage->uses = zm_calloc(pipeline->crossing_count + 1, sizeof(*stage->uses));
    if (!stage->uses)
        return zm_graph_fail_memory(pipeline->graph);
    for (size_t n = stage->first; n < stage->last; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            const zm_value *root = zm_node_root(graph, node, i);
            uint32_t crossing = root ? pipeline->crossing_of[root->index] : 0;
            bool output = (node->op->operands[i].use & ZM_OPERAND_OUTPUT) != 0;
            if (crossing)
                stage->uses[crossing - 1] |= output ? ZM_STAGE_WRITES : ZM_STAGE_READS;
        }
    }
    return ZM_OK;
}

zm_status zm_pipeline_divide(zm_pipeline *pipeline)
{
    zm_status status = stages_find(pipeline);
    usage *all = zm_calloc(pipeline->graph->value_count + 1, sizeof(*all));
    if (status == ZM_OK && !all)
        status = zm_graph_fail_memory(pipeline->graph);
    if (status == ZM_OK) {
        usages_fill(pipeline, all);
        status = crossings_find(pipeline, all);
    }
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++)
        status = stage_uses_fill(pipeline, &pipeline->stages[s]);
    free(all);
    return status;
}
