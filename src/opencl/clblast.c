/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl/clblast.h"

#include <clblast_c.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "device/sgemm.h"

#define LIBRARY "libclblast.so.1"

#define ROUTINES(X)               \
    X(CLBlastSgemm)               \
    X(CLBlastSgemmStridedBatched) \
    X(CLBlastClearCache)

typedef struct clblast_kernel {
    zm_kernel base;
#define ROUTINE_POINTER(name) ZM_TYPEOF(name) * name;
    ROUTINES(ROUTINE_POINTER)
#undef ROUTINE_POINTER
} clblast_kernel;

/* ---- the library ---- */

static zm_status find_routines(const zm_device *device, clblast_kernel *kernel)
{
    static const zm_library_function routines[] = {
#define ROUTINE(name) {#name, offsetof(clblast_kernel, name)},
        ROUTINES(ROUTINE)
#undef ROUTINE
    };
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    size_t count = sizeof(routines) / sizeof(routines[0]);
    if (library && !zm_library_find(library, NULL, routines, count, kernel))
        return ZM_OK;
    const char *reason = dlerror();
    return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED, "CLBlast is not there: %s",
                   reason ? reason : LIBRARY);
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

/* The programs that CLBlast keeps hold on to the context of a device. There is no way to let go of
 * those of one device only; the others build theirs again. */
void zm_clblast_kernel_destroy(zm_kernel *kernel)
{
    ((clblast_kernel *)kernel)->CLBlastClearCache();
    free(kernel);
}

/* ---- errors ---- */

/* Those that OpenCL has not, as far as they can come from a product. */
#define OWN_ERRORS(X)              \
    X(CLBlastNotImplemented)       \
    X(CLBlastInvalidMatrixA)       \
    X(CLBlastInvalidMatrixB)       \
    X(CLBlastInvalidMatrixC)       \
    X(CLBlastInvalidDimension)     \
    X(CLBlastInvalidLeadDimA)      \
    X(CLBlastInvalidLeadDimB)      \
    X(CLBlastInvalidLeadDimC)      \
    X(CLBlastInsufficientMemoryA)  \
    X(CLBlastInsufficientMemoryB)  \
    X(CLBlastInsufficientMemoryC)  \
    X(CLBlastInvalidBatchCount)    \
    X(CLBlastInvalidLocalMemUsage) \
    X(CLBlastDatabaseError)        \
    X(CLBlastUnknownError)         \
    X(CLBlastUnexpectedError)

static const char *error_name(CLBlastStatusCode code)
{
    switch ((int)code) {
#define ERROR_NAME(name) \
    case name: return #name;
        OWN_ERRORS(ERROR_NAME)
#undef ERROR_NAME
    default: return zm_opencl_error_name((cl_int)code);
    }
}

static zm_status fail(const zm_device *device, CLBlastStatusCode code)
{
    zm_status status =
        code == CLBlastInvalidLocalMemUsage ? ZM_ERROR_LIMIT : zm_opencl_status((cl_int)code);
    return zm_fail(&device->log, status, "%s: CLBlast failed: %s (%d)", device->info.spec,
                   error_name(code), (int)code);
}

/* ---- products ---- */

/* One dispatch as CLBlast wants to hear it. */
typedef struct product {
    const clblast_kernel *kernel;
    zm_sgemm_args args;
    cl_mem x, weight, dst;
    cl_command_queue queue;
} product;

static product product_get(const zm_stream *stream, const zm_dispatch *dispatch)
{
    cl_mem memory[3];
    for (size_t i = 0; i < 3; i++)
        memory[i] = ((const zm_opencl_buffer *)dispatch->buffers[i])->memory;
    product p = {
        .kernel = (const clblast_kernel *)dispatch->kernel,
        .x = memory[0],
        .weight = memory[1],
        .dst = memory[2],
        .queue = ((const zm_opencl_stream *)stream)->queue,
    };
    memcpy(&p.args, dispatch->args.bytes, sizeof(p.args));
    return p;
}

/* What are rows here are columns there: dst^T = weight x^T. The other way round CLBlast would turn
 * dst, too, in memory of its own. */
static CLBlastStatusCode multiply_one(product *p, size_t i, cl_event *command)
{
    const zm_sgemm_matrix *x = &p->args.x, *weight = &p->args.weight, *dst = &p->args.dst;
    return p->kernel->CLBlastSgemm(CLBlastLayoutColMajor, CLBlastTransposeYes, CLBlastTransposeNo,
                                   dst->cols, dst->rows, x->cols, 1.0f, p->weight,
                                   weight->offset + i * weight->step, weight->stride, p->x,
                                   x->offset + i * x->step, x->stride, 0.0f, p->dst,
                                   dst->offset + i * dst->step, dst->stride, &p->queue, command);
}

static CLBlastStatusCode multiply_batch(product *p, cl_event *command)
{
    const zm_sgemm_matrix *x = &p->args.x, *weight = &p->args.weight, *dst = &p->args.dst;
    return p->kernel->CLBlastSgemmStridedBatched(
        CLBlastLayoutColMajor, CLBlastTransposeYes, CLBlastTransposeNo, dst->cols, dst->rows,
        x->cols, 1.0f, p->weight, 0, weight->stride, weight->step, p->x, 0, x->stride, x->step,
        0.0f, p->dst, 0, dst->stride, dst->step, p->args.batch, &p->queue, command);
}

static bool is_packed(const zm_sgemm_matrix *m)
{
    return m->offset == 0 && m->stride == m->cols && m->step == (uint64_t)m->rows * m->cols;
}

/* Where CLBlast makes no copy of the matrices of a batch, it forgets their offset and the gaps
 * between them: wrong numbers without an error (1.5.3). */
static bool is_safe_batch(const zm_sgemm_args *a)
{
    return is_packed(&a->x) && is_packed(&a->weight) && is_packed(&a->dst);
}

/* command, if not NULL: the last one of what is enqueued. */
static CLBlastStatusCode multiply(product *p, cl_event *command)
{
    const zm_sgemm_args *a = &p->args;
    CLBlastStatusCode code = CLBlastSuccess;
    if (a->batch > 1 && is_safe_batch(a))
        return multiply_batch(p, command);
    for (size_t i = 0; i < a->batch && code == CLBlastSuccess; i++)
        code = multiply_one(p, i, i + 1 == a->batch ? command : NULL);
    return code;
}

/* CLBlast says which command was its last one; the first one comes after a marker. */
zm_status zm_clblast_dispatch(zm_stream *stream, const zm_dispatch *dispatch, zm_event *event)
{
    const zm_device *device = stream->device;
    const zm_opencl_fns *cl = &((const zm_opencl_device *)device)->cl;
    product p = product_get(stream, dispatch);
    cl_event before = NULL, last = NULL;
    if (event) {
        cl_int error = cl->clEnqueueMarkerWithWaitList(p.queue, 0, NULL, &before);
        if (error != CL_SUCCESS)
            return zm_opencl_check(device, error, "clEnqueueMarkerWithWaitList");
    }
    CLBlastStatusCode code = multiply(&p, event ? &last : NULL);
    if (code == CLBlastSuccess && event)
        zm_opencl_event_set_span(event, stream, before, last);
    else if (before)
        cl->clReleaseEvent(before);
    return code == CLBlastSuccess ? ZM_OK : fail(device, code);
}
