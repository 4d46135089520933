/* SPDX-License-Identifier: Apache-2.0 */
/* Stands between the backend and the driver: counts objects, makes calls fail and changes what a
 * device says about itself. One at a time. */
#ifndef ZM_TESTS_OPENCL_SHIM_H
#define ZM_TESTS_OPENCL_SHIM_H

#include "opencl/loader.h"

typedef struct opencl_shim {
    unsigned fail_at;      /* this call fails, counted from 1; 0 = none */
    const char *fail_name; /* every call of this function fails; NULL = none */
    cl_int error;          /* what a failing call returns; 0 = CL_OUT_OF_RESOURCES */
    unsigned calls;        /* calls so far, releases not counted */
    int created, released; /* contexts, queues, buffers, programs, kernels, events */

    bool broken_platforms;      /* two platforms without a device come first */
    cl_int command_state;       /* negative: what events say of their command; 0 = the truth */
    cl_uint align_bits;         /* CL_DEVICE_MEM_BASE_ADDR_ALIGN; 0 = the truth */
    cl_ulong max_alloc;         /* CL_DEVICE_MAX_MEM_ALLOC_SIZE; 0 = the truth */
    size_t max_kernel_group;    /* CL_KERNEL_WORK_GROUP_SIZE; 0 = the truth */
    const char *device_version; /* CL_DEVICE_VERSION; NULL = the truth */
    int unified_memory;         /* CL_DEVICE_HOST_UNIFIED_MEMORY: 1 yes, -1 no, 0 = the truth */
    bool refuse_host_pointers;  /* CL_MEM_USE_HOST_PTR fails */
    int spirv;                  /* cl_khr_il_program: 1 is there, -1 refuses, 0 = the truth */
    const char *extensions;     /* CL_DEVICE_EXTENSIONS; NULL = the truth */
    const char *il_version;     /* CL_DEVICE_IL_VERSION, of OpenCL 2.1 on; NULL = the truth */
    int modules;                /* of SPIR-V that were offered so far */
} opencl_shim;

/* The state that the functions read. */
extern opencl_shim shim;

/* Puts the shim before the real library; false when there is none. */
bool shim_install(void);
void shim_remove(void);

#endif
