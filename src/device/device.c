/* SPDX-License-Identifier: Apache-2.0 */
#include "device/device.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "device/cache.h"

/* Meson's option shader_dir, for people who write kernels. */
#ifndef ZM_SHADER_DIR
#define ZM_SHADER_DIR ""
#endif

static zm_status set_string(zm_device *device, char **field, const char *text)
{
    char *copy = NULL;
    if (text && *text && !(copy = zm_strdup(text)))
        return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory",
                       device->info.spec);
    free(*field);
    *field = copy;
    return ZM_OK;
}

zm_status zm_device_base_init(zm_device *device, const zm_device_fns *fns,
                              const zm_device_info *info, const zm_device_params *params)
{
    device->fns = fns;
    device->info = *info;
    device->log = zm_log_copy(params->log);
    device->cache_limit = ZM_CACHE_DEFAULT_LIMIT;
    zm_mutex_init(&device->mutex);
    zm_status status = set_string(device, &device->cache_dir, params->cache_dir);
    if (status == ZM_OK)
        status = zm_device_set_shader_dir(device, ZM_SHADER_DIR);
    return status;
}

void zm_device_base_finish(zm_device *device)
{
    zm_attachment *tunings = atomic_load(&device->tunings);
    if (tunings)
        tunings->destroy(tunings);
    atomic_store(&device->tunings, NULL);
    zm_mutex_finish(&device->mutex);
    free(device->cache_dir);
    free(device->shader_dir);
    device->cache_dir = NULL;
    device->shader_dir = NULL;
}

zm_status zm_device_set_shader_dir(zm_device *device, const char *directory)
{
    return set_string(device, &device->shader_dir, directory);
}

uint32_t zm_device_built_kernels(const zm_device *device)
{
    return atomic_load(&device->built_kernels);
}

uint32_t zm_device_cached_kernels(const zm_device *device)
{
    return atomic_load(&device->cached_kernels);
}

void zm_device_close(zm_device **device)
{
    if (!device || !*device)
        return;
    zm_kernel_destroy_all(*device);
    (*device)->fns->close(*device);
    *device = NULL;
}

const zm_device_info *zm_device_get_info(const zm_device *device)
{
    return &device->info;
}

static zm_forced_kernel *forced_find(zm_device *device, const char *op)
{
    for (size_t i = 0; i < device->forced_count; i++)
        if (strcmp(device->forced[i].op, op) == 0)
            return &device->forced[i];
    return NULL;
}

zm_status zm_device_force_kernel(zm_device *device, const char *op, const char *kernel)
{
    if (!device)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (!op || !*op || strlen(op) >= sizeof(device->forced[0].op) ||
        (kernel && (!*kernel || strlen(kernel) >= sizeof(device->forced[0].kernel))))
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_device_force_kernel: the name of the op or kernel is empty or too long");
    zm_forced_kernel *forced = forced_find(device, op);
    device->forced_changes++;
    if (!kernel) {
        if (forced)
            *forced = device->forced[--device->forced_count];
        return ZM_OK;
    }
    if (!forced) {
        if (device->forced_count == ZM_MAX_FORCED)
            return zm_fail(&device->log, ZM_ERROR_LIMIT,
                           "zm_device_force_kernel: more than %d ops; lift some with NULL",
                           ZM_MAX_FORCED);
        forced = &device->forced[device->forced_count++];
        strcpy(forced->op, op);
    }
    strcpy(forced->kernel, kernel);
    return ZM_OK;
}

const char *zm_device_forced_kernel(const zm_device *device, const char *op)
{
    for (size_t i = 0; i < device->forced_count; i++)
        if (strcmp(device->forced[i].op, op) == 0)
            return device->forced[i].kernel;
    return NULL;
}
