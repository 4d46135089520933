/* SPDX-License-Identifier: Apache-2.0 */
#include "graph/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"

/* ---- compiling ---- */

static void devices_take(zm_pipeline *pipeline, zm_device *const *devices, uint32_t count)
{
    pipeline->named_count = count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t place = zm_pipeline_find(pipeline, devices[i]);
        if (place == pipeline->device_count)
            pipeline->devices[pipeline->device_count++] = devices[i];
        pipeline->place_of[i] = place;
    }
}

static zm_status devices_check(const zm_graph *graph, zm_device *const *devices, uint32_t count)
{
    bool sound = devices && count >= 1 && count <= ZM_PIPELINE_DEVICES;
    for (uint32_t i = 0; sound && i < count; i++)
        sound = devices[i] != NULL;
    if (!sound)
        return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                       "graph: a pipeline needs 1 to %d devices", ZM_PIPELINE_DEVICES);
    for (size_t n = 0; n < graph->node_count; n++)
        if (graph->nodes[n].device >= count)
            return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: an operation is for device %" PRIu32 " of %" PRIu32,
                           graph->nodes[n].device, count);
    return ZM_OK;
}

/* One executable for the graph as it is. */
static zm_status compile_whole(zm_pipeline *pipeline, const zm_graph *graph,
                               const zm_compile_params *params)
{
    pipeline->stages = zm_calloc(1, sizeof(*pipeline->stages));
    if (!pipeline->stages)
        return zm_graph_fail_memory(graph);
    pipeline->stage_count = 1;
    return zm_graph_compile(graph, pipeline->devices[0], params, &pipeline->stages[0].executable);
}

static zm_status numbers_create(zm_pipeline *pipeline)
{
    const zm_graph *graph = pipeline->graph;
    pipeline->numbers = zm_calloc(graph->formula_count + 1, sizeof(*pipeline->numbers));
    if (!pipeline->numbers)
        return zm_graph_fail_memory(graph);
    for (size_t i = 0; i < graph->formula_count; i++)
        pipeline->numbers[i] = graph->formulas[i].most;
    return zm_sizes_evaluate(graph, pipeline->numbers);
}

static zm_status stages_compile(zm_pipeline *pipeline, const zm_compile_params *params)
{
    zm_status status = ZM_OK;
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++)
        status = zm_stage_compile(pipeline, &pipeline->stages[s], params);
    for (size_t i = 0; i < ZM_PIPELINE_PLACES; i++) {
        zm_status waited = pipeline->streams[i] ? zm_stream_wait(pipeline->streams[i]) : ZM_OK;
        zm_stream_destroy(&pipeline->streams[i]);
        status = status == ZM_OK ? waited : status;
    }
    return status;
}

static zm_status compile_stages(zm_pipeline *pipeline, const zm_graph *graph,
                                const zm_compile_params *params)
{
    zm_status status = zm_graph_clone(graph, &pipeline->graph);
    if (status == ZM_OK)
        status = zm_pipeline_place(pipeline);
    if (status == ZM_OK && pipeline->named_count == 1 && !pipeline->host) {
        zm_graph_destroy(&pipeline->graph);
        return compile_whole(pipeline, graph, params);
    }
    if (status == ZM_OK)
        status = numbers_create(pipeline);
    if (status == ZM_OK)
        status = zm_pipeline_divide(pipeline);
    if (status == ZM_OK)
        status = stages_compile(pipeline, params);
    if (status == ZM_OK)
        status = zm_staging_create(pipeline);
    return status;
}

/* The host can do everything. */
static bool is_for_one(const zm_pipeline *pipeline)
{
    return pipeline->named_count == 1 &&
           (pipeline->no_host || pipeline->devices[0]->info.backend == ZM_BACKEND_HOST);
}

