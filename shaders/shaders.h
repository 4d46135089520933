/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel sources, embedded by embed.py. */
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

#endif
