/* SPDX-License-Identifier: Apache-2.0 */
/* Which device does which node: the one that it is for, or the next one that can. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/pipeline.h"
#include "ops/operand.h"

/* More than any tensor: what has no place yet lies in a buffer of its own. */
#define ANY_SIZE (UINT64_C(1) << 62)

bool zm_type_is_constant(zm_operand_type type)
{
    return type == ZM_OPERAND_WEIGHT || type == ZM_OPERAND_PARAM || type == ZM_OPERAND_REAL;
}

bool zm_operand_is_constant(const zm_graph *graph, const zm_node *node, size_t i)
{
    const zm_value *value = node->value[i] ? graph->values[node->value[i] - 1] : NULL;
    const zm_tensor *tensor = zm_node_tensor(node, i);
    if (!value || value->kind != ZM_VALUE_BUFFER || value->written || tensor->rank > 2 ||
        !zm_type_is_constant(node->op->operands[i].type) ||
        (node->op->operands[i].use & ZM_OPERAND_OUTPUT))
        return false;
    for (uint32_t k = 0; k < tensor->rank; k++)
        if (tensor->shape[k] & ZM_SIZE_FORMULA)
            return false;
    return true;
}

zm_dtype zm_constant_type(const zm_device *device, zm_operand_type type, zm_dtype dtype)
{
    bool stays = type == ZM_OPERAND_WEIGHT
                     ? zm_weight_type_is_read(device, dtype)
                     : type != ZM_OPERAND_REAL && zm_type_is_stored(device, dtype);
    return stays || dtype == ZM_I32 ? dtype : device->info.real_type;
}

static uint32_t panel_of(const zm_device *device)
{
    zm_weight_layout layout = {0};
    /* Of any shape and type that there are weights of. */
    return zm_weight_layout_get(device, 1, 1, ZM_F32, &layout) == ZM_OK ? layout.panel : 0;
}

/* ---- trying a node on a device ---- */

/* All memory is buffers of this device that are not there; weights are in its layout. */
static void places_pretend(zm_executable *probe)
{
    const zm_graph *graph = probe->graph;
    for (size_t i = 0; i < graph->value_count; i++) {
        zm_value *value = graph->values[i];
        probe->places[i] = value->tensor;
        if (value->kind == ZM_VALUE_BUFFER && value->tensor.buffer->device == probe->device)
            continue;
        value->buffer.device = probe->device;
        value->buffer.size = ANY_SIZE;
        probe->places[i].buffer = &value->buffer;
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            const zm_value *root = zm_node_root(graph, node, i);
            if (root && root->kind == ZM_VALUE_EXTERN && root->tensor.rank == 2 &&
                node->op->operands[i].type == ZM_OPERAND_WEIGHT)
                probe->places[root->index].panel = panel_of(probe->device);
        }
    }
}

static zm_status probe_open(const zm_graph *graph, zm_device *device, zm_executable **out)
{
    zm_executable *probe = zm_calloc(1, sizeof(*probe));
    if (!probe)
        return zm_graph_fail_memory(graph);
    *out = probe;
    probe->device = device;
    zm_status status = zm_executable_open(probe, graph);
    if (status == ZM_OK)
        places_pretend(probe);
    return status;
}

/* What would be copied to this device has its layout and type. */
static zm_status constants_pretend(zm_executable *probe, const zm_node *node, zm_refusal *refusal)
{
    const zm_matmul_params *product = node->op == &zm_op_matmul ? probe->params : NULL;
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_operand *operand = &node->op->operands[i];
        zm_tensor *tensor = (zm_tensor *)((char *)probe->params + operand->offset);
        const zm_value *root = zm_node_root(probe->graph, node, i);
        if (!root || root->tensor.buffer == tensor->buffer ||
            !zm_operand_is_constant(probe->graph, node, i))
            continue;
        bool weight = operand->type == ZM_OPERAND_WEIGHT && tensor->rank == 2;
        uint32_t panel = weight ? panel_of(probe->device) : 0;
        if (weight && product && product->gated && panel != tensor->panel)
            return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                             "its gated weight is packed for another device");
        zm_tensor copy = {.buffer = tensor->buffer,
                          .rank = tensor->rank,
                          .dtype = zm_constant_type(probe->device, operand->type, tensor->dtype),
                          .shape = {tensor->shape[0], tensor->shape[1]},
                          .panel = panel};
        *tensor = copy;
    }
    return ZM_OK;
}

