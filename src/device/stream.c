/* SPDX-License-Identifier: Apache-2.0 */
/* Streams and events. */
#include "device/recorder.h"

zm_status zm_stream_create(zm_device *device, const zm_stream_params *params, zm_stream **out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_stream_params given = params ? *params : (zm_stream_params){0};
    given.timestamps |= given.records > 0;
    if (given.timestamps && !device->info.limits.timestamps)
        return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED, "%s has no timestamps",
                       device->info.spec);
    zm_stream *stream = NULL;
    zm_status status = device->fns->stream_create(device, &given, &stream);
    if (status == ZM_OK && given.records)
        status = zm_recorder_create(stream, given.records);
    if (status == ZM_OK)
        *out = stream;
    else
        zm_stream_destroy(&stream);
    return status;
}

void zm_stream_destroy(zm_stream **stream)
{
    if (!stream || !*stream)
        return;
    zm_buffer *scratch = (*stream)->scratch;
    zm_recorder *recorder = (*stream)->recorder;
    zm_stream_forget_lists(*stream);
    (*stream)->device->fns->stream_destroy(*stream);
    zm_recorder_destroy(recorder);
    zm_buffer_destroy(&scratch);
    *stream = NULL;
}

#define MIN_SCRATCH (UINT64_C(1) << 16)

/* Grows to powers of two, so that a cache that gets longer step by step rarely waits. */
zm_status zm_stream_scratch(zm_stream *stream, uint64_t size, zm_buffer **out)
{
    zm_status status = ZM_OK;
    if (!stream->scratch || stream->scratch->size < size) {
        const uint64_t most = stream->device->info.limits.max_buffer_bytes;
        zm_buffer_params params = {.size = MIN_SCRATCH};
        while (params.size < size && params.size <= UINT64_MAX / 4)
            params.size *= 2;
        if (params.size > most)
            params.size = size;
        status = stream->scratch ? zm_stream_wait(stream) : ZM_OK;
        if (status == ZM_OK) {
            zm_buffer_destroy(&stream->scratch);
            status = zm_buffer_create(stream->device, &params, &stream->scratch);
        }
    }
    *out = stream->scratch;
    return status;
}

zm_device *zm_stream_get_device(const zm_stream *stream)
{
    return stream->device;
}

zm_status zm_stream_flush(zm_stream *stream)
{
    return stream ? stream->device->fns->stream_flush(stream) : ZM_ERROR_INVALID_ARGUMENT;
}

zm_status zm_stream_wait(zm_stream *stream)
{
    return stream ? stream->device->fns->stream_wait(stream) : ZM_ERROR_INVALID_ARGUMENT;
}

zm_status zm_event_create(zm_device *device, zm_event **out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    return device->fns->event_create(device, out);
}

void zm_event_destroy(zm_event **event)
{
    if (!event || !*event)
        return;
    (*event)->device->fns->event_destroy(*event);
    *event = NULL;
}

zm_status zm_event_mark(zm_event *event, zm_stream *stream)
{
    if (!event || !stream)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (event->device != stream->device)
        return zm_fail(&event->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_event_mark: the event and the stream belong to different devices");
    return event->device->fns->event_mark(event, stream);
}

static zm_status check_marked(const zm_event *event, const char *call)
{
    if (!event)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!event->marked)
        return zm_fail(&event->device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: the event marks nothing yet", call);
    return ZM_OK;
}

zm_status zm_event_wait(zm_event *event)
{
    zm_status status = check_marked(event, "zm_event_wait");
    return status == ZM_OK ? event->device->fns->event_wait(event) : status;
}

zm_status zm_event_times(zm_event *event, uint64_t *start_ns, uint64_t *end_ns)
{
    zm_status status = check_marked(event, "zm_event_times");
    if (status != ZM_OK)
        return status;
    if (!start_ns || !end_ns)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!event->timestamps)
        return zm_fail(&event->device->log, ZM_ERROR_UNSUPPORTED,
                       "zm_event_times: the stream was created without timestamps");
    zm_event_span span;
    status = event->device->fns->event_times(event, &span);
    if (status == ZM_OK) {
        *start_ns = span.start_ns;
        *end_ns = span.end_ns;
    }
    return status;
}
