/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "opencl/opencl.h"

#define MAX_OPTIONS 512

static char *build_log(const zm_opencl_device *device, cl_program program)
{
    size_t size = 0;
    if (device->cl.clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, 0, NULL,
                                         &size) != CL_SUCCESS)
        return NULL;
    char *log = zm_calloc(size + 1, 1);
    if (log && device->cl.clGetProgramBuildInfo(program, device->id, CL_PROGRAM_BUILD_LOG, size,
                                                log, NULL) != CL_SUCCESS)
        log[0] = '\0';
    return log;
}

/* The first line that speaks of an error, else the first line. Cuts the log after it. */
static const char *first_error(char *log)
{
    char *error = strstr(log, "error");
    char *line = error ? error : log;
    while (line > log && line[-1] != '\n')
        line--;
    line[strcspn(line, "\n")] = '\0';
    return *line ? line : "the compiler gave no reason";
}

static void log_build(const zm_opencl_device *device, const zm_kernel_desc *desc,
                      cl_program program)
{
    char *log = build_log(device, program);
    if (log && log[strspn(log, " \n\t")])
        zm_logf(&device->base.log, ZM_LOG_DEBUG, "kernel %s [%s]: %s", desc->name, desc->options,
                log);
    free(log);
}

static zm_status fail_build(const zm_opencl_device *device, const zm_kernel_desc *desc,
                            cl_program program, cl_int error)
{
    char *log = build_log(device, program);
    zm_fail(&device->base.log, ZM_ERROR_DEVICE, "kernel %s [%s] does not build on %s (%s): %s",
            desc->name, desc->options, device->base.info.spec, zm_opencl_error_name(error),
            log ? first_error(log) : "no build log");
    free(log);
    return ZM_ERROR_DEVICE;
}

static zm_status build_from_source(zm_opencl_device *device, const zm_kernel_desc *desc,
                                   const char *source, size_t size, const char *options,
                                   cl_program *out)
{
    cl_int error = CL_SUCCESS;
    uint64_t start = zm_clock_ns();
    cl_program program =
        device->cl.clCreateProgramWithSource(device->context, 1, &source, &size, &error);
    if (error != CL_SUCCESS)
        return zm_opencl_check(&device->base, error, "clCreateProgramWithSource");
    error = device->cl.clBuildProgram(program, 1, &device->id, options, NULL, NULL);
    log_build(device, desc, program);
    if (error != CL_SUCCESS) {
        zm_status status = fail_build(device, desc, program, error);
        device->cl.clReleaseProgram(program);
        return status;
    }
    atomic_fetch_add(&device->base.built_kernels, 1);
    zm_logf(&device->base.log, ZM_LOG_DEBUG, "kernel %s [%s]: built in %.0f ms", desc->name,
            desc->options, zm_clock_since(start) * 1e3);
    *out = program;
    return ZM_OK;
}

static zm_status create_program(zm_opencl_device *device, const zm_kernel_desc *desc,
                                cl_program *out)
{
    char options[MAX_OPTIONS];
    int length = snprintf(options, sizeof(options), "-cl-std=CL1.2 %s", desc->options);
    if (length < 0 || length >= MAX_OPTIONS)
        return zm_fail(&device->base.log, ZM_ERROR_LIMIT,
                       "kernel %s: over %d characters of options", desc->name, MAX_OPTIONS);
    char *source = NULL;
    size_t size = 0;
    zm_status status = zm_opencl_source(&device->base, desc, &source, &size);
    if (status == ZM_OK)
        status = build_from_source(device, desc, source, size, options, out);
    free(source);
    return status;
}

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

zm_status zm_opencl_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    zm_opencl_device *opencl = (zm_opencl_device *)device;
    zm_opencl_kernel *kernel = zm_calloc(1, sizeof(*kernel));
    if (!kernel)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory",
                       desc->name);
    zm_mutex_init(&kernel->mutex);
    zm_status status = create_program(opencl, desc, &kernel->program);
    if (status != ZM_OK)
        goto fail;
    cl_int error = CL_SUCCESS;
    kernel->kernel = opencl->cl.clCreateKernel(kernel->program, desc->name, &error);
    if (error != CL_SUCCESS) {
        kernel->kernel = NULL;
        status = zm_opencl_check(device, error, "clCreateKernel");
        goto fail;
    }
    status = check_work_group(opencl, desc, kernel->kernel);
    if (status != ZM_OK)
        goto fail;
    *out = &kernel->base;
    return ZM_OK;
fail:
    zm_opencl_kernel_destroy(device, &kernel->base);
    return status;
}

void zm_opencl_kernel_destroy(zm_device *device, zm_kernel *kernel)
{
    zm_opencl_kernel *opencl = (zm_opencl_kernel *)kernel;
    const zm_opencl_fns *cl = &((zm_opencl_device *)device)->cl;
    if (opencl->kernel)
        cl->clReleaseKernel(opencl->kernel);
    if (opencl->program)
        cl->clReleaseProgram(opencl->program);
    zm_mutex_finish(&opencl->mutex);
    free(opencl);
}

/* Buffers in the order of the desc, then the argument struct by value. */
static cl_int set_arguments(const zm_opencl_fns *cl, cl_kernel kernel, const zm_dispatch *dispatch)
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

zm_status zm_opencl_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    const zm_opencl_fns *cl = &((const zm_opencl_device *)stream->device)->cl;
    zm_opencl_kernel *kernel = (zm_opencl_kernel *)dispatch->kernel;
    size_t global[3], local[3];
    for (int i = 0; i < 3; i++) {
        local[i] = kernel->base.desc.local[i];
        global[i] = (size_t)dispatch->groups[i] * local[i];
    }
    cl_event command = NULL;
    const char *call = "clSetKernelArg";
    zm_mutex_lock(&kernel->mutex);
    cl_int error = set_arguments(cl, kernel->kernel, dispatch);
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
