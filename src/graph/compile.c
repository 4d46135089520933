/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/executable.h"
#include "graph/passes/passes.h"

static void arrays_free(zm_executable *exe)
{
    for (size_t i = 0; i < exe->command_count; i++)
        free(exe->commands[i].plans);
    exe->command_count = 0;
    free(exe->numbers);
    free(exe->places);
    free(exe->serials);
    free(exe->commands);
    free(exe->params);
    exe->numbers = NULL;
    exe->places = NULL;
    exe->serials = NULL;
    exe->commands = NULL;
    exe->params = NULL;
}

void zm_executable_destroy(zm_executable **out)
{
    if (!out || !*out)
        return;
    zm_executable *exe = *out;
    zm_replay_finish(exe);
    for (size_t i = 0; i < exe->arena_count; i++)
        zm_buffer_destroy(&exe->arenas[i]);
    zm_graph_destroy(&exe->graph);
    arrays_free(exe);
    free(exe->arenas);
    free(exe);
    *out = NULL;
}

/* ZM_DTYPE_NONE is the type that this device calculates with. */
static void types_settle(zm_graph *graph, zm_dtype real)
{
    for (size_t i = 0; i < graph->value_count; i++)
        if (graph->values[i]->tensor.dtype == ZM_DTYPE_NONE)
            graph->values[i]->tensor.dtype = real;
    for (size_t n = 0; n < graph->node_count; n++) {
        zm_node *node = &graph->nodes[n];
        for (size_t i = 0; i < node->op->operand_count; i++) {
            zm_tensor *tensor = zm_node_tensor(node, i);
            if (node->value[i] && tensor->dtype == ZM_DTYPE_NONE)
                tensor->dtype = real;
        }
    }
}

static zm_status executable_allocate(zm_executable *exe)
{
    const zm_graph *graph = exe->graph;
    size_t params = 1;
    for (size_t n = 0; n < graph->node_count; n++)
        if (params < graph->nodes[n].op->params_size)
            params = graph->nodes[n].op->params_size;
    exe->numbers = zm_calloc(graph->formula_count + 1, sizeof(*exe->numbers));
    exe->places = zm_calloc(graph->value_count + 1, sizeof(*exe->places));
    exe->serials = zm_calloc(graph->value_count + 1, sizeof(*exe->serials));
    exe->commands = zm_calloc(graph->node_count + 1, sizeof(*exe->commands));
    exe->params = zm_calloc(1, params);
    exe->command_count = exe->commands ? graph->node_count : 0;
    return exe->numbers && exe->places && exe->serials && exe->commands && exe->params
               ? ZM_OK
               : zm_graph_fail_memory(graph);
}

/* Symbols at their most, and every node to be planned. */
static zm_status executable_begin(zm_executable *exe)
{
    const zm_graph *graph = exe->graph;
    for (size_t i = 0; i < graph->formula_count; i++)
        exe->numbers[i] = graph->formulas[i].most;
    exe->info.operations = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        exe->commands[n].stale = true;
        exe->info.operations += graph->nodes[n].op != &zm_op_observe;
    }
    return zm_sizes_evaluate(graph, exe->numbers);
}

static zm_status node_check(zm_executable *exe, size_t n)
{
    zm_status status = zm_executable_resolve(exe, n);
    if (status != ZM_OK || exe->graph->nodes[n].op == &zm_op_observe)
        return status;
    uint64_t scratch = zm_op_scratch(exe->device, exe->graph->nodes[n].op, exe->params);
    exe->scratch_bytes = scratch > exe->scratch_bytes ? scratch : exe->scratch_bytes;
    return zm_command_reserve(exe, n);
}

/* Checks every node with memory that is not there: each value is a buffer of its own. */
static zm_status nodes_check(zm_executable *exe)
{
    const zm_graph *graph = exe->graph;
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < graph->value_count; i++) {
        zm_value *value = graph->values[i];
        exe->places[i] = value->tensor;
        if (value->kind != ZM_VALUE_EXTERN && value->kind != ZM_VALUE_INNER)
            continue;
        status = zm_value_bytes(graph, value, &value->buffer.size);
        value->buffer.device = exe->device;
        exe->places[i].buffer = &value->buffer;
    }
    for (size_t n = 0; status == ZM_OK && n < graph->node_count; n++)
        status = node_check(exe, n);
    for (size_t i = 0; i < graph->value_count; i++) {
        graph->values[i]->buffer.device = NULL;
        if (graph->values[i]->kind != ZM_VALUE_BUFFER)
            exe->places[i].buffer = NULL;
    }
    return status;
}

/* Room for the graph as it is now. */
static zm_status room_make(zm_executable *exe)
{
    arrays_free(exe);
    zm_status status = executable_allocate(exe);
    return status == ZM_OK ? executable_begin(exe) : status;
}