zm_status zm_pipeline_compile(const zm_graph *graph, zm_device *const *devices, uint32_t count,
                              const zm_compile_params *params, zm_pipeline **out)
{
    if (!graph || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (graph->status != ZM_OK)
        return graph->status; /* which was said when it came up */
    zm_status status = devices_check(graph, devices, count);
    if (status != ZM_OK)
        return status;
    zm_pipeline *pipeline = zm_calloc(1, sizeof(*pipeline));
    if (!pipeline)
        return zm_graph_fail_memory(graph);
    devices_take(pipeline, devices, count);
    pipeline->no_host = params && params->no_host;
    status = is_for_one(pipeline) ? compile_whole(pipeline, graph, params)
                                  : compile_stages(pipeline, graph, params);
    if (status == ZM_OK)
        *out = pipeline;
    else
        zm_pipeline_destroy(&pipeline);
    return status;
}

void zm_pipeline_destroy(zm_pipeline **out)
{
    if (!out || !*out)
        return;
    zm_pipeline *pipeline = *out;
    for (size_t s = 0; s < pipeline->stage_count; s++) {
        zm_executable_destroy(&pipeline->stages[s].executable);
        free(pipeline->stages[s].uses);
    }
    for (size_t i = 0; i < pipeline->crossing_count; i++)
        for (size_t d = 0; d < ZM_PIPELINE_PLACES; d++)
            zm_buffer_destroy(&pipeline->crossings[i].owned[d]);
    for (size_t i = 0; i < pipeline->constant_count; i++)
        zm_buffer_destroy(&pipeline->constants[i].to.buffer);
    zm_graph_destroy(&pipeline->graph);
    free(pipeline->numbers);
    free(pipeline->device_of);
    free(pipeline->stages);
    free(pipeline->crossings);
    free(pipeline->crossing_of);
    free(pipeline->constants);
    free(pipeline->staging[0]);
    free(pipeline->staging[1]);
    zm_stream_destroy(&pipeline->host_stream);
    zm_device_close(&pipeline->host);
    free(pipeline);
    *out = NULL;
}

/* ---- bindings ---- */

zm_status zm_pipeline_bind(zm_pipeline *pipeline, const char *name, const zm_tensor *tensor)
{
    if (!pipeline)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!pipeline->graph)
        return zm_executable_bind(pipeline->stages[0].executable, name, tensor);
    const zm_value *value = NULL;
    uint32_t device = 0;
    zm_status status = zm_binding_find(pipeline->graph, pipeline->devices, pipeline->device_count,
                                       name, tensor, &value, &device);
    if (status != ZM_OK)
        return status;
    zm_crossing *crossing = &pipeline->crossings[pipeline->crossing_of[value->index] - 1];
    crossing->place[device] = *tensor;
    crossing->bound |= 1u << device;
    crossing->rebound = true;
    return ZM_OK;
}

zm_status zm_pipeline_set(zm_pipeline *pipeline, zm_size symbol, uint32_t value)
{
    if (!pipeline)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = ZM_OK;
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++)
        status = zm_executable_set(pipeline->stages[s].executable, symbol, value);
    if (status == ZM_OK && pipeline->graph && pipeline->stage_count) {
        pipeline->numbers[symbol & ~ZM_SIZE_FORMULA] = value;
        pipeline->changed = true;
    }
    return status;
}

/* What is not bound on a device that uses it: a copy of it, or room for what will move there. */
static zm_status crossing_complete(zm_pipeline *pipeline, zm_crossing *crossing, uint32_t device,
                                   zm_stream *const *streams)
{
    zm_dtype dtype = pipeline->graph->values[crossing->root]->tensor.dtype;
    if (!crossing->constant)
        return crossing->owned[device] ? ZM_OK : zm_crossing_own(pipeline, crossing, device);
    uint32_t from = zm_first_device(crossing->bound);
    bool fresh = !crossing->owned[device];
    zm_status status =
        zm_constant_copy(streams[from], &crossing->place[from], crossing->type, streams[device],
                         dtype ? dtype : pipeline->devices[device]->info.real_type,
                         &crossing->owned[device], &crossing->place[device]);
    if (status == ZM_OK && fresh)
        pipeline->info.copied_bytes += crossing->owned[device]->size;
    return status;
}

/* To the stages on the device that have the extern. */
static zm_status crossing_bind(zm_pipeline *pipeline, const zm_crossing *crossing, uint32_t device)
{
    const char *name = pipeline->graph->values[crossing->root]->name;
    zm_status status = ZM_OK;
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++) {
        const zm_stage *stage = &pipeline->stages[s];
        if (stage->device == device && zm_extern_find(stage->executable->graph, name))
            status = zm_executable_bind(stage->executable, name, &crossing->place[device]);
    }
    return status;
}

static zm_status bindings_take(zm_pipeline *pipeline, zm_stream *const *streams)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < pipeline->crossing_count; i++) {
        zm_crossing *crossing = &pipeline->crossings[i];
        const zm_value *value = pipeline->graph->values[crossing->root];
        if (value->kind == ZM_VALUE_EXTERN && !crossing->bound)
            return zm_fail(&pipeline->graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: extern %s is not bound", value->name);
        for (uint32_t d = 0; crossing->rebound && status == ZM_OK && d < pipeline->device_count;
             d++) {
            if (!((crossing->users | crossing->bound) & (1u << d)))
                continue;
            if (!(crossing->bound & (1u << d)))
                status = crossing_complete(pipeline, crossing, d, streams);
            if (status == ZM_OK)
                status = crossing_bind(pipeline, crossing, d);
        }
        crossing->rebound &= status != ZM_OK;
    }
    return status;
}

/* ---- runs ---- */