/* Would the memory of each inner tensor be a buffer of this device? */
static zm_status sizes_try(const zm_executable *probe, const zm_node *node, zm_refusal *refusal)
{
    uint64_t most = probe->device->info.limits.max_buffer_bytes, bytes = 0;
    char name[64];
    for (size_t i = 0; i < node->op->operand_count; i++) {
        const zm_value *root = zm_node_root(probe->graph, node, i);
        if (!root || root->kind != ZM_VALUE_INNER)
            continue;
        zm_status status = zm_value_bytes(probe->graph, root, &bytes);
        if (status == ZM_OK && bytes <= most)
            continue;
        zm_value_print(root, name, sizeof(name));
        return zm_refuse(refusal, ZM_ERROR_LIMIT,
                         "tensor %s of %" PRIu64 " bytes is over the device's limit of %" PRIu64
                         " for a buffer",
                         name, bytes, most);
    }
    return ZM_OK;
}

static zm_status probe_try(zm_executable *probe, size_t n, zm_refusal *refusal)
{
    const zm_node *node = &probe->graph->nodes[n];
    zm_status status = sizes_try(probe, node, refusal);
    if (status == ZM_OK)
        status = zm_executable_fill(probe, n, refusal);
    if (status == ZM_OK)
        status = constants_pretend(probe, node, refusal);
    if (status == ZM_OK)
        status = node->op->check(probe->device, probe->params, refusal);
    return status == ZM_OK ? zm_op_accepts(probe->device, node->op, probe->params, refusal)
                           : status;
}

/* ---- choosing ---- */

typedef struct placing {
    zm_pipeline *pipeline;
    zm_executable *probes[ZM_PIPELINE_PLACES]; /* NULL = not needed so far */
    char first[400];                           /* why the first node that fell did so */
} placing;

/* Devices of the list, without those named twice. */
static uint32_t named(const zm_pipeline *pipeline)
{
    return pipeline->device_count - (pipeline->host != NULL);
}

static zm_status node_try(placing *p, uint32_t device, size_t n, zm_refusal *refusal)
{
    zm_status status = ZM_OK;
    if (!p->probes[device])
        status = probe_open(p->pipeline->graph, p->pipeline->devices[device], &p->probes[device]);
    return status == ZM_OK ? probe_try(p->probes[device], n, refusal) : status;
}

static void fallen(placing *p, size_t n, uint32_t wanted, uint32_t taken, const char *reason)
{
    zm_pipeline *pipeline = p->pipeline;
    char name[96], text[400];
    zm_node_print(pipeline->graph, n, name, sizeof(name));
    snprintf(text, sizeof(text), "%s goes from device %s to %s: %.150s", name,
             pipeline->devices[wanted]->info.spec, pipeline->devices[taken]->info.spec, reason);
    zm_logf(&pipeline->graph->log, ZM_LOG_INFO, "graph: %s", text);
    if (pipeline->info.fallen++ == 0)
        snprintf(p->first, sizeof(p->first), "%s", text);
}

/* What the devices have said to a node so far. */
typedef struct answers {
    zm_status first;
    char why[160]; /* the first one */
    char all[512];
    size_t used;
} answers;

static void answer_add(answers *a, const zm_device *device, zm_status status, const char *reason)
{
    if (a->first == ZM_OK) {
        a->first = status;
        snprintf(a->why, sizeof(a->why), "%s", reason);
    }
    if (a->used < sizeof(a->all))
        a->used += (size_t)snprintf(a->all + a->used, sizeof(a->all) - a->used, "%s%s: %s",
                                    a->used ? "; " : "", device->info.spec, reason);
}

/* ZM_OK = it is there now. */
static zm_status place_on(placing *p, uint32_t device, size_t n, uint32_t wanted, answers *a)
{
    zm_pipeline *pipeline = p->pipeline;
    zm_refusal refusal;
    zm_status status = node_try(p, device, n, &refusal);
    if (status != ZM_OK && status != ZM_ERROR_OUT_OF_MEMORY)
        answer_add(a, pipeline->devices[device], status, refusal.reason);
    if (status != ZM_OK)
        return status;
    pipeline->device_of[n] = device;
    if (device != wanted)
        fallen(p, n, wanted, device, a->why);
    return ZM_OK;
}

