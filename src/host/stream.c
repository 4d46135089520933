/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "host/host.h"

zm_status zm_host_stream_create(zm_device *device, const zm_stream_params *params, zm_stream **out)
{
    zm_stream *stream = zm_calloc(1, sizeof(*stream));
    if (!stream)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    stream->device = device;
    stream->timestamps = params->timestamps;
    *out = stream;
    return ZM_OK;
}

void zm_host_stream_destroy(zm_stream *stream)
{
    free(stream);
}

zm_status zm_host_stream_flush(zm_stream *stream)
{
    (void)stream;
    return ZM_OK;
}

zm_status zm_host_stream_wait(zm_stream *stream)
{
    (void)stream;
    return ZM_OK;
}

zm_status zm_host_event_create(zm_device *device, zm_event **out)
{
    zm_host_event *event = zm_calloc(1, sizeof(*event));
    if (!event)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    event->base.device = device;
    *out = &event->base;
    return ZM_OK;
}

void zm_host_event_destroy(zm_event *event)
{
    free(event);
}

zm_status zm_host_event_mark(zm_event *event, zm_stream *stream)
{
    zm_host_event *host = (zm_host_event *)event;
    uint64_t now = zm_clock_ns();
    host->span = (zm_event_span){now, now, now};
    event->marked = true;
    event->timestamps = stream->timestamps;
    return ZM_OK;
}

zm_status zm_host_event_wait(zm_event *event)
{
    (void)event;
    return ZM_OK;
}

zm_status zm_host_event_times(zm_event *event, zm_event_span *out)
{
    *out = ((const zm_host_event *)event)->span;
    return ZM_OK;
}
