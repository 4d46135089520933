/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/alloc.h"
#include "opencl/clblast.h"
#include "opencl/opencl.h"

/* A kernel's own limit can be under the device's: registers, local memory. */
static zm_status check_work_group(zm_opencl_device *device, const zm_kernel_desc *desc,
                                  cl_kernel kernel)
{
    size_t limit = 0;
    cl_int error = device->cl.clGetKernelWorkGroupInfo(
        kernel, device->id, CL_KERNEL_WORK_GROUP_SIZE, sizeof(limit), &limit, NULL);
    if (error != CL_SUCCESS)
        return zm_opencl_check(&device->base, error, "clGetKernelWorkGroupInfo");
    size_t items = (size_t)desc->local[0] * desc->local[1] * desc->local[2];
    if (items > limit)
        return zm_fail(&device->base.log, ZM_ERROR_LIMIT,
                       "kernel %s: work-groups of %zu items; %s runs it with up to %zu", desc->name,
                       items, device->base.info.spec, limit);
    return ZM_OK;
}

static void destroy(zm_device *device, zm_kernel *kernel)
{
    zm_opencl_kernel *opencl = (zm_opencl_kernel *)kernel;
    zm_opencl_program_save((zm_opencl_device *)device, opencl);
    zm_opencl_program_destroy((zm_opencl_device *)device, opencl);
    zm_mutex_finish(&opencl->mutex);
    free(opencl);
}

zm_status zm_opencl_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    if (desc->family == ZM_FAMILY_LIBRARY)
        return zm_clblast_kernel_create(device, desc, out);
    zm_opencl_device *opencl = (zm_opencl_device *)device;
    zm_opencl_kernel *kernel = zm_calloc(1, sizeof(*kernel));
    if (!kernel)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory",
                       desc->name);
    zm_mutex_init(&kernel->mutex);
    zm_status status = zm_opencl_program_create(opencl, desc, kernel);
    if (status != ZM_OK)
        goto fail;
    status = check_work_group(opencl, desc, kernel->kernel);
    if (status != ZM_OK)
        goto fail;
    /* A CPU driver compiles once more at the first launch, for that size of work-group, and only
     * then is its program whole: it is saved at the end. Others are saved at once, since a process
     * may be killed. */
    if (device->info.type != ZM_DEVICE_CPU)
        zm_opencl_program_save(opencl, kernel);
    *out = &kernel->base;
    return ZM_OK;
fail:
    kernel->unsaved = false;
    destroy(device, &kernel->base);
    return status;
}

void zm_opencl_kernel_destroy(zm_device *device, zm_kernel *kernel)
{
    if (kernel->desc.family == ZM_FAMILY_LIBRARY)
        zm_clblast_kernel_destroy(kernel);
    else
        destroy(device, kernel);
}

cl_int zm_opencl_set_arguments(const zm_opencl_fns *cl, cl_kernel kernel,
                               const zm_dispatch *dispatch)
{
    const zm_kernel_desc *desc = &dispatch->kernel->desc;
    for (cl_uint i = 0; i < desc->buffer_count; i++) {
        const zm_opencl_buffer *buffer = (const zm_opencl_buffer *)dispatch->buffers[i];
        cl_int error =
            cl->clSetKernelArg(kernel, i, sizeof(cl_mem), buffer ? &buffer->memory : NULL);
        if (error != CL_SUCCESS)
            return error;
    }
    if (!desc->args_size)
        return CL_SUCCESS;
    return cl->clSetKernelArg(kernel, desc->buffer_count, desc->args_size, dispatch->args.bytes);
}

void zm_opencl_dispatch_sizes(const zm_dispatch *dispatch, size_t global[3], size_t local[3])
{
    for (int i = 0; i < 3; i++) {
        local[i] = dispatch->kernel->desc.local[i];
        global[i] = (size_t)dispatch->groups[i] * local[i];
    }
}

zm_status zm_opencl_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    if (dispatch->kernel->desc.family == ZM_FAMILY_LIBRARY)
        return zm_clblast_dispatch(stream, dispatch, event);
    const zm_opencl_fns *cl = &((const zm_opencl_device *)stream->device)->cl;
    zm_opencl_kernel *kernel = (zm_opencl_kernel *)dispatch->kernel;
    size_t global[3], local[3];
    zm_opencl_dispatch_sizes(dispatch, global, local);
    cl_event command = NULL;
    const char *call = "clSetKernelArg";
    zm_mutex_lock(&kernel->mutex);
    cl_int error = zm_opencl_set_arguments(cl, kernel->kernel, dispatch);
    if (error == CL_SUCCESS) {
        call = "clEnqueueNDRangeKernel";
        error = cl->clEnqueueNDRangeKernel(((zm_opencl_stream *)stream)->queue, kernel->kernel, 3,
                                           NULL, global, local, 0, NULL, event ? &command : NULL);
    }
    zm_mutex_unlock(&kernel->mutex);
    if (error != CL_SUCCESS)
        return zm_fail(&stream->device->log, zm_opencl_status(error),
                       "%s: kernel %s: %s failed: %s (%d)", stream->device->info.spec,
                       kernel->base.desc.name, call, zm_opencl_error_name(error), error);
    if (event)
        zm_opencl_event_set(event, stream, command);
    return ZM_OK;
}
