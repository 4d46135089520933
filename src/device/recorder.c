/* SPDX-License-Identifier: Apache-2.0 */
#include "device/recorder.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"

struct zm_recorder {
    uint32_t capacity, count;
    uint64_t lost;
    zm_record label; /* of the launches to come */
    zm_record *records;
    zm_event **events; /* one for each record; made at its first launch, and then kept */
};

void zm_recorder_destroy(zm_recorder *recorder)
{
    if (!recorder)
        return;
    for (uint32_t i = 0; recorder->events && i < recorder->capacity; i++)
        zm_event_destroy(&recorder->events[i]);
    free(recorder->events);
    free(recorder->records);
    free(recorder);
}

zm_status zm_recorder_create(zm_stream *stream, uint32_t capacity)
{
    zm_recorder *recorder = zm_calloc(1, sizeof(*recorder));
    stream->recorder = recorder;
    if (recorder) {
        recorder->capacity = capacity;
        recorder->records = zm_calloc(capacity, sizeof(*recorder->records));
        recorder->events = zm_calloc(capacity, sizeof(zm_event *));
    }
    if (!recorder || !recorder->records || !recorder->events)
        return zm_fail(&stream->device->log, ZM_ERROR_OUT_OF_MEMORY,
                       "%s: no memory for %u records of a stream", stream->device->info.spec,
                       capacity);
    return ZM_OK;
}

static void copy(char *out, size_t capacity, const char *text)
{
    snprintf(out, capacity, "%s", text ? text : "");
}

void zm_stream_label(zm_stream *stream, const zm_label *label)
{
    if (!stream->recorder)
        return;
    zm_record *record = &stream->recorder->label;
    copy(record->op, sizeof(record->op), label->op);
    copy(record->candidate, sizeof(record->candidate), label->candidate);
    copy(record->node, sizeof(record->node), label->node);
}

zm_status zm_recorder_dispatch(zm_stream *stream, const zm_dispatch *dispatch)
{
    zm_recorder *recorder = stream->recorder;
    const zm_device_fns *fns = stream->device->fns;
    bool kept = recorder->count < recorder->capacity;
    zm_event **event = kept ? &recorder->events[recorder->count] : NULL;
    zm_status status = ZM_OK;
    if (kept && !*event)
        status = zm_event_create(stream->device, event);
    if (status == ZM_OK)
        status = fns->dispatch(stream, dispatch, kept ? *event : NULL);
    if (status != ZM_OK)
        return status;
    if (!kept) {
        recorder->lost++;
        return ZM_OK;
    }
    zm_record *record = &recorder->records[recorder->count++];
    *record = recorder->label;
    copy(record->kernel, sizeof(record->kernel), dispatch->kernel->desc.name);
    return ZM_OK;
}

zm_status zm_stream_take_records(zm_stream *stream, zm_records *out)
{
    if (!stream || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_recorder *recorder = stream->recorder;
    if (!recorder)
        return zm_fail(&stream->device->log, ZM_ERROR_UNSUPPORTED,
                       "zm_stream_take_records: the stream was created to keep no records");
    zm_status status = zm_stream_wait(stream);
    for (uint32_t i = 0; status == ZM_OK && i < recorder->count; i++) {
        zm_event_span span;
        status = stream->device->fns->event_times(recorder->events[i], &span);
        recorder->records[i].queued_ns = span.queued_ns;
        recorder->records[i].start_ns = span.start_ns;
        recorder->records[i].end_ns = span.end_ns;
    }
    if (status != ZM_OK)
        return status;
    *out = (zm_records){recorder->records, recorder->count, recorder->lost};
    recorder->count = 0;
    recorder->lost = 0;
    return ZM_OK;
}
