/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "graph/executable.h"
#include "ops/view.h"

/* ---- bindings ---- */

/* A number has to be met, the most of a symbol at least. real: what ZM_DTYPE_NONE stands for. */
static zm_status binding_check(const zm_graph *graph, const zm_tensor *wanted, zm_dtype real,
                               const zm_tensor *tensor, zm_refusal *refusal)
{
    zm_view view;
    zm_dtype dtype = wanted->dtype ? wanted->dtype : real;
    if (tensor->dtype != dtype || tensor->rank != wanted->rank)
        return zm_refuse(
            refusal, ZM_ERROR_INVALID_ARGUMENT, "%s of rank %" PRIu32 ", not %s of rank %" PRIu32,
            zm_dtype_name(tensor->dtype), tensor->rank, zm_dtype_name(dtype), wanted->rank);
    for (uint32_t i = 0; i < wanted->rank; i++) {
        uint32_t most = zm_size_most(graph, wanted->shape[i]);
        bool symbolic = wanted->shape[i] & ZM_SIZE_FORMULA;
        if (symbolic ? tensor->shape[i] < most : tensor->shape[i] != most)
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                             "size %" PRIu32 " of dimension %" PRIu32 ", not %" PRIu32 "%s",
                             tensor->shape[i], i, most, symbolic ? " or more" : "");
    }
    if (!tensor->panel && !zm_tensor_is_packed(tensor))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "it is not packed");
    return zm_view_get(tensor, false, &view, refusal);
}

uint32_t zm_device_place(zm_device *const *devices, uint32_t count, const zm_device *device)
{
    uint32_t i = 0;
    while (i < count && devices[i] != device)
        i++;
    return i;
}

zm_status zm_binding_find(const zm_graph *graph, zm_device *const *devices, uint32_t count,
                          const char *name, const zm_tensor *tensor, const zm_value **value,
                          uint32_t *device)
{
    zm_refusal refusal;
    zm_status status;
    if (!name || !tensor || !tensor->buffer)
        return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: binding needs a name and a tensor");
    *value = zm_extern_find(graph, name);
    if (!*value)
        return zm_fail(&graph->log, ZM_ERROR_NOT_FOUND, "graph: there is no extern %s", name);
    *device = zm_device_place(devices, count, tensor->buffer->device);
    if (*device == count)
        status = zm_refuse(&refusal, ZM_ERROR_INVALID_ARGUMENT, "its buffer is of another device");
    else
        status = binding_check(graph, &(*value)->tensor, devices[*device]->info.real_type, tensor,
                               &refusal);
    return status == ZM_OK
               ? ZM_OK
               : zm_fail(&graph->log, status, "graph: extern %s: %s", name, refusal.reason);
}

static void mark_stale(zm_executable *exe, const zm_value *root)
{
    for (size_t n = 0; n < exe->graph->node_count; n++)
        for (size_t i = 0; i < exe->graph->nodes[n].op->operand_count; i++)
            exe->commands[n].stale |= zm_node_root(exe->graph, &exe->graph->nodes[n], i) == root;
}

zm_status zm_executable_bind(zm_executable *exe, const char *name, const zm_tensor *tensor)
{
    if (!exe)
        return ZM_ERROR_INVALID_ARGUMENT;
    const zm_value *value = NULL;
    uint32_t device;
    zm_status status = zm_binding_find(exe->graph, &exe->device, 1, name, tensor, &value, &device);
    if (status != ZM_OK)
        return status;
    zm_tensor *place = &exe->places[value->index];
    bool same = place->buffer == tensor->buffer && place->offset == tensor->offset &&
                place->panel == tensor->panel &&
                exe->serials[value->index] == tensor->buffer->serial;
    *place = *tensor;
    exe->serials[value->index] = tensor->buffer->serial;
    if (!same)
        mark_stale(exe, value);
    return ZM_OK;
}

