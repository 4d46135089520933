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
    const zm_device_limits *limits = &device->info.limits;
    return (limits->command_buffer || limits->launch_chains) && device->fns->record;
}

bool zm_list_is_mutable(const zm_device *device)
{
    return device->info.limits.launch_chains;
}

/* A library's launches are not seen. A chain has arguments by value: what is larger than two
 * registers looks the same whatever its fields are. */
bool zm_list_takes(const zm_device *device, const zm_dispatch *launch)
{
    const zm_kernel_desc *desc = &launch->kernel->desc;
    return zm_list_is_mutable(device) ? desc->family == ZM_FAMILY_CPU && desc->args_size > 16
                                      : desc->family != ZM_FAMILY_LIBRARY;
}

zm_status zm_list_create(zm_stream *stream, const zm_list_params *params, zm_list **out)
{
    zm_device *device = stream->device;
    zm_list *list = zm_calloc(1, sizeof(*list));
    if (!list)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status = device->fns->record(stream, params, &list->recording);
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

bool zm_list_update(zm_list *list, size_t index, const zm_dispatch *launch)
{
    return list->device->fns->recording_update(list->recording, index, launch);
}

zm_status zm_list_enqueue(zm_list *list, bool *done)
{
    return list->device->fns->replay(list->stream, list->recording, done);
}
