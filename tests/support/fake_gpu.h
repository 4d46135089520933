/* SPDX-License-Identifier: Apache-2.0 */
/* A GPU that is only talk: it says of itself what a test wants, takes every program and computes
 * nothing, and keeps which programs it was asked for. One at a time; a real platform lies below. */
#ifndef ZM_TESTS_FAKE_GPU_H
#define ZM_TESTS_FAKE_GPU_H

#include "opencl/loader.h"

#define FAKE_GPU_TEXT 400
#define FAKE_GPU_PROGRAMS 2000

typedef struct fake_gpu {
    const char *version;    /* CL_DEVICE_VERSION */
    const char *language;   /* CL_DEVICE_OPENCL_C_VERSION */
    const char *extensions; /* CL_DEVICE_EXTENSIONS */
    const char *feature;    /* of OpenCL C 3.0, the only one; "" = none */
    const char *il_version; /* CL_DEVICE_IL_VERSION */
    cl_uint units;
    bool own_local_memory;
    cl_ulong local_bytes;
    size_t items; /* of a work-group, at most */

    /* Written by the driver: "NAME OPTIONS" of each kernel, as built, and how many. */
    char programs[FAKE_GPU_PROGRAMS][FAKE_GPU_TEXT];
    size_t program_count;
    char options[FAKE_GPU_TEXT]; /* of the last program built */
} fake_gpu;

/* What the driver reads and writes. */
extern fake_gpu fake;

/* Every device is such a GPU from now on; false when there is no real platform. */
bool fake_gpu_install(void);
void fake_gpu_remove(void);

#endif