zm_status zm_executable_set(zm_executable *exe, zm_size symbol, uint32_t value)
{
    if (!exe)
        return ZM_ERROR_INVALID_ARGUMENT;
    const zm_graph *graph = exe->graph;
    uint32_t index = symbol & ~ZM_SIZE_FORMULA;
    if (!(symbol & ZM_SIZE_FORMULA) || !zm_size_is_sound(graph, symbol) ||
        !graph->formulas[index].name)
        return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: what is set is no symbol of this graph");
    const zm_formula *formula = &graph->formulas[index];
    if (value < formula->least || value > formula->most)
        return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: %s = %" PRIu32 " is not in %" PRIu32 " .. %" PRIu32, formula->name,
                       value, formula->least, formula->most);
    if (exe->numbers[index] != value)
        exe->changed |= formula->symbols;
    exe->numbers[index] = value;
    return ZM_OK;
}

/* ---- runs ---- */

static zm_status bindings_check(const zm_executable *exe)
{
    for (size_t i = 0; i < exe->graph->value_count; i++)
        if (exe->graph->values[i]->kind == ZM_VALUE_EXTERN && !exe->places[i].buffer)
            return zm_fail(&exe->graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: extern %s is not bound", exe->graph->values[i]->name);
    return ZM_OK;
}

/* Kernels that were forced since the last run are for every operation to come. */
static void orders_take(zm_executable *exe)
{
    if (exe->forced_changes == exe->device->forced_changes)
        return;
    for (size_t n = 0; n < exe->graph->node_count; n++)
        exe->commands[n].stale = true;
    exe->forced_changes = exe->device->forced_changes;
}

/* Sums are of now, and what depends on what has changed is stale. */
static zm_status symbols_take(zm_executable *exe)
{
    if (!exe->changed)
        return ZM_OK;
    for (size_t n = 0; n < exe->graph->node_count; n++)
        exe->commands[n].stale |= (exe->graph->nodes[n].symbols & exe->changed) != 0;
    zm_status status = zm_sizes_evaluate(exe->graph, exe->numbers);
    if (status == ZM_OK)
        exe->changed = 0;
    return status;
}

/* Of the node whose params are at hand. */
zm_status zm_command_reserve(zm_executable *exe, size_t n)
{
    zm_command *command = &exe->commands[n];
    size_t parts = zm_op_parts(exe->graph->nodes[n].op, exe->params);
    if (parts <= command->plan_capacity)
        return ZM_OK;
    free(command->plans);
    command->plans = zm_calloc(parts, sizeof(*command->plans));
    command->plan_capacity = command->plans ? parts : 0;
    return command->plans ? ZM_OK : zm_graph_fail_memory(exe->graph);
}

static zm_status command_plan(zm_executable *exe, size_t n)
{
    const zm_op *op = exe->graph->nodes[n].op;
    zm_command *command = &exe->commands[n];
    size_t parts = zm_op_parts(op, exe->params);
    zm_status reserved = zm_command_reserve(exe, n);
    if (reserved != ZM_OK)
        return reserved;
    command->plan_count = 0;
    command->launches = 0;
    while (command->plan_count < parts) {
        zm_plan *plan = &command->plans[command->plan_count];
        zm_status status =
            zm_op_choose(exe->device, op, exe->params, (uint32_t)command->plan_count, plan);
        if (status != ZM_OK)
            return status;
        command->launches += (uint32_t)plan->count;
        command->plan_count++;
    }
    return ZM_OK;
}

static zm_status plan_stale(zm_executable *exe)
{
    zm_status status = ZM_OK;
    exe->info.planned = 0;
    for (size_t n = 0; status == ZM_OK && n < exe->graph->node_count; n++) {
        zm_command *command = &exe->commands[n];
        const zm_op *op = exe->graph->nodes[n].op;
        if (!command->stale || op == &zm_op_observe)
            continue;
        status = zm_executable_resolve(exe, n);
        if (status == ZM_OK)
            status = command_plan(exe, n);
        zm_replay_planned(exe, n);
        command->work = zm_op_work(op, exe->params);
        command->stale = status != ZM_OK;
        exe->info.planned++;
    }
    return status;
}

static zm_status show(zm_executable *exe, size_t n, const zm_run_params *params)
{
    if (!params->observe)
        return ZM_OK;
    zm_status status = zm_executable_resolve(exe, n);
    const zm_observe_params *p = exe->params;
    return status == ZM_OK
               ? params->observe(params->user, exe->graph->nodes[n].what, p->index, &p->x)
               : status;
}

/* What was enqueued, as the device counts it; it begins when that is enough. */
static zm_status enqueued(zm_executable *exe, zm_stream *stream, uint32_t launches, uint64_t work)
{
    exe->info.launches += launches;
    exe->work += work;
    if (exe->work < exe->submit_work)
        return ZM_OK;
    exe->work = 0;
    exe->info.submits++;
    return zm_stream_flush(stream);
}

static zm_status node_run(zm_executable *exe, zm_stream *stream, size_t n)
{
    char name[sizeof(((zm_record *)NULL)->node)] = "";
    if (stream->recorder)
        zm_node_output_print(exe->graph, n, name, sizeof(name));
    zm_command *command = &exe->commands[n];
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < command->plan_count; i++)
        status = zm_plan_run(stream, &command->plans[i], name);
    return status == ZM_OK ? enqueued(exe, stream, command->launches, command->work) : status;
}

