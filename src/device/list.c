/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/alloc.h"
#include "device/device.h"

/* A stream knows its lists, since they don't outlive it; device->mutex guards who knows whom: list
 * and stream may be destroyed by two threads. */
struct zm_list {
    zm_device *device;
    zm_stream *stream; /* NULL = it is gone, and the recording with it */
    zm_list *next;     /* stream->lists */
    void *recording;   /* the backend's */
};

bool zm_list_is_possible(const zm_device *device)
{
    return device->info.limits.command_buffer && device->fns->record;
}

zm_status zm_list_create(zm_stream *stream, const zm_dispatch *const *launches, size_t count,
                         zm_list **out)
{
    zm_device *device = stream->device;
    zm_list *list = zm_calloc(1, sizeof(*list));
    if (!list)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status = device->fns->record(stream, launches, count, &list->recording);
    if (status != ZM_OK) {
        free(list);
        return status;
    }
    list->device = device;
    list->stream = stream;
    zm_mutex_lock(&device->mutex);
    list->next = stream->lists;
    stream->lists = list;
    zm_mutex_unlock(&device->mutex);
    *out = list;
    return ZM_OK;
}

static void forget_recording(zm_list *list)
{
    zm_list **link = &list->stream->lists;
    while (*link != list)
        link = &(*link)->next;
    *link = list->next;
    list->device->fns->recording_destroy(list->device, list->recording);
    list->stream = NULL;
}

void zm_list_destroy(zm_list **out)
{
    if (!out || !*out)
        return;
    zm_list *list = *out;
    zm_device *device = list->device;
    zm_mutex_lock(&device->mutex);
    if (list->stream)
        forget_recording(list);
    zm_mutex_unlock(&device->mutex);
    free(list);
    *out = NULL;
}

void zm_stream_forget_lists(zm_stream *stream)
{
    zm_mutex_lock(&stream->device->mutex);
    while (stream->lists)
        forget_recording(stream->lists);
    zm_mutex_unlock(&stream->device->mutex);
}

bool zm_list_is_of(const zm_list *list, const zm_stream *stream)
{
    return list->stream == stream;
}

zm_status zm_list_enqueue(zm_list *list, bool *done)
{
    return list->device->fns->replay(list->stream, list->recording, done);
}
