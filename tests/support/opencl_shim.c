/* SPDX-License-Identifier: Apache-2.0 */
#include "support/opencl_shim.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "shaders/shaders.h"

#define DEVICE_IL_VERSION 0x105b

opencl_shim shim;

static zm_opencl_fns real;
static zm_opencl_fns table;
static char broken[2];

static bool fails(const char *name)
{
    shim.calls++;
    return shim.calls == shim.fail_at || (shim.fail_name && strcmp(shim.fail_name, name) == 0);
}

static cl_int failure(void)
{
    return shim.error ? shim.error : CL_OUT_OF_RESOURCES;
}

static cl_int count_event(cl_int error, cl_event *event)
{
    if (error == CL_SUCCESS && event)
        shim.created++;
    return error;
}

/* A function that returns its error. */
#define CALL(name, params, args)     \
    static cl_int shim_##name params \
    {                                \
        if (fails(#name))            \
            return failure();        \
        return real.name args;       \
    }
/* One that may also make an event. */
#define ENQUEUE(name, params, args)                \
    static cl_int shim_##name params               \
    {                                              \
        if (fails(#name))                          \
            return failure();                      \
        return count_event(real.name args, event); \
    }
/* One that makes an object. */
#define CREATE(type, name, params, args)      \
    static type shim_##name params            \
    {                                         \
        if (fails(#name)) {                   \
            *error = failure();               \
            return NULL;                      \
        }                                     \
        type object = real.name args;         \
        shim.created += *error == CL_SUCCESS; \
        return object;                        \
    }
#define RELEASE(name, type)                \
    static cl_int shim_##name(type object) \
    {                                      \
        shim.released++;                   \
        return real.name(object);          \
    }

CALL(clGetPlatformInfo, (cl_platform_id p, cl_platform_info i, size_t s, void *v, size_t *r),
     (p, i, s, v, r))
CREATE(cl_context, clCreateContext,
       (const cl_context_properties *p, cl_uint n, const cl_device_id *d,
        void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *u, cl_int *error),
       (p, n, d, f, u, error))
RELEASE(clReleaseContext, cl_context)
CREATE(cl_command_queue, clCreateCommandQueue,
       (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error),
       (c, d, p, error))
RELEASE(clReleaseCommandQueue, cl_command_queue)
RELEASE(clReleaseMemObject, cl_mem)
CREATE(cl_program, clCreateProgramWithSource,
       (cl_context c, cl_uint n, const char **s, const size_t *l, cl_int *error),
       (c, n, s, l, error))
CREATE(cl_program, clCreateProgramWithBinary,
       (cl_context c, cl_uint n, const cl_device_id *d, const size_t *l, const unsigned char **b,
        cl_int *s, cl_int *error),
       (c, n, d, l, b, s, error))
CALL(clBuildProgram,
     (cl_program p, cl_uint n, const cl_device_id *d, const char *o,
      void(CL_CALLBACK *f)(cl_program, void *), void *u),
     (p, n, d, o, f, u))
CALL(clCompileProgram,
     (cl_program p, cl_uint n, const cl_device_id *d, const char *o, cl_uint h,
      const cl_program *headers, const char **names, void(CL_CALLBACK *f)(cl_program, void *),
      void *u),
     (p, n, d, o, h, headers, names, f, u))
CREATE(cl_program, clLinkProgram,
       (cl_context c, cl_uint n, const cl_device_id *d, const char *o, cl_uint m,
        const cl_program *programs, void(CL_CALLBACK *f)(cl_program, void *), void *u,
        cl_int *error),
       (c, n, d, o, m, programs, f, u, error))
CALL(clGetProgramInfo, (cl_program p, cl_program_info i, size_t s, void *v, size_t *r),
     (p, i, s, v, r))
CALL(clGetProgramBuildInfo,
     (cl_program p, cl_device_id d, cl_program_build_info i, size_t s, void *v, size_t *r),
     (p, d, i, s, v, r))
RELEASE(clReleaseProgram, cl_program)
CREATE(cl_kernel, clCreateKernel, (cl_program p, const char *n, cl_int *error), (p, n, error))
RELEASE(clReleaseKernel, cl_kernel)
CALL(clSetKernelArg, (cl_kernel k, cl_uint i, size_t s, const void *v), (k, i, s, v))
CALL(clWaitForEvents, (cl_uint n, const cl_event *e), (n, e))
CALL(clGetEventProfilingInfo, (cl_event e, cl_profiling_info i, size_t s, void *v, size_t *r),
     (e, i, s, v, r))
RELEASE(clReleaseEvent, cl_event)
CALL(clFlush, (cl_command_queue q), (q))
CALL(clFinish, (cl_command_queue q), (q))
ENQUEUE(clEnqueueReadBuffer,
        (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t s, void *p, cl_uint n,
         const cl_event *w, cl_event *event),
        (q, m, b, o, s, p, n, w, event))
ENQUEUE(clEnqueueWriteBuffer,
        (cl_command_queue q, cl_mem m, cl_bool b, size_t o, size_t s, const void *p, cl_uint n,
         const cl_event *w, cl_event *event),
        (q, m, b, o, s, p, n, w, event))
ENQUEUE(clEnqueueCopyBuffer,
        (cl_command_queue q, cl_mem a, cl_mem b, size_t x, size_t y, size_t s, cl_uint n,
         const cl_event *w, cl_event *event),
        (q, a, b, x, y, s, n, w, event))
ENQUEUE(clEnqueueFillBuffer,
        (cl_command_queue q, cl_mem m, const void *p, size_t ps, size_t o, size_t s, cl_uint n,
         const cl_event *w, cl_event *event),
        (q, m, p, ps, o, s, n, w, event))
ENQUEUE(clEnqueueUnmapMemObject,
        (cl_command_queue q, cl_mem m, void *p, cl_uint n, const cl_event *w, cl_event *event),
        (q, m, p, n, w, event))
ENQUEUE(clEnqueueMarkerWithWaitList,
        (cl_command_queue q, cl_uint n, const cl_event *w, cl_event *event), (q, n, w, event))
ENQUEUE(clEnqueueNDRangeKernel,
        (cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g,
         const size_t *l, cl_uint n, const cl_event *w, cl_event *event),
        (q, k, d, o, g, l, n, w, event))

static cl_int shim_clGetPlatformIDs(cl_uint n, cl_platform_id *ids, cl_uint *count)
{
    if (fails("clGetPlatformIDs"))
        return failure();
    if (!shim.broken_platforms)
        return real.clGetPlatformIDs(n, ids, count);
    for (int i = 0; i < 2; i++)
        ids[i] = (cl_platform_id)&broken[i];
    cl_int error = real.clGetPlatformIDs(n - 2, ids + 2, count);
    *count += 2;
    return error;
}

static cl_int shim_clGetDeviceIDs(cl_platform_id p, cl_device_type t, cl_uint n, cl_device_id *ids,
                                  cl_uint *count)
{
    if (fails("clGetDeviceIDs"))
        return failure();
    if (p == (cl_platform_id)&broken[0])
        return CL_DEVICE_NOT_FOUND;
    if (p == (cl_platform_id)&broken[1])
        return CL_INVALID_PLATFORM;
    return real.clGetDeviceIDs(p, t, n, ids, count);
}

static cl_int shim_clGetPlatformInfo_safe(cl_platform_id p, cl_platform_info i, size_t s, void *v,
                                          size_t *r)
{
    bool is_broken = p == (cl_platform_id)&broken[0] || p == (cl_platform_id)&broken[1];
    return is_broken ? CL_INVALID_PLATFORM : shim_clGetPlatformInfo(p, i, s, v, r);
}

/* The module's source with its options as defines stands in for the module, of which PoCL knows
 * nothing. */
static cl_program make_from_source(cl_context context, const zm_shader_module *module,
                                   cl_int *error)
{
    char defines[1024] = "", path[64], copy[512];
    snprintf(path, sizeof(path), "gpu/%s.cl", module->name);
    snprintf(copy, sizeof(copy), "%s", module->options);
    for (char *rest = copy, *word; (word = strsep(&rest, " ")) != NULL;) {
        size_t used = strlen(defines);
        word[strcspn(word, "=")] = ' ';
        snprintf(defines + used, sizeof(defines) - used, "#define %s\n", word + strlen("-D"));
    }
    for (size_t i = 0; i < zm_shader_count; i++) {
        const char *texts[] = {defines, (const char *)zm_shaders[i].source};
        const size_t sizes[] = {strlen(defines), zm_shaders[i].size};
        if (strcmp(zm_shaders[i].path, path) == 0)
            return shim_clCreateProgramWithSource(context, 2, texts, sizes, error);
    }
    *error = CL_INVALID_VALUE;
    return NULL;
}

static cl_program CL_API_CALL shim_create_il(cl_context context, const void *words, size_t size,
                                             cl_int *error)
{
    shim.modules++;
    for (size_t i = 0; shim.spirv >= 0 && i < zm_shader_module_count; i++)
        if (zm_shader_modules[i].words == words && zm_shader_modules[i].size == size)
            return make_from_source(context, &zm_shader_modules[i], error);
    *error = CL_INVALID_VALUE;
    return NULL;
}

static void *shim_clGetExtensionFunctionAddressForPlatform(cl_platform_id p, const char *name)
{
    zm_opencl_create_il_fn create_il = shim_create_il;
    void *address = NULL;
    if (!shim.spirv || strcmp(name, "clCreateProgramWithILKHR") != 0)
        return real.clGetExtensionFunctionAddressForPlatform(p, name);
    memcpy(&address, &create_il, sizeof(address));
    return address;
}

static cl_int shim_clGetDeviceInfo(cl_device_id d, cl_device_info i, size_t s, void *v, size_t *r)
{
    const char *extensions = shim.spirv ? "cl_khr_il_program" : shim.extensions;
    if (fails("clGetDeviceInfo"))
        return failure();
    if (i == CL_DEVICE_EXTENSIONS && extensions) {
        if (v)
            snprintf(v, s, "%s", extensions);
        if (r)
            *r = strlen(extensions) + 1;
        return CL_SUCCESS;
    }
    cl_int error = real.clGetDeviceInfo(d, i, s, v, r);
    cl_bool unified = shim.unified_memory > 0;
    if (i == CL_DEVICE_MEM_BASE_ADDR_ALIGN && shim.align_bits)
        memcpy(v, &shim.align_bits, sizeof(shim.align_bits));
    if (i == CL_DEVICE_MAX_MEM_ALLOC_SIZE && shim.max_alloc)
        memcpy(v, &shim.max_alloc, sizeof(shim.max_alloc));
    if (i == CL_DEVICE_HOST_UNIFIED_MEMORY && shim.unified_memory)
        memcpy(v, &unified, sizeof(unified));
    if (i == CL_DEVICE_VERSION && shim.device_version)
        snprintf(v, s, "%s", shim.device_version);
    if (i == DEVICE_IL_VERSION && shim.il_version) {
        snprintf(v, s, "%s", shim.il_version);
        return CL_SUCCESS;
    }
    return error;
}

static cl_mem shim_clCreateBuffer(cl_context c, cl_mem_flags f, size_t s, void *p, cl_int *error)
{
    bool refused = shim.refuse_host_pointers && (f & CL_MEM_USE_HOST_PTR);
    if (fails("clCreateBuffer") || refused) {
        *error = failure();
        return NULL;
    }
    cl_mem memory = real.clCreateBuffer(c, f, s, p, error);
    shim.created += *error == CL_SUCCESS;
    return memory;
}

static void *shim_clEnqueueMapBuffer(cl_command_queue q, cl_mem m, cl_bool b, cl_map_flags f,
                                     size_t o, size_t s, cl_uint n, const cl_event *w, cl_event *e,
                                     cl_int *error)
{
    if (fails("clEnqueueMapBuffer")) {
        *error = failure();
        return NULL;
    }
    return real.clEnqueueMapBuffer(q, m, b, f, o, s, n, w, e, error);
}

static cl_int shim_clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id d,
                                            cl_kernel_work_group_info i, size_t s, void *v,
                                            size_t *r)
{
    if (fails("clGetKernelWorkGroupInfo"))
        return failure();
    cl_int error = real.clGetKernelWorkGroupInfo(k, d, i, s, v, r);
    if (i == CL_KERNEL_WORK_GROUP_SIZE && shim.max_kernel_group)
        memcpy(v, &shim.max_kernel_group, sizeof(shim.max_kernel_group));
    return error;
}

static cl_int shim_clGetEventInfo(cl_event e, cl_event_info i, size_t s, void *v, size_t *r)
{
    if (fails("clGetEventInfo"))
        return failure();
    cl_int error = real.clGetEventInfo(e, i, s, v, r);
    if (i == CL_EVENT_COMMAND_EXECUTION_STATUS && shim.command_state)
        memcpy(v, &shim.command_state, sizeof(shim.command_state));
    return error;
}

bool shim_install(void)
{
    zm_opencl_shim = NULL;
    memset(&shim, 0, sizeof(shim));
    if (!zm_opencl_load(NULL, &real))
        return false;
#define ENTRY(name) .name = shim_##name,
    table = (zm_opencl_fns){ZM_OPENCL_FUNCTIONS(ENTRY)};
#undef ENTRY
    table.clGetPlatformInfo = shim_clGetPlatformInfo_safe;
    table.clCreateProgramWithIL = shim_create_il;
    zm_opencl_shim = &table;
    return true;
}

void shim_remove(void)
{
    zm_opencl_shim = NULL;
}
