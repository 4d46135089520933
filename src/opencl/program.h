/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is made of, between the files that make it. */
#ifndef ZM_SRC_OPENCL_PROGRAM_H
#define ZM_SRC_OPENCL_PROGRAM_H

#include "opencl/opencl.h"
#include "shaders/shaders.h"

#define ZM_MAX_OPTIONS 512

typedef struct zm_opencl_recipe {
    zm_opencl_device *device;
    const zm_kernel_desc *desc;
    char options[ZM_MAX_OPTIONS];
    char *source;
    size_t size;
    const zm_shader_module *module; /* goes before the source; NULL = there is none */
} zm_opencl_recipe;

/* Logs what the compiler says; a failure, where error is one. */
zm_status zm_opencl_report_build(const zm_opencl_recipe *recipe, cl_program program, cl_int error);

/* ---- chains: several kernels as functions of one, each compiled with its own options ---- */

/* The texts of all of them, one behind the other, as the identity of the program. */
zm_status zm_opencl_chain_source(zm_opencl_recipe *recipe);
/* Compiles each of them and links them. */
zm_status zm_opencl_chain_build(const zm_opencl_recipe *recipe, zm_opencl_kernel *out);

#endif