/* Could the host do what the others can't, and may it? What is wrong with a call is wrong
 * everywhere, and who forces a kernel wants that one. */
static bool host_may(const zm_pipeline *pipeline, size_t n, uint32_t wanted, zm_status refused)
{
    const zm_op *op = pipeline->graph->nodes[n].op;
    for (uint32_t i = 0; i < named(pipeline); i++)
        if (pipeline->devices[i]->info.backend == ZM_BACKEND_HOST)
            return false;
    return !pipeline->no_host && refused != ZM_ERROR_INVALID_ARGUMENT &&
           !zm_device_forced_kernel(pipeline->devices[wanted], op->name);
}

static zm_status host_add(zm_pipeline *pipeline)
{
    const zm_device_params params = {.spec = "host", .log = &pipeline->graph->log};
    if (pipeline->host)
        return ZM_OK;
    zm_status status = zm_device_open(&params, &pipeline->host);
    if (status == ZM_OK)
        status = zm_stream_create(pipeline->host, NULL, &pipeline->host_stream);
    if (status == ZM_OK)
        pipeline->devices[pipeline->device_count++] = pipeline->host;
    return status;
}

/* The device that the node is for, then those behind it in the list, then those before it, and the
 * host at last. */
static zm_status node_place(placing *p, size_t n, uint32_t wanted)
{
    zm_pipeline *pipeline = p->pipeline;
    char name[96];
    answers a = {.first = ZM_OK};
    zm_status status = ZM_ERROR_UNSUPPORTED;
    uint32_t count = named(pipeline);
    for (uint32_t i = 0; status != ZM_OK && status != ZM_ERROR_OUT_OF_MEMORY && i < count; i++)
        status = place_on(p, (wanted + i) % count, n, wanted, &a);
    if (status == ZM_OK || status == ZM_ERROR_OUT_OF_MEMORY)
        return status;
    if (host_may(pipeline, n, wanted, a.first)) {
        status = host_add(pipeline);
        if (status == ZM_OK)
            status = place_on(p, count, n, wanted, &a);
        if (status == ZM_OK || status == ZM_ERROR_OUT_OF_MEMORY)
            return status;
    }
    zm_node_print(pipeline->graph, n, name, sizeof(name));
    if (a.first == ZM_ERROR_INVALID_ARGUMENT && count == 1)
        return zm_fail(&pipeline->graph->log, a.first, "graph: %s: %s", name, a.why);
    return zm_fail(&pipeline->graph->log, a.first, "graph: %s: no device can do it (%s)", name,
                   a.all);
}

/* It is shown where it was written, mostly; but not on a device that nobody knows of. */
static uint32_t observer_place(const placing *p, size_t n, uint32_t wanted)
{
    const zm_pipeline *pipeline = p->pipeline;
    uint32_t before = n ? pipeline->device_of[n - 1] : wanted;
    return pipeline->devices[before] == pipeline->host ? wanted : before;
}

static zm_status nodes_place(placing *p)
{
    zm_pipeline *pipeline = p->pipeline;
    const zm_graph *graph = pipeline->graph;
    zm_status status = ZM_OK;
    for (size_t n = 0; status == ZM_OK && n < graph->node_count; n++) {
        const zm_node *node = &graph->nodes[n];
        uint32_t wanted = pipeline->place_of[node->device];
        if (node->op != &zm_op_observe)
            status = node_place(p, n, wanted);
        else
            pipeline->device_of[n] = observer_place(p, n, wanted);
    }
    return status;
}

zm_status zm_pipeline_place(zm_pipeline *pipeline)
{
    const zm_graph *graph = pipeline->graph;
    placing p = {.pipeline = pipeline};
    pipeline->device_of = zm_calloc(graph->node_count + 1, sizeof(*pipeline->device_of));
    if (!pipeline->device_of)
        return zm_graph_fail_memory(graph);
    zm_status status = nodes_place(&p);
    for (size_t i = 0; i < ZM_PIPELINE_PLACES; i++)
        zm_executable_destroy(&p.probes[i]);
    if (status == ZM_OK && pipeline->info.fallen > 0)
        zm_logf(&graph->log, ZM_LOG_WARNING,
                "graph: operations that are not done where they were meant to be: %" PRIu32 "; %s",
                pipeline->info.fallen, p.first);
    return status;
}
