/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel sources, embedded by embed.py, and what spirv.py compiled of them ahead of time. */
#ifndef ZM_SHADERS_SHADERS_H
#define ZM_SHADERS_SHADERS_H

#include <stddef.h>

typedef struct zm_shader {
    const char *path; /* "cpu/rms_norm.cl" */
    const unsigned char *source;
    size_t size;
} zm_shader;

extern const zm_shader zm_shaders[];
extern const size_t zm_shader_count;

/* A kernel of the gpu family as SPIR-V 1.0 for OpenCL. */
typedef struct zm_shader_module {
    const char *name;    /* "rms_norm" */
    const char *options; /* exactly as they are asked for: "-DACT_TYPE=1 -DITEMS=256" */
    const unsigned char *words;
    size_t size; /* bytes */
} zm_shader_module;

/* None of them in a build without SPIR-V. */
extern const zm_shader_module zm_shader_modules[];
extern const size_t zm_shader_module_count;

#endif
