/* SPDX-License-Identifier: Apache-2.0 */
/* Launches that the driver keeps: cl_khr_command_buffer. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "opencl/recording.h"

#define DEVICE_COMMAND_BUFFER_REQUIRED_QUEUE_PROPERTIES 0x12AA

typedef struct recording {
    zm_opencl_recording base;
    zm_opencl_command_buffer buffer;
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

static void destroy(zm_opencl_device *device, zm_opencl_recording *recorded)
{
    recording *r = (recording *)recorded;
    if (r->buffer)
        device->commands.release(r->buffer);
    while (r->count)
        device->cl.clReleaseKernel(r->kernels[--r->count]);
    free(r);
}

static bool update(zm_opencl_recording *recorded, size_t index, const zm_dispatch *launch)
{
    (void)recorded;
    (void)index;
    (void)launch;
    return false; /* no driver that we could try has the extension for that */
}

/* A recording that may be on its way several times at once is something that drivers need not
 * offer, and may be slower. The driver may find that it is when its event says otherwise. */
static cl_int enqueue(zm_opencl_stream *stream, zm_opencl_recording *recorded, cl_event *event)
{
    const zm_opencl_device *device = (const zm_opencl_device *)stream->base.device;
    if (zm_opencl_recording_is_pending(&device->cl, recorded))
        return CL_INVALID_OPERATION;
    return device->commands.enqueue(0, NULL, ((recording *)recorded)->buffer, 0, NULL, event);
}

static const zm_opencl_recording_fns recording_fns = {destroy, update, enqueue,
                                                      "clEnqueueCommandBufferKHR"};

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

zm_status zm_opencl_commands_record(zm_stream *stream, const zm_list_params *params,
                                    zm_opencl_recording **out)
{
    zm_device *device = stream->device;
    recording *r = zm_calloc(1, sizeof(*r) + params->count * sizeof(cl_kernel));
    if (!r)
        return ZM_ERROR_OUT_OF_MEMORY;
    cl_int error = CL_SUCCESS;
    r->base.fns = &recording_fns;
    r->buffer = commands_of(device)->create(1, &((zm_opencl_stream *)stream)->queue, NULL, &error);
    for (size_t i = 0; error == CL_SUCCESS && i < params->count; i++)
        error = record_launch(device, r, params->launches[i]);
    if (error == CL_SUCCESS)
        error = commands_of(device)->finalize(r->buffer);
    if (error != CL_SUCCESS) {
        zm_logf(&device->log, ZM_LOG_DEBUG, "%s: %zu launches can't be recorded: %s (%d)",
                device->info.spec, params->count, zm_opencl_error_name(error), error);
        destroy((zm_opencl_device *)device, &r->base);
        return zm_opencl_status(error);
    }
    *out = &r->base;
    return ZM_OK;
}
