/* SPDX-License-Identifier: Apache-2.0 */
#include "coverage.h"

#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "shaders/shaders.h"

static const char *folder_of(zm_kernel_family family)
{
    switch (family) {
    case ZM_FAMILY_CPU: return "cpu";
    case ZM_FAMILY_GPU: return "gpu";
    default: return "";
    }
}

static bool was_built(const zm_device *device, const char *path)
{
    for (const zm_kernel *kernel = device->kernels; kernel; kernel = kernel->next) {
        const zm_kernel_desc *desc = &kernel->desc;
        char built[80];
        snprintf(built, sizeof(built), "%s/%s.cl", folder_of(desc->family), desc->name);
        if (kernel->status == ZM_OK && strcmp(built, path) == 0) {
            return true;
        }
    }
    return false;
}

coverage coverage_get(const zm_device *device, const char *glob)
{
    coverage result = {0, 0};
    for (size_t i = 0; i < zm_shader_count; ++i) {
        const char *path = zm_shaders[i].path;
        if (fnmatch(glob, path, 0) != 0) {
            continue;
        }
        ++result.files;
        if (!was_built(device, path)) {
            ++result.missing;
            printf("%s: no case reaches it\n", path);
        }
    }
    return result;
}
