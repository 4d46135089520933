/* SPDX-License-Identifier: Apache-2.0 */
/* Launches that the driver keeps: cl_khr_command_buffer. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "opencl/opencl.h"

#define DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES 0x12AA

typedef struct recording {
    zm_opencl_command_buffer buffer;
    cl_event last; /* of its last replay; NULL = none yet */
    /* One for each launch, since PoCL 3.1 takes the arguments that a kernel has at the replay.
     */
    size_t count;
    cl_kernel kernels[];
} recording;

static const zm_opencl_command_fns *commands_of(const zm_device *device)
{
    return &((const zm_opencl_device *)device)->commands;
}

/* Our queues have no properties but timestamps. */
static bool takes_our_queues(const zm_opencl_device *device)
{
    cl_command_queue_properties required = 0;
    cl_int error =
        device->cl.clGetDeviceInfo(device->id, DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES,
                                   sizeof(required), &required, NULL);
    return error == CL_SUCCESS && required == 0;
}

bool zm_opencl_commands_find(zm_opencl_device *device)
{
    static const zm_library_function functions[] = {
        {"clCreateCommandBufferKHR", offsetof(zm_opencl_command_fns, create)},
        {"clReleaseCommandBufferKHR", offsetof(zm_opencl_command_fns, release)},
        {"clCommandNDRangeKernelKHR", offsetof(zm_opencl_command_fns, launch)},
        {"clFinalizeCommandBufferKHR", offsetof(zm_opencl_command_fns, finalize)},
        {"clEnqueueCommandBufferKHR", offsetof(zm_opencl_command_fns, enqueue)},
    };
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        void *address = device->cl.clGetExtensionFunctionAddressForPlatform(device->platform,
                                                                            functions[i].name);
        if (!address)
            return false;
        memcpy((char *)&device->commands + functions[i].offset, &address, sizeof(address));
    }
    return takes_our_queues(device);
}

void zm_opencl_recording_destroy(zm_device *device, void *user)
{
    recording *r = user;
    const zm_opencl_fns *cl = &((zm_opencl_device *)device)->cl;
    if (r->last) {
        cl->clWaitForEvents(1, &r->last); /* what is on its way must not lose its kernels */
        cl->clReleaseEvent(r->last);
    }
    if (r->buffer)
        commands_of(device)->release(r->buffer);
    while (r->count)
        cl->clReleaseKernel(r->kernels[--r->count]);
    free(r);
}

static cl_int record_launch(const zm_device *device, recording *r, const zm_dispatch *dispatch)
{
    const zm_opencl_fns *cl = &((const zm_opencl_device *)device)->cl;
    const zm_opencl_kernel *known = (const zm_opencl_kernel *)dispatch->kernel;
    size_t global[3], local[3];
    cl_int error = CL_SUCCESS;
    cl_kernel kernel = cl->clCreateKernel(known->program, known->base.desc.name, &error);
    if (error != CL_SUCCESS)
        return error;
    r->kernels[r->count++] = kernel;
    error = zm_opencl_set_arguments(cl, kernel, dispatch);
    zm_opencl_dispatch_sizes(dispatch, global, local);
    if (error == CL_SUCCESS)
        error = commands_of(device)->launch(r->buffer, NULL, NULL, kernel, 3, NULL, global, local,
                                            0, NULL, NULL, NULL);
    return error;
}

zm_status zm_opencl_record(zm_stream *stream, const zm_dispatch *const *launches, size_t count,
                           void **out)
{
    zm_device *device = stream->device;
    recording *r = zm_calloc(1, sizeof(*r) + count * sizeof(cl_kernel));
    if (!r)
        return ZM_ERROR_OUT_OF_MEMORY;
    cl_int error = CL_SUCCESS;
    r->buffer = commands_of(device)->create(1, &((zm_opencl_stream *)stream)->queue, NULL, &error);
    for (size_t i = 0; error == CL_SUCCESS && i < count; i++)
        error = launches[i]->kernel->desc.family == ZM_FAMILY_LIBRARY
                    ? CL_INVALID_KERNEL /* whose launches we don't see */
                    : record_launch(device, r, launches[i]);
    if (error == CL_SUCCESS)
        error = commands_of(device)->finalize(r->buffer);
    if (error != CL_SUCCESS) {
        zm_logf(&device->log, ZM_LOG_DEBUG, "%s: %zu launches can't be recorded: %s (%d)",
                device->info.spec, count, zm_opencl_error_name(error), error);
        zm_opencl_recording_destroy(device, r);
        return zm_opencl_status(error);
    }
    *out = r;
    return ZM_OK;
}

/* A recording that may be on its way several times at once is something that drivers need not
 * offer, and may be slower. */
static bool is_pending(const zm_opencl_fns *cl, const recording *r)
{
    cl_int state = CL_COMPLETE;
    cl_int error = r->last ? cl->clGetEventInfo(r->last, CL_EVENT_COMMAND_EXECUTION_STATUS,
                                                sizeof(state), &state, NULL)
                           : CL_SUCCESS;
    return error != CL_SUCCESS || state > CL_COMPLETE;
}

zm_status zm_opencl_replay(zm_stream *stream, void *user, bool *done)
{
    recording *r = user;
    const zm_opencl_fns *cl = &((zm_opencl_device *)stream->device)->cl;
    cl_event last = NULL;
    *done = false;
    if (is_pending(cl, r))
        return ZM_OK;
    cl_int error = commands_of(stream->device)->enqueue(0, NULL, r->buffer, 0, NULL, &last);
    if (error == CL_INVALID_OPERATION) /* the driver is later than its event */
        return ZM_OK;
    if (error != CL_SUCCESS)
        return zm_opencl_check(stream->device, error, "clEnqueueCommandBufferKHR");
    if (r->last)
        cl->clReleaseEvent(r->last);
    r->last = last;
    *done = true;
    return ZM_OK;
}
