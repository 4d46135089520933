/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fake_gpu.h"

#include <stdio.h>
#include <string.h>

/* Of OpenCL 2.1 and 3.0. */
#define DEVICE_IL_VERSION 0x105b
#define DEVICE_OPENCL_C_FEATURES 0x106f

fake_gpu fake;

static zm_opencl_fns real, table;
static char thing; /* every buffer, program and kernel */

static cl_int answer(const void *value, size_t length, size_t size, void *out, size_t *out_length)
{
    if (out && size < length)
        return CL_INVALID_VALUE;
    if (out)
        memcpy(out, value, length);
    if (out_length)
        *out_length = length;
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t size, void *out, size_t *length)
{
    return answer(text, strlen(text) + 1, size, out, length);
}

static cl_int answer_feature(size_t size, void *out, size_t *length)
{
    struct {
        cl_uint version;
        char name[64];
    } feature = {.version = 3u << 22};
    snprintf(feature.name, sizeof(feature.name), "%s", fake.feature);
    return answer(&feature, *fake.feature ? sizeof(feature) : 0, size, out, length);
}

static cl_int fake_clGetDeviceInfo(cl_device_id d, cl_device_info i, size_t s, void *v, size_t *r)
{
    const cl_device_type type = CL_DEVICE_TYPE_GPU;
    const cl_device_local_mem_type local = fake.own_local_memory ? CL_LOCAL : CL_GLOBAL;
    const size_t items[3] = {fake.items, fake.items, fake.items};
    switch (i) {
    case CL_DEVICE_TYPE: return answer(&type, sizeof(type), s, v, r);
    case CL_DEVICE_VERSION: return answer_text(fake.version, s, v, r);
    case CL_DEVICE_OPENCL_C_VERSION: return answer_text(fake.language, s, v, r);
    case CL_DEVICE_EXTENSIONS: return answer_text(fake.extensions, s, v, r);
    case DEVICE_IL_VERSION: return answer_text(fake.il_version, s, v, r);
    case DEVICE_OPENCL_C_FEATURES: return answer_feature(s, v, r);
    case CL_DEVICE_MAX_COMPUTE_UNITS: return answer(&fake.units, sizeof(fake.units), s, v, r);
    case CL_DEVICE_LOCAL_MEM_TYPE: return answer(&local, sizeof(local), s, v, r);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return answer(&fake.local_bytes, sizeof(fake.local_bytes), s, v, r);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE: return answer(items, sizeof(items[0]), s, v, r);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES: return answer(items, sizeof(items), s, v, r);
    default: return real.clGetDeviceInfo(d, i, s, v, r);
    }
}

static cl_mem fake_clCreateBuffer(cl_context c, cl_mem_flags f, size_t s, void *p, cl_int *error)
{
    (void)c, (void)f, (void)s, (void)p;
    *error = CL_SUCCESS;
    return (cl_mem)&thing;
}

static cl_program fake_clCreateProgramWithSource(cl_context c, cl_uint n, const char **s,
                                                 const size_t *l, cl_int *error)
{
    (void)c, (void)n, (void)s, (void)l;
    *error = CL_SUCCESS;
    return (cl_program)&thing;
}

static cl_int fake_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *o,
                                  void(CL_CALLBACK *f)(cl_program, void *), void *u)
{
    (void)p, (void)n, (void)d, (void)f, (void)u;
    snprintf(fake.options, sizeof(fake.options), "%s", o);
    return CL_SUCCESS;
}

static cl_int fake_clGetProgramBuildInfo(cl_program p, cl_device_id d, cl_program_build_info i,
                                         size_t s, void *v, size_t *r)
{
    (void)p, (void)d, (void)i;
    return answer_text("", s, v, r);
}

static cl_kernel fake_clCreateKernel(cl_program p, const char *name, cl_int *error)
{
    (void)p;
    *error = CL_OUT_OF_HOST_MEMORY;
    if (fake.program_count == FAKE_GPU_PROGRAMS)
        return NULL;
    int length =
        snprintf(fake.programs[fake.program_count++], FAKE_GPU_TEXT, "%s %s", name, fake.options);
    if (length < 0 || length >= FAKE_GPU_TEXT)
        return NULL;
    *error = CL_SUCCESS;
    return (cl_kernel)&thing;
}

static cl_int fake_clGetKernelWorkGroupInfo(cl_kernel k, cl_device_id d,
                                            cl_kernel_work_group_info i, size_t s, void *v,
                                            size_t *r)
{
    (void)k, (void)d, (void)i;
    return answer(&fake.items, sizeof(fake.items), s, v, r);
}

static cl_int fake_clSetKernelArg(cl_kernel k, cl_uint i, size_t s, const void *v)
{
    (void)k, (void)i, (void)s, (void)v;
    return CL_SUCCESS;
}

static cl_int fake_clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint n,
                                          const size_t *o, const size_t *g, const size_t *l,
                                          cl_uint w, const cl_event *list, cl_event *event)
{
    (void)q, (void)k, (void)n, (void)o, (void)g, (void)l, (void)w, (void)list, (void)event;
    return CL_SUCCESS;
}

#define RELEASE(name, type)                \
    static cl_int fake_##name(type object) \
    {                                      \
        (void)object;                      \
        return CL_SUCCESS;                 \
    }
RELEASE(clReleaseMemObject, cl_mem)
RELEASE(clReleaseProgram, cl_program)
RELEASE(clReleaseKernel, cl_kernel)

bool fake_gpu_install(void)
{
    zm_opencl_shim = NULL;
    memset(&fake, 0, sizeof(fake));
    if (!zm_opencl_load(NULL, &real))
        return false;
    table = real;
#define FAKE(name) table.name = fake_##name
    FAKE(clGetDeviceInfo);
    FAKE(clCreateBuffer);
    FAKE(clCreateProgramWithSource);
    FAKE(clBuildProgram);
    FAKE(clGetProgramBuildInfo);
    FAKE(clCreateKernel);
    FAKE(clGetKernelWorkGroupInfo);
    FAKE(clSetKernelArg);
    FAKE(clEnqueueNDRangeKernel);
    FAKE(clReleaseMemObject);
    FAKE(clReleaseProgram);
    FAKE(clReleaseKernel);
#undef FAKE
    zm_opencl_shim = &table;
    return true;
}

void fake_gpu_remove(void)
{
    zm_opencl_shim = NULL;
}