/* A stream of each device that has a stage, or memory that moves. */
static zm_status streams_take(const zm_pipeline *pipeline, zm_stream *const *given, zm_stream **out)
{
    uint32_t needed = 0;
    const zm_graph *graph =
        pipeline->graph ? pipeline->graph : pipeline->stages[0].executable->graph;
    for (size_t s = 0; s < pipeline->stage_count; s++)
        needed |= 1u << pipeline->stages[s].device;
    for (size_t i = 0; i < pipeline->crossing_count; i++)
        needed |= pipeline->crossings[i].bound;
    for (uint32_t i = pipeline->named_count; given && i-- > 0;) {
        uint32_t place = pipeline->place_of[i];
        if (given[i] && given[i]->device == pipeline->devices[place])
            out[place] = given[i];
    }
    if (pipeline->host)
        out[pipeline->device_count - 1] = pipeline->host_stream;
    for (uint32_t d = 0; d < pipeline->device_count; d++)
        if ((needed & (1u << d)) && !out[d])
            return zm_fail(&graph->log, ZM_ERROR_INVALID_ARGUMENT,
                           "graph: a run needs a stream of device %s",
                           pipeline->devices[d]->info.spec);
    return ZM_OK;
}

/* All that can be wrong is said before anything is enqueued. */
static zm_status run_prepare(zm_pipeline *pipeline, zm_stream *const *streams)
{
    zm_status status = bindings_take(pipeline, streams);
    if (status == ZM_OK && pipeline->changed) {
        status = zm_sizes_evaluate(pipeline->graph, pipeline->numbers);
        pipeline->changed = status != ZM_OK;
    }
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++)
        status = zm_executable_plan(pipeline->stages[s].executable);
    return status;
}

static zm_status run_stages(zm_pipeline *pipeline, zm_stream *const *streams,
                            const zm_run_params *params)
{
    zm_status status = ZM_OK;
    pipeline->info.moves = 0;
    pipeline->info.moved_bytes = 0;
    for (size_t i = 0; i < pipeline->crossing_count; i++) {
        zm_crossing *crossing = &pipeline->crossings[i];
        crossing->valid = crossing->constant ? UINT32_MAX : crossing->bound;
    }
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++) {
        const zm_stage *stage = &pipeline->stages[s];
        status = zm_moves_before(pipeline, stage, streams);
        if (status == ZM_OK)
            status = zm_executable_enqueue(stage->executable, streams[stage->device], params);
        if (status == ZM_OK)
            status = zm_moves_after(pipeline, stage, streams);
    }
    return status;
}

zm_status zm_pipeline_reserve(zm_pipeline *pipeline, zm_stream *const *streams)
{
    if (!pipeline)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_stream *taken[ZM_PIPELINE_PLACES] = {0};
    zm_status status = streams_take(pipeline, streams, taken);
    for (size_t s = 0; status == ZM_OK && s < pipeline->stage_count; s++)
        status = zm_executable_reserve(pipeline->stages[s].executable,
                                       taken[pipeline->stages[s].device]);
    return status;
}

zm_status zm_pipeline_run(zm_pipeline *pipeline, zm_stream *const *streams,
                          const zm_run_params *params)
{
    if (!pipeline)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!pipeline->graph)
        return zm_executable_run(pipeline->stages[0].executable, streams ? streams[0] : NULL,
                                 params);
    zm_stream *taken[ZM_PIPELINE_PLACES] = {0};
    zm_status status = streams_take(pipeline, streams, taken);
    if (status == ZM_OK)
        status = run_prepare(pipeline, taken);
    return status == ZM_OK ? run_stages(pipeline, taken, params) : status;
}

/* ---- looking at it ---- */

static void info_add(zm_executable_info *sum, const zm_executable_info *part)
{
    sum->operations += part->operations;
    sum->launches += part->launches;
    sum->replayed += part->replayed;
    sum->planned += part->planned;
    sum->submits += part->submits;
    for (size_t i = 0; i < ZM_PASS_COUNT; i++)
        sum->fired[i] += part->fired[i];
    sum->memory_bytes += part->memory_bytes;
    sum->least_bytes += part->least_bytes;
}

zm_pipeline_info zm_pipeline_get_info(const zm_pipeline *pipeline)
{
    zm_pipeline_info info = {0};
    if (!pipeline)
        return info;
    info = pipeline->info;
    info.stages = (uint32_t)pipeline->stage_count;
    for (size_t s = 0; s < pipeline->stage_count; s++)
        info_add(&info.work, &pipeline->stages[s].executable->info);
    return info;
}

const zm_executable *zm_pipeline_stage(const zm_pipeline *pipeline, uint32_t index,
                                       uint32_t *device)
{
    if (!pipeline || index >= pipeline->stage_count)
        return NULL;
    if (device)
        *device = pipeline->stages[index].device;
    return pipeline->stages[index].executable;
}
