/* SPDX-License-Identifier: Apache-2.0 */
/* What is said about all kernel sources together. */
#ifndef ZM_SHADERS_HASH_H
#define ZM_SHADERS_HASH_H

/* Hexadecimal SHA-256 of the sources that are built in, in the order of zm_shaders. */
extern const char zm_shader_hash[65];

#endif
