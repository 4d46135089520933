/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl/clblast.h"

#include <clblast_c.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "device/sgemm.h"

#define LIBRARY "libclblast.so.1"

typedef struct clblast_kernel {
    zm_kernel base;
    ZM_TYPEOF(CLBlastSgemm) * sgemm;
    ZM_TYPEOF(CLBlastSgemmStridedBatched) * batched;
} clblast_kernel;

static zm_status find_routines(const zm_device *device, clblast_kernel *kernel)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void *sgemm = library ? dlsym(library, "CLBlastSgemm") : NULL;
    void *batched = sgemm ? dlsym(library, "CLBlastSgemmStridedBatched") : NULL;
    if (!batched) {
        const char *reason = dlerror();
        return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED, "CLBlast is not there: %s",
                       reason ? reason : LIBRARY);
    }
    memcpy(&kernel->sgemm, &sgemm, sizeof(sgemm));
    memcpy(&kernel->batched, &batched, sizeof(batched));
    return ZM_OK;
}

zm_status zm_clblast_kernel_create(zm_device *device, const zm_kernel_desc *desc, zm_kernel **out)
{
    if (strcmp(desc->name, ZM_SGEMM) != 0 || desc->args_size != sizeof(zm_sgemm_args) ||
        desc->buffer_count != 3)
        return zm_fail(&device->log, ZM_ERROR_NOT_FOUND, "no library has a kernel %s", desc->name);
    clblast_kernel *kernel = zm_calloc(1, sizeof(*kernel));
    if (!kernel)
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory",
                       desc->name);
    zm_status status = find_routines(device, kernel);
    if (status != ZM_OK) {
        free(kernel);
        return status;
    }
    *out = &kernel->base;
    return ZM_OK;
}

void zm_clblast_kernel_destroy(zm_kernel *kernel)
{
    free(kernel);
}

static cl_mem memory_of(const zm_dispatch *dispatch, int i)
{
    return ((const zm_opencl_buffer *)dispatch->buffers[i])->memory;
}

/* Both take matrices by rows, x as it is and weight turned. */
static CLBlastStatusCode call(const clblast_kernel *kernel, const zm_dispatch *dispatch,
                              cl_command_queue *queue, cl_event *command)
{
    zm_sgemm_args a;
    memcpy(&a, dispatch->args.bytes, sizeof(a));
    cl_mem x = memory_of(dispatch, 0), weight = memory_of(dispatch, 1),
           dst = memory_of(dispatch, 2);
    if (a.batch == 1)
        return kernel->sgemm(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, a.m,
                             a.n, a.k, 1.0f, x, a.x_offset, a.x_stride, weight, a.weight_offset,
                             a.weight_stride, 0.0f, dst, a.dst_offset, a.dst_stride, queue,
                             command);
    return kernel->batched(CLBlastLayoutRowMajor, CLBlastTransposeNo, CLBlastTransposeYes, a.m, a.n,
                           a.k, 1.0f, x, a.x_offset, a.x_stride, a.x_batch, weight, a.weight_offset,
                           a.weight_stride, a.weight_batch, 0.0f, dst, a.dst_offset, a.dst_stride,
                           a.dst_batch, a.batch, queue, command);
}

zm_status zm_clblast_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    cl_event command = NULL;
    CLBlastStatusCode code = call((const clblast_kernel *)dispatch->kernel, dispatch,
                                  &((zm_opencl_stream *)stream)->queue, event ? &command : NULL);
    if (code != CLBlastSuccess)
        return zm_fail(&stream->device->log, ZM_ERROR_DEVICE, "%s: CLBlast failed: %s (%d)",
                       stream->device->info.spec, zm_opencl_error_name(code), (int)code);
    if (event)
        zm_opencl_event_set(event, stream, command);
    return ZM_OK;
}
