/* SPDX-License-Identifier: Apache-2.0 */
/* The kernels of a device: built once, found by description, launched. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "device/recorder.h"

static bool same(const zm_kernel_desc *a, const zm_kernel_desc *b)
{
    return strcmp(a->name, b->name) == 0 && a->family == b->family &&
           strcmp(a->options, b->options) == 0 && a->local[0] == b->local[0] &&
           a->local[1] == b->local[1] && a->local[2] == b->local[2] &&
           a->buffer_count == b->buffer_count && a->args_size == b->args_size;
}

static void desc_free(zm_kernel_desc *desc)
{
    free((char *)desc->name);
    free((char *)desc->options);
}

static zm_status desc_copy(const zm_device *device, const zm_kernel_desc *desc, zm_kernel_desc *out)
{
    *out = *desc;
    out->name = zm_strdup(desc->name);
    out->options = zm_strdup(desc->options);
    if (out->name && out->options)
        return ZM_OK;
    desc_free(out);
    return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory", desc->name);
}

/* A kernel that a driver refuses is refused for good: asking again would take as long again. */
static zm_kernel *failed_kernel(const zm_kernel_desc *desc, zm_status status)
{
    bool final =
        !desc->known_only && (status == ZM_ERROR_DEVICE || status == ZM_ERROR_UNSUPPORTED ||
                              status == ZM_ERROR_LIMIT || status == ZM_ERROR_NOT_FOUND);
    zm_kernel *kernel = final ? zm_calloc(1, sizeof(*kernel)) : NULL;
    if (kernel)
        kernel->status = status;
    return kernel;
}

static zm_status kernel_add(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    zm_kernel_desc owned;
    zm_status status = desc_copy(device, desc, &owned);
    if (status != ZM_OK)
        return status;
    zm_kernel *kernel = NULL;
    status = device->fns->kernel_create(device, &owned, &kernel);
    if (status != ZM_OK)
        kernel = failed_kernel(desc, status);
    if (!kernel) {
        desc_free(&owned);
        return status;
    }
    kernel->desc = owned;
    kernel->next = device->kernels;
    device->kernels = kernel;
    *out = kernel;
    return status;
}

static zm_status check_desc(const zm_device *device, const zm_kernel_desc *desc)
{
    if (!desc->name || desc->buffer_count > ZM_MAX_BINDINGS || desc->args_size > ZM_MAX_ARGS)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "kernel %s: over %d buffers or %d bytes of arguments",
                       desc->name ? desc->name : "?", ZM_MAX_BINDINGS, ZM_MAX_ARGS);
    const zm_device_limits *limits = &device->info.limits;
    uint64_t items = 1;
    for (int i = 0; i < 3; i++) {
        items *= desc->local[i];
        if (desc->local[i] > limits->max_work_group_dim[i] || items > limits->max_work_group)
            return zm_fail(&device->log, ZM_ERROR_LIMIT,
                           "kernel %s: work-groups of %ux%ux%u are over the limit of %s",
                           desc->name, desc->local[0], desc->local[1], desc->local[2],
                           device->info.spec);
    }
    return ZM_OK;
}

zm_status zm_kernel_get(zm_device *device, const zm_kernel_desc *desc, const zm_kernel **out)
{
    zm_kernel_desc wanted = *desc;
    wanted.options = desc->options ? desc->options : "";
    for (int i = 0; i < 3; i++)
        wanted.local[i] = desc->local[i] ? desc->local[i] : 1;
    zm_status status = check_desc(device, &wanted);
    if (status != ZM_OK)
        return status;

    zm_mutex_lock(&device->mutex);
    zm_kernel *kernel = device->kernels;
    while (kernel && !same(&kernel->desc, &wanted))
        kernel = kernel->next;
    if (!kernel) {
        status = kernel_add(device, &wanted, &kernel);
    } else if (kernel->status != ZM_OK) {
        /* The reason was given the first time; another kernel may do the work each time. */
        status = kernel->status;
        zm_logf(&device->log, ZM_LOG_DEBUG, "kernel %s [%s] could not be built on %s", wanted.name,
                wanted.options, device->info.spec);
    }
    zm_mutex_unlock(&device->mutex);
    if (status == ZM_OK)
        *out = kernel;
    return status;
}

void zm_kernel_destroy_all(zm_device *device)
{
    while (device->kernels) {
        zm_kernel *kernel = device->kernels;
        device->kernels = kernel->next;
        desc_free(&kernel->desc);
        if (kernel->status == ZM_OK)
            device->fns->kernel_destroy(device, kernel);
        else
            free(kernel);
    }
}

zm_status zm_device_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    zm_device *device = stream->device;
    const zm_kernel_desc *desc = &dispatch->kernel->desc;
    if (!dispatch->groups[0] || !dispatch->groups[1] || !dispatch->groups[2])
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT, "kernel %s: no work-groups",
                       desc->name);
    bool foreign = event && event->device != device;
    for (uint32_t i = 0; i < desc->buffer_count; i++)
        foreign |= dispatch->buffers[i] && dispatch->buffers[i]->device != device;
    if (foreign)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "kernel %s: a buffer or the event belongs to another device", desc->name);
    if (stream->recorder && !event)
        return zm_recorder_dispatch(stream, dispatch);
    return device->fns->dispatch(stream, dispatch, event);
}
