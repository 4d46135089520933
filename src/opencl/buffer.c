/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "common/alloc.h"
#include "opencl/opencl.h"

static const zm_opencl_fns *functions(const zm_stream *stream)
{
    return &((const zm_opencl_device *)stream->device)->cl;
}

static cl_command_queue queue_of(const zm_stream *stream)
{
    return ((const zm_opencl_stream *)stream)->queue;
}

static cl_mem memory_of(const zm_buffer *buffer)
{
    return ((const zm_opencl_buffer *)buffer)->memory;
}

#define HUGE_BYTES (64u << 10) /* from here on they are worth sharing */

/* What a processor computes in may as well be ours, and lie in huge pages. */
static bool is_huge(const zm_opencl_device *device, const zm_buffer_params *params)
{
    const zm_device_info *info = &device->base.info;
    return info->type == ZM_DEVICE_CPU && info->limits.unified_memory &&
           !zm_wrapped_memory(params) && params->size >= HUGE_BYTES;
}

static cl_mem create_in_place(zm_opencl_device *device, cl_mem_flags access, size_t size,
                              void *memory, cl_int *error)
{
    cl_mem_flags flags = access | CL_MEM_USE_HOST_PTR;
    cl_mem created = device->cl.clCreateBuffer(device->context, flags, size, memory, error);
    if (*error == CL_SUCCESS)
        return created;
    zm_logf(&device->base.log, ZM_LOG_INFO, "%s: host memory cannot be used in place (%s)",
            device->base.info.spec, zm_opencl_error_name(*error));
    return NULL;
}

static cl_mem create_huge(zm_opencl_device *device, size_t size, zm_opencl_pages **pages)
{
    cl_int error = CL_SUCCESS;
    void *memory = zm_opencl_pages_take(&device->pages, size, pages);
    cl_mem created =
        memory ? create_in_place(device, CL_MEM_READ_WRITE, size, memory, &error) : NULL;
    if (!created) {
        zm_opencl_pages_return(&device->pages, *pages);
        *pages = NULL;
    }
    return created;
}

/* Host memory is used in place where the device shares it. Elsewhere, and where a driver refuses
 * the memory (pages of a mapped file, for one), it is copied. */
static cl_mem create_memory(zm_opencl_device *device, const zm_buffer_params *params,
                            zm_opencl_pages **pages, cl_int *error)
{
    size_t size = (size_t)params->size;
    cl_mem_flags flags = params->constants ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
    void *wrapped = zm_wrapped_memory(params);
    cl_mem memory = NULL;
    if (is_huge(device, params))
        memory = create_huge(device, size, pages);
    else if (wrapped && device->base.info.limits.unified_memory)
        memory = create_in_place(device, flags, size, wrapped, error);
    if (memory)
        return memory;
    if (wrapped)
        flags |= CL_MEM_COPY_HOST_PTR;
    else if (params->host_visible)
        flags |= CL_MEM_ALLOC_HOST_PTR;
    return device->cl.clCreateBuffer(device->context, flags, size, wrapped, error);
}

zm_status zm_opencl_buffer_create(zm_device *device, const zm_buffer_params *params,
                                  zm_buffer **out)
{
    if (params->size > SIZE_MAX)
        return zm_fail(&device->log, ZM_ERROR_LIMIT, "%s: %llu bytes do not fit this process",
                       device->info.spec, (unsigned long long)params->size);
    zm_opencl_buffer *buffer = zm_calloc(1, sizeof(*buffer));
    if (!buffer)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    buffer->base.device = device;
    buffer->base.size = params->size;
    cl_int error = CL_SUCCESS;
    buffer->memory = create_memory((zm_opencl_device *)device, params, &buffer->pages, &error);
    if (error != CL_SUCCESS) {
        free(buffer);
        return zm_opencl_check(device, error, "clCreateBuffer");
    }
    *out = &buffer->base;
    return ZM_OK;
}

void zm_opencl_buffer_destroy(zm_buffer *buffer)
{
    zm_opencl_device *device = (zm_opencl_device *)buffer->device;
    device->cl.clReleaseMemObject(memory_of(buffer));
    zm_opencl_pages_return(&device->pages, ((zm_opencl_buffer *)buffer)->pages);
    free(buffer);
}

zm_status zm_opencl_buffer_write(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                 const void *src, uint64_t size)
{
    cl_int error =
        functions(stream)->clEnqueueWriteBuffer(queue_of(stream), memory_of(buffer), CL_TRUE,
                                                (size_t)offset, (size_t)size, src, 0, NULL, NULL);
    return zm_opencl_check(stream->device, error, "clEnqueueWriteBuffer");
}

/* The event tells of a failure on the way here that the return value does not: a caller that only
 * reads results need not wait as well. */
zm_status zm_opencl_buffer_read(zm_stream *stream, zm_buffer *buffer, uint64_t offset, void *dst,
                                uint64_t size)
{
    cl_event command = NULL;
    cl_int error = functions(stream)->clEnqueueReadBuffer(queue_of(stream), memory_of(buffer),
                                                          CL_TRUE, (size_t)offset, (size_t)size,
                                                          dst, 0, NULL, &command);
    zm_status status = zm_opencl_check(stream->device, error, "clEnqueueReadBuffer");
    if (status != ZM_OK)
        return status;
    status = zm_opencl_check_command(stream->device, command, "reading a buffer");
    functions(stream)->clReleaseEvent(command);
    return status;
}

zm_status zm_opencl_buffer_copy(zm_stream *stream, zm_buffer *dst, uint64_t dst_offset,
                                zm_buffer *src, uint64_t src_offset, uint64_t size)
{
    cl_int error = functions(stream)->clEnqueueCopyBuffer(
        queue_of(stream), memory_of(src), memory_of(dst), (size_t)src_offset, (size_t)dst_offset,
        (size_t)size, 0, NULL, NULL);
    return zm_opencl_check(stream->device, error, "clEnqueueCopyBuffer");
}

zm_status zm_opencl_buffer_fill(zm_stream *stream, zm_buffer *buffer, uint64_t offset,
                                uint64_t size, uint32_t pattern)
{
    cl_int error = functions(stream)->clEnqueueFillBuffer(queue_of(stream), memory_of(buffer),
                                                          &pattern, sizeof(pattern), (size_t)offset,
                                                          (size_t)size, 0, NULL, NULL);
    return zm_opencl_check(stream->device, error, "clEnqueueFillBuffer");
}

zm_status zm_opencl_buffer_map(zm_stream *stream, zm_buffer *buffer, uint64_t offset, uint64_t size,
                               void **out)
{
    cl_int error = CL_SUCCESS;
    void *pointer = functions(stream)->clEnqueueMapBuffer(
        queue_of(stream), memory_of(buffer), CL_TRUE, CL_MAP_READ | CL_MAP_WRITE, (size_t)offset,
        (size_t)size, 0, NULL, NULL, &error);
    zm_status status = zm_opencl_check(stream->device, error, "clEnqueueMapBuffer");
    if (status == ZM_OK)
        *out = pointer;
    return status;
}

zm_status zm_opencl_buffer_unmap(zm_stream *stream, zm_buffer *buffer, void *pointer)
{
    cl_int error = functions(stream)->clEnqueueUnmapMemObject(queue_of(stream), memory_of(buffer),
                                                              pointer, 0, NULL, NULL);
    return zm_opencl_check(stream->device, error, "clEnqueueUnmapMemObject");
}
