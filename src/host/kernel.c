/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "host/host.h"

typedef struct launch {
    zm_ref_fn function;
    const void *args;
    void *buffers[ZM_MAX_BINDINGS];
} launch;

/* What the OpenCL kernels are compiled with says it here too; without it the real type. */
static zm_dtype activations_of(const zm_device *device, const zm_kernel_desc *desc)
{
    const char *type = strstr(desc->options, "-DACT_TYPE=");
    return type ? (zm_dtype)strtol(strchr(type, '=') + 1, NULL, 10) : device->info.real_type;
}

zm_status zm_host_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    const zm_ref_op *op = desc->family == ZM_FAMILY_REF ? zm_ref_find(desc->name) : NULL;
    if (!op)
        return zm_fail(&device->log, ZM_ERROR_NOT_FOUND,
                       "kernel %s: the host device has no plain-C function of that name",
                       desc->name);
    zm_host_kernel *kernel = zm_calloc(1, sizeof(*kernel));
    if (!kernel)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory",
                       desc->name);
    kernel->function = zm_ref_function(op, device->info.real_type, activations_of(device, desc));
    kernel->items = op->items;
    *out = &kernel->base;
    return ZM_OK;
}

void zm_host_kernel_destroy(zm_device *device, zm_kernel *kernel)
{
    (void)device;
    free(kernel);
}

static void run_items(void *user, size_t begin, size_t end)
{
    const launch *job = user;
    job->function(job->args, job->buffers, begin, end);
}

zm_status zm_host_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    const zm_host_kernel *kernel = (const zm_host_kernel *)dispatch->kernel;
    launch job = {.function = kernel->function, .args = dispatch->args.bytes};
    for (uint32_t i = 0; i < kernel->base.desc.buffer_count; i++)
        if (dispatch->buffers[i])
            job.buffers[i] = ((zm_host_buffer *)dispatch->buffers[i])->data;

    uint64_t start = zm_clock_ns();
    zm_pool_run(((zm_host_device *)stream->device)->pool, kernel->items(job.args), run_items, &job);
    if (event) {
        zm_host_event *host = (zm_host_event *)event;
        host->span = (zm_event_span){start, start, zm_clock_ns()};
        event->marked = true;
        event->timestamps = stream->timestamps;
    }
    return ZM_OK;
}
