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

/* Values that make other kernels of a file: it must have been built with each. "*": the files that
 * have ever been built with the option. A 0 may also be an option that is not there. */
static const struct {
    const char *files, *option, *values;
} variants[] = {
    {"*", "-DACT_TYPE=", "123"},
    {"*", "-DWEIGHT_TYPE=", "123"},
    {"*", "-DPARAM_TYPE=", "23"},
    {"*", "-DKV_TYPE=", "123"},
    {"*", "-DEPILOGUE=", "01"},
    {"*", "-DKEEP=", "014"},
    {"*", "-DALIGNED=", "01"},
    {"gpu/attention.cl", "-DALIGNED=", "01"},
    {"gpu/attention_row.cl", "-DALIGNED=", "01"},
    {"gpu/matmul.cl", "-DLOCAL_MEMORY=", "01"},
};
#define VARIANTS (sizeof(variants) / sizeof(variants[0]))

/* With what: "-DKEEP=" with any value, "-DKEEP=4" with this one, "" with any options at all. */
static bool has_option(const zm_kernel_desc *desc, const char *option)
{
    size_t length = strlen(option);
    bool is_zero = length && option[length - 1] == '0';
    const char *found = strstr(desc->options, option);
    if (is_zero) {
        char name[40];
        snprintf(name, sizeof(name), "%.*s", (int)length - 1, option);
        return found || !strstr(desc->options, name);
    }
    return found;
}

static bool was_built(const zm_device *device, const char *path, const char *option)
{
    for (const zm_kernel *kernel = device->kernels; kernel; kernel = kernel->next) {
        const zm_kernel_desc *desc = &kernel->desc;
        char built[80];
        snprintf(built, sizeof(built), "%s/%s.cl", folder_of(desc->family), desc->name);
        if (kernel->status == ZM_OK && strcmp(built, path) == 0 && has_option(desc, option)) {
            return true;
        }
    }
    return false;
}

static size_t missing_variants(const zm_device *device, const char *path)
{
    size_t missing = 0;
    for (size_t i = 0; i < VARIANTS; ++i) {
        const char *files = variants[i].files;
        bool held = strcmp(files, "*") == 0 ? was_built(device, path, variants[i].option)
                                            : strcmp(files, path) == 0;
        for (const char *value = variants[i].values; held && *value; ++value) {
            char option[40];
            snprintf(option, sizeof(option), "%s%c", variants[i].option, *value);
            if (!was_built(device, path, option)) {
                printf("%s: no case reaches it with %s\n", path, option);
                ++missing;
            }
        }
    }
    return missing;
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
        if (was_built(device, path, "")) {
            result.missing += missing_variants(device, path);
        } else {
            ++result.missing;
            printf("%s: no case reaches it\n", path);
        }
    }
    return result;
}
