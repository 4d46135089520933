/* SPDX-License-Identifier: Apache-2.0 */
/* In-order queues and events. */
#include <stdlib.h>

#include "common/alloc.h"
#include "opencl/opencl.h"

static const zm_opencl_fns *functions(const zm_device *device)
{
    return &((const zm_opencl_device *)device)->cl;
}

zm_status zm_opencl_stream_create(zm_device *device, const zm_stream_params *params,
                                  zm_stream **out)
{
    zm_opencl_device *opencl = (zm_opencl_device *)device;
    zm_opencl_stream *stream = zm_calloc(1, sizeof(*stream));
    if (!stream)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    stream->base.device = device;
    stream->base.timestamps = params->timestamps;
    cl_command_queue_properties properties = params->timestamps ? CL_QUEUE_PROFILING_ENABLE : 0;
    cl_int error = CL_SUCCESS;
    stream->queue =
        opencl->cl.clCreateCommandQueue(opencl->context, opencl->id, properties, &error);
    if (error != CL_SUCCESS) {
        free(stream);
        return zm_opencl_check(device, error, "clCreateCommandQueue");
    }
    *out = &stream->base;
    return ZM_OK;
}

void zm_opencl_stream_destroy(zm_stream *stream)
{
    cl_command_queue queue = ((zm_opencl_stream *)stream)->queue;
    cl_int error = functions(stream->device)->clFinish(queue);
    if (error != CL_SUCCESS)
        zm_logf(&stream->device->log, ZM_LOG_WARNING, "%s: clFinish failed: %s (%d)",
                stream->device->info.spec, zm_opencl_error_name(error), error);
    functions(stream->device)->clReleaseCommandQueue(queue);
    free(stream);
}

zm_status zm_opencl_stream_flush(zm_stream *stream)
{
    cl_int error = functions(stream->device)->clFlush(((zm_opencl_stream *)stream)->queue);
    return zm_opencl_check(stream->device, error, "clFlush");
}

zm_status zm_opencl_check_command(const zm_device *device, cl_event command, const char *call)
{
    cl_int state = CL_COMPLETE; /* negative when it failed */
    cl_int error = functions(device)->clGetEventInfo(command, CL_EVENT_COMMAND_EXECUTION_STATUS,
                                                     sizeof(state), &state, NULL);
    if (error == CL_SUCCESS && state < 0)
        error = state;
    return zm_opencl_check(device, error, call);
}

/* clFinish says nothing about commands that failed on their way; a marker behind them does. */
zm_status zm_opencl_stream_wait(zm_stream *stream)
{
    const zm_opencl_fns *cl = functions(stream->device);
    cl_command_queue queue = ((zm_opencl_stream *)stream)->queue;
    cl_event marker = NULL;
    cl_int error = cl->clEnqueueMarkerWithWaitList(queue, 0, NULL, &marker);
    if (error != CL_SUCCESS)
        return zm_opencl_check(stream->device, error, "clEnqueueMarkerWithWaitList");
    zm_status status = zm_opencl_check(stream->device, cl->clFinish(queue), "clFinish");
    if (status == ZM_OK)
        status = zm_opencl_check_command(stream->device, marker, "a command of the stream");
    cl->clReleaseEvent(marker);
    return status;
}

zm_status zm_opencl_event_create(zm_device *device, zm_event **out)
{
    zm_opencl_event *event = zm_calloc(1, sizeof(*event));
    if (!event)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    event->base.device = device;
    *out = &event->base;
    return ZM_OK;
}

static void release_commands(zm_opencl_event *event)
{
    const zm_opencl_fns *cl = functions(event->base.device);
    if (event->event)
        cl->clReleaseEvent(event->event);
    if (event->before)
        cl->clReleaseEvent(event->before);
}

void zm_opencl_event_destroy(zm_event *event)
{
    release_commands((zm_opencl_event *)event);
    free(event);
}

void zm_opencl_event_set_span(zm_event *event, const zm_stream *stream, cl_event before,
                              cl_event command)
{
    zm_opencl_event *opencl = (zm_opencl_event *)event;
    release_commands(opencl);
    opencl->event = command;
    opencl->before = before;
    event->marked = true;
    event->timestamps = stream->timestamps;
}

void zm_opencl_event_set(zm_event *event, const zm_stream *stream, cl_event command)
{
    zm_opencl_event_set_span(event, stream, NULL, command);
}

zm_status zm_opencl_event_mark(zm_event *event, zm_stream *stream)
{
    cl_event command = NULL;
    cl_int error =
        functions(event->device)
            ->clEnqueueMarkerWithWaitList(((zm_opencl_stream *)stream)->queue, 0, NULL, &command);
    if (error == CL_SUCCESS)
        zm_opencl_event_set(event, stream, command);
    return zm_opencl_check(event->device, error, "clEnqueueMarkerWithWaitList");
}

zm_status zm_opencl_event_wait(zm_event *event)
{
    cl_event command = ((zm_opencl_event *)event)->event;
    cl_int error = functions(event->device)->clWaitForEvents(1, &command);
    if (error == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)
        return zm_opencl_check_command(event->device, command, "the marked command");
    return zm_opencl_check(event->device, error, "clWaitForEvents");
}

static cl_int profile(const zm_device *device, cl_event command, cl_profiling_info what,
                      uint64_t *out)
{
    cl_ulong time = 0;
    cl_int error =
        functions(device)->clGetEventProfilingInfo(command, what, sizeof(time), &time, NULL);
    *out = time;
    return error;
}

zm_status zm_opencl_event_times(zm_event *event, zm_event_span *out)
{
    zm_status status = zm_opencl_event_wait(event);
    if (status != ZM_OK)
        return status;
    cl_event last = ((zm_opencl_event *)event)->event;
    cl_event before = ((zm_opencl_event *)event)->before;
    cl_event first = before ? before : last;
    cl_int error = profile(event->device, first, CL_PROFILING_COMMAND_QUEUED, &out->queued_ns);
    if (error == CL_SUCCESS)
        error =
            profile(event->device, first,
                    before ? CL_PROFILING_COMMAND_END : CL_PROFILING_COMMAND_START, &out->start_ns);
    if (error == CL_SUCCESS)
        error = profile(event->device, last, CL_PROFILING_COMMAND_END, &out->end_ns);
    return zm_opencl_check(event->device, error, "clGetEventProfilingInfo");
}
