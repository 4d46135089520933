/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/alloc.h"
#include "host/host.h"

static const char *const specs[] = {"host", "host:f64"};
static const char *const names[] = {"host processor, plain C, float32",
                                    "host processor, plain C, float64"};

static void host_close(zm_device *device)
{
    zm_host_device *host = (zm_host_device *)device;
    zm_pool_destroy(&host->pool);
    zm_device_base_finish(device);
    free(host);
}

static const zm_device_fns host_fns = {
    .close = host_close,
    .buffer_create = zm_host_buffer_create,
    .buffer_destroy = zm_host_buffer_destroy,
    .buffer_write = zm_host_buffer_write,
    .buffer_read = zm_host_buffer_read,
    .buffer_copy = zm_host_buffer_copy,
    .buffer_fill = zm_host_buffer_fill,
    .buffer_map = zm_host_buffer_map,
    .buffer_unmap = zm_host_buffer_unmap,
    .stream_create = zm_host_stream_create,
    .stream_destroy = zm_host_stream_destroy,
    .stream_flush = zm_host_stream_flush,
    .stream_wait = zm_host_stream_wait,
    .event_create = zm_host_event_create,
    .event_destroy = zm_host_event_destroy,
    .event_mark = zm_host_event_mark,
    .event_wait = zm_host_event_wait,
    .event_times = zm_host_event_times,
    .kernel_create = zm_host_kernel_create,
    .kernel_destroy = zm_host_kernel_destroy,
    .dispatch = zm_host_dispatch,
};

static uint64_t memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

static zm_status host_enumerate(const zm_log *log, const zm_device_visitor *visitor)
{
    (void)log;
    for (int i = 0; i < 2; i++) {
        zm_device_info info = {
            .backend = ZM_BACKEND_HOST,
            .type = ZM_DEVICE_CPU,
            .real_type = i ? ZM_F64 : ZM_F32,
            .limits = {.memory_bytes = memory_bytes(),
                       .max_buffer_bytes = SIZE_MAX / 2,
                       .compute_units = zm_processor_count(),
                       .max_work_group = 1,
                       .max_work_group_dim = {1, 1, 1},
                       .buffer_alignment = 1,
                       .wrap_alignment = 1,
                       .float_vector_width = 1,
                       .fp64 = true,
                       .unified_memory = true,
                       .timestamps = true},
        };
        strcpy(info.spec, specs[i]);
        strcpy(info.name, names[i]);
        strcpy(info.platform, "plain C");
        strcpy(info.vendor, "Zeromean");
        strcpy(info.driver, ZM_VERSION_STRING);
        visitor->add(visitor->user, &info);
    }
    return ZM_OK;
}

static zm_status host_open(const zm_device_info *info, const zm_device_params *params,
                           zm_device **out)
{
    zm_host_device *host = zm_calloc(1, sizeof(*host));
    if (!host)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", info->spec);
    zm_status status = zm_device_base_init(&host->base, &host_fns, info, params);
    if (status != ZM_OK)
        goto fail;
    uint32_t threads = params->host_threads ? params->host_threads : zm_processor_count();
    status = zm_pool_create(threads, &host->pool);
    if (status != ZM_OK) {
        zm_fail(params->log, status, "%s: out of memory for %u threads", info->spec, threads);
        goto fail;
    }
    *out = &host->base;
    return ZM_OK;
fail:
    host_close(&host->base);
    return status;
}

const zm_backend_fns zm_backend_host = {"host", host_enumerate, host_open};
