/* SPDX-License-Identifier: Apache-2.0 */
/* OpenCL is found at run time: no link-time dependency, and a program starts without it. */
#ifndef ZM_SRC_OPENCL_LOADER_H
#define ZM_SRC_OPENCL_LOADER_H

#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <zeromean/log.h>

#include "common/compiler.h"

/* clCreateProgramWithIL of OpenCL 2.1, clCreateProgramWithILKHR of cl_khr_il_program. */
typedef cl_program(CL_API_CALL *zm_opencl_create_il_fn)(cl_context context, const void *words,
                                                        size_t size, cl_int *error);

/* Every function that the backend cannot do without; all are part of OpenCL 1.2. */
#define ZM_OPENCL_FUNCTIONS(X)                  \
    X(clGetPlatformIDs)                         \
    X(clGetPlatformInfo)                        \
    X(clGetDeviceIDs)                           \
    X(clGetDeviceInfo)                          \
    X(clCreateContext)                          \
    X(clReleaseContext)                         \
    X(clCreateCommandQueue)                     \
    X(clReleaseCommandQueue)                    \
    X(clCreateBuffer)                           \
    X(clReleaseMemObject)                       \
    X(clCreateProgramWithSource)                \
    X(clCreateProgramWithBinary)                \
    X(clBuildProgram)                           \
    X(clCompileProgram)                         \
    X(clLinkProgram)                            \
    X(clGetProgramInfo)                         \
    X(clGetProgramBuildInfo)                    \
    X(clReleaseProgram)                         \
    X(clCreateKernel)                           \
    X(clReleaseKernel)                          \
    X(clSetKernelArg)                           \
    X(clGetKernelWorkGroupInfo)                 \
    X(clGetExtensionFunctionAddressForPlatform) \
    X(clWaitForEvents)                          \
    X(clGetEventInfo)                           \
    X(clGetEventProfilingInfo)                  \
    X(clReleaseEvent)                           \
    X(clFlush)                                  \
    X(clFinish)                                 \
    X(clEnqueueReadBuffer)                      \
    X(clEnqueueWriteBuffer)                     \
    X(clEnqueueCopyBuffer)                      \
    X(clEnqueueFillBuffer)                      \
    X(clEnqueueMapBuffer)                       \
    X(clEnqueueUnmapMemObject)                  \
    X(clEnqueueMarkerWithWaitList)              \
    X(clEnqueueNDRangeKernel)

typedef struct zm_opencl_fns {
#define ZM_OPENCL_POINTER(name) ZM_TYPEOF(name) * name;
    ZM_OPENCL_FUNCTIONS(ZM_OPENCL_POINTER)
#undef ZM_OPENCL_POINTER
    zm_opencl_create_il_fn clCreateProgramWithIL; /* NULL = an older library */
} zm_opencl_fns;

/* A function of a library, and where in a table its pointer belongs. */
typedef struct zm_library_function {
    const char *name;
    size_t offset;
} zm_library_function;

typedef void *(*zm_symbol_fn)(const char *name);

/* Fills a table in, by symbol or, if that is NULL, by dlsym. The first function that is missing;
 * NULL = none is. */
const char *zm_library_find(void *library, zm_symbol_fn symbol,
                            const zm_library_function *functions, size_t count, void *table);

/* Where to look for the library. */
typedef struct zm_opencl_candidate {
    const char *path;
    bool pixel; /* its functions come from loadOpenCLPointer after enableOpenCL */
} zm_opencl_candidate;

/* Fills the table from the first library that has all functions; false when there is none. A
 * library stays loaded until the process ends: drivers keep threads that run its code. */
bool zm_opencl_load(const zm_log *log, zm_opencl_fns *out);

/* The same over a list of one's own, for tests of the search. */
bool zm_opencl_load_from(const zm_opencl_candidate *candidates, size_t count, const zm_log *log,
                         zm_opencl_fns *out);

/* Tests put functions here that replace those of the library; NULL otherwise. */
extern const zm_opencl_fns *zm_opencl_shim;

#endif