static bool is_operation(const zm_executable *exe, size_t n)
{
    return exe->graph->nodes[n].op != &zm_op_observe;
}

static bool goes_on(const zm_run_params *params)
{
    return !params->go_on || params->go_on(params->user);
}

static zm_status nodes_run(zm_executable *exe, zm_stream *stream, const zm_stretch *stretch)
{
    zm_status status = ZM_OK;
    for (size_t n = stretch->first; status == ZM_OK && n < stretch->last; n++)
        if (is_operation(exe, n))
            status = node_run(exe, stream, n);
    return status;
}

/* All operations of a stretch at once; those that only observe have no observer. */
static zm_status stretch_run(zm_executable *exe, zm_stream *stream, zm_stretch *stretch,
                             const zm_run_params *params)
{
    zm_status status = ZM_OK;
    bool replayed = false;
    for (size_t n = stretch->first; n < stretch->last; n++)
        if (is_operation(exe, n) && !goes_on(params))
            return ZM_ERROR_CANCELLED;
    uint64_t start = zm_clock_ns();
    if (exe->replay.use == ZM_STRETCH_LIST)
        status = zm_replay_enqueue(exe, stretch, &replayed);
    if (replayed) {
        exe->info.replayed += stretch->launches;
        status = enqueued(exe, stream, stretch->launches, stretch->work);
    } else if (status == ZM_OK) {
        status = nodes_run(exe, stream, stretch);
    }
    exe->replay.elapsed += zm_clock_ns() - start;
    return status;
}

static zm_status enqueue(zm_executable *exe, zm_stream *stream, const zm_run_params *params)
{
    zm_status status = ZM_OK;
    exe->info.launches = exe->info.replayed = exe->info.submits = 0;
    exe->work = 0;
    for (size_t n = 0; status == ZM_OK && n < exe->graph->node_count;) {
        zm_stretch *stretch = zm_replay_at(exe, n);
        if (stretch) {
            status = stretch_run(exe, stream, stretch, params);
            n = stretch->last;
            continue;
        }
        if (!is_operation(exe, n))
            status = show(exe, n, params);
        else
            status = goes_on(params) ? node_run(exe, stream, n) : ZM_ERROR_CANCELLED;
        n++;
    }
    return status;
}

zm_status zm_executable_plan(zm_executable *exe)
{
    exe->replay.run++;
    zm_status status = bindings_check(exe);
    if (status == ZM_OK)
        status = symbols_take(exe);
    if (status == ZM_OK) {
        orders_take(exe);
        status = plan_stale(exe);
    }
    return status;
}

zm_status zm_executable_enqueue(zm_executable *exe, zm_stream *stream, const zm_run_params *params)
{
    static const zm_run_params defaults;
    if (!params)
        params = &defaults;
    /* What is recorded has no place for an observer, and a list no times of its launches. */
    zm_replay_begin(exe, stream, params->observe || stream->recorder);
    zm_status status = enqueue(exe, stream, params);
    if (status == ZM_OK)
        zm_replay_end(exe);
    return status;
}

zm_status zm_executable_run(zm_executable *exe, zm_stream *stream, const zm_run_params *params)
{
    if (!exe)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!stream || stream->device != exe->device)
        return zm_fail(&exe->graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: a run needs a stream of the device that it was compiled for");
    zm_status status = zm_executable_plan(exe);
    return status == ZM_OK ? zm_executable_enqueue(exe, stream, params) : status;
}

zm_executable_info zm_executable_get_info(const zm_executable *exe)
{
    return exe ? exe->info : (zm_executable_info){0};
}
