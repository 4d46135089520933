/* SPDX-License-Identifier: Apache-2.0 */
/* A build without SPIR-V. */
#include "shaders/shaders.h"

const zm_shader_module zm_shader_modules[] = {{NULL, NULL, NULL, 0}};
const size_t zm_shader_module_count = 0;