zm_status zm_executable_open(zm_executable *exe, const zm_graph *graph)
{
    zm_status status = zm_graph_clone(graph, &exe->graph);
    if (status != ZM_OK)
        return status;
    types_settle(exe->graph, exe->device->info.real_type);
    return room_make(exe);
}

zm_status zm_executable_reserve(const zm_executable *exe, zm_stream *stream)
{
    zm_buffer *scratch = NULL;
    return exe->scratch_bytes ? zm_stream_scratch(stream, exe->scratch_bytes, &scratch) : ZM_OK;
}

/* The device has said that there is no memory: what takes it. */
static zm_status arenas_fail(const zm_executable *exe, const zm_memory *memory, zm_status status)
{
    const zm_graph *graph = exe->graph;
    char name[64];
    size_t most = 0;
    for (size_t i = 1; i < graph->value_count; i++)
        if (memory->places[i].bytes > memory->places[most].bytes)
            most = i;
    zm_value_print(graph->values[most], name, sizeof(name));
    return zm_fail(&graph->log, status,
                   "graph: the inner tensors take %" PRIu64 " bytes, of which %s %" PRIu64,
                   memory->total, name, memory->places[most].bytes);
}

static zm_status arenas_create(zm_executable *exe, const zm_memory *memory)
{
    zm_status status = ZM_OK;
    zm_buffer_params params = {.host_visible = exe->device->info.limits.unified_memory};
    exe->arenas = zm_calloc(memory->arena_count + 1, sizeof(*exe->arenas));
    if (!exe->arenas)
        return zm_graph_fail_memory(exe->graph);
    while (status == ZM_OK && exe->arena_count < memory->arena_count) {
        params.size = memory->arenas[exe->arena_count];
        status = zm_buffer_create(exe->device, &params, &exe->arenas[exe->arena_count]);
        exe->arena_count += status == ZM_OK;
    }
    if (status != ZM_OK)
        return arenas_fail(exe, memory, status);
    for (size_t i = 0; i < exe->graph->value_count; i++) {
        const zm_place *place = &memory->places[i];
        if (!place->bytes)
            continue;
        exe->places[i].buffer = exe->arenas[place->arena];
        exe->places[i].offset = place->offset / zm_dtype_size(exe->places[i].dtype);
    }
    return status;
}

static zm_status memory_create(zm_executable *exe, bool in_place)
{
    zm_memory memory;
    zm_status status =
        zm_memory_plan(exe->graph, in_place, exe->device->info.limits.max_buffer_bytes, &memory);
    if (status != ZM_OK)
        return status;
    exe->info.memory_bytes = memory.total;
    exe->info.least_bytes = memory.least;
    exe->info.fired[ZM_PASS_IN_PLACE] = memory.in_place;
    status = arenas_create(exe, &memory);
    zm_memory_finish(&memory);
    return status;
}

static zm_status executable_make(zm_executable *exe, const zm_graph *graph,
                                 const zm_compile_params *params)
{
    zm_status status = zm_executable_open(exe, graph);
    if (status != ZM_OK)
        return status;
    exe->replay = (zm_replay_state){.mode = params->replay, .look_at = UINT64_MAX};
    /* What is wrong is said in terms of the graph as it was built. */
    if (status == ZM_OK)
        status = nodes_check(exe);
    if (status == ZM_OK)
        status = zm_passes_run(exe->graph, exe->device, params->off, exe->info.fired);
    if (status == ZM_OK)
        status = room_make(exe);
    if (status == ZM_OK)
        status = nodes_check(exe);
    if (status == ZM_OK)
        status = memory_create(exe, !params->off[ZM_PASS_IN_PLACE]);
    if (status == ZM_OK)
        status = zm_replay_prepare(exe);
    if (status == ZM_OK)
        zm_logf(&graph->log, ZM_LOG_DEBUG,
                "graph: %" PRIu32 " operations; inner tensors take %" PRIu64
                " bytes, at least %" PRIu64 " live at once; %" PRIu32 " in place",
                exe->info.operations, exe->info.memory_bytes, exe->info.least_bytes,
                exe->info.fired[ZM_PASS_IN_PLACE]);
    return status;
}

zm_status zm_graph_compile(const zm_graph *graph, zm_device *device,
                           const zm_compile_params *params, zm_executable **out)
{
    static const zm_compile_params defaults;
    if (!graph)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (graph->status != ZM_OK)
        return graph->status; /* which was said when it came up */
    if (!device || !out)
        return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: compiling needs a device and a place for the result");
    zm_executable *exe = zm_calloc(1, sizeof(*exe));
    if (!exe)
        return zm_graph_fail_memory(graph);
    exe->device = device;
    exe->submit_work = ZM_SUBMIT_WORK;
    exe->forced_changes = device->forced_changes;
    zm_status status = executable_make(exe, graph, params ? params : &defaults);
    if (status == ZM_OK)
        *out = exe;
    else
        zm_executable_destroy(&exe);
    return status;
}
