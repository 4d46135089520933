/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/device.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <zeromean/ops.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "cli/kernels.h"
#include "cli/output.h"

/* Whether this process may run on every processor, 0 to the last one. */
static bool has_all_processors(void)
{
#ifdef __linux__
    cpu_set_t allowed;
    long count = sysconf(_SC_NPROCESSORS_CONF);
    return count > 0 && sched_getaffinity(0, sizeof(allowed), &allowed) == 0 &&
           CPU_COUNT(&allowed) == count;
#else
    return false;
#endif
}

/* After a pause the system may wake two threads of PoCL on one core and part them milliseconds
 * later, while short work waits. PoCL can keep thread i on processor i, but it aborts where it may
 * not. Who sets the variable has the last word. */
static void keep_threads_apart(void)
{
    if (has_all_processors())
        setenv("POCL_AFFINITY", "1", 0);
}

/* ---- forced kernels ---- */

static zm_cli_exit usage(const char *what, const char *word)
{
    zm_cli_error("--kernel: %s '%s'; it takes OP=NAME, as in matmul=cpu", what, word);
    return ZM_CLI_USAGE;
}

static bool is_candidate(const zm_op_info *op, const char *name)
{
    for (size_t i = 0; i < op->candidate_count; i++)
        if (strcmp(op->candidates[i], name) == 0)
            return true;
    return false;
}

/* The names of an op's kernels, as far as they fit. */
static zm_cli_exit no_such_kernel(const zm_op_info *op, const char *name)
{
    char names[200] = "";
    for (size_t i = 0, used = 0; i < op->candidate_count && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 op->candidates[i]);
    zm_cli_error("--kernel: %s has no kernel '%s'; it has %s", op->name, name, names);
    return ZM_CLI_USAGE;
}

static zm_cli_exit force_one(const char *pair, zm_device *device)
{
    size_t count;
    const zm_op_info *ops = zm_op_list(&count);
    const zm_cli_kernels wanted = zm_cli_kernels_read(pair);
    if (!strchr(pair, '='))
        return usage("there is no op in", pair);
    for (size_t i = 0; i < count; i++) {
        if (strlen(ops[i].name) != wanted.op_length ||
            memcmp(ops[i].name, wanted.op, wanted.op_length) != 0)
            continue;
        if (!is_candidate(&ops[i], wanted.name))
            return no_such_kernel(&ops[i], wanted.name);
        return zm_cli_result(zm_device_force_kernel(device, ops[i].name, wanted.name));
    }
    return usage("there is no such op:", pair);
}

/* "OP=NAME[,OP=NAME]...", names in full; NULL = nothing. */
static zm_cli_exit force(const char *text, zm_device *device)
{
    zm_cli_exit code = ZM_CLI_OK;
    while (text && *text && code == ZM_CLI_OK) {
        char pair[72];
        size_t length = strcspn(text, ",");
        if (length >= sizeof(pair))
            return usage("too long:", text);
        memcpy(pair, text, length);
        pair[length] = '\0';
        code = force_one(pair, device);
        text += length + (text[length] == ',');
    }
    return code;
}

/* ---- drivers ---- */

/* Asking for the devices is what wakes them. */
static void *list_devices(void *unused)
{
    zm_device_list *list = NULL;
    (void)unused;
    if (zm_device_list_create(NULL, &list) == ZM_OK)
        zm_device_list_destroy(&list);
    return NULL;
}

void zm_cli_drivers_wake(zm_cli_drivers *drivers, const char *spec)
{
    zm_environment environment;
    zm_environment_read(&environment);
    spec = spec ? spec : environment.device;
    if (spec && strncasecmp(spec, "host", 4) == 0)
        return;
    keep_threads_apart(); /* drivers look at the environment when they wake */
    /* Signals are for the thread that waits for input. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    drivers->waking = pthread_create(&drivers->thread, NULL, list_devices, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void zm_cli_drivers_wait(zm_cli_drivers *drivers)
{
    if (drivers->waking)
        pthread_join(drivers->thread, NULL);
    drivers->waking = false;
}

/* ---- devices ---- */

zm_cli_exit zm_cli_device_open(const char *spec, const char *kernels, zm_device **out)
{
    keep_threads_apart();
    zm_environment environment;
    zm_environment_read(&environment);
    zm_device_params params = {
        .spec = spec ? spec : environment.device,
        .log = zm_cli_log(),
        .cache_dir = environment.cache_dir,
    };
    zm_status status = zm_device_open(&params, out);
    zm_cli_exit code = zm_cli_result(status);
    if (code == ZM_CLI_OK)
        return force(kernels, *out);
    return status == ZM_ERROR_INVALID_ARGUMENT ? ZM_CLI_USAGE : code;
}

void zm_cli_device_announce(const zm_device *device)
{
    const zm_device_info *info = zm_device_get_info(device);
    if (zm_cli_log()->level >= ZM_LOG_INFO)
        return; /* the library has said it */
    zm_cli_note("device %s: %s (%s)", info->spec, info->name, info->platform);
}

const char *zm_cli_device_type_name(zm_device_type type)
{
    switch (type) {
    case ZM_DEVICE_CPU: return "cpu";
    case ZM_DEVICE_GPU: return "gpu";
    case ZM_DEVICE_ACCELERATOR: return "accelerator";
    default: return "other";
    }
}

static const char *backend_name(zm_backend backend)
{
    switch (backend) {
    case ZM_BACKEND_HOST: return "host";
    case ZM_BACKEND_OPENCL: return "opencl";
    case ZM_BACKEND_VULKAN: return "vulkan";
    default: return "unknown";
    }
}

json_t *zm_cli_device_json(const zm_device_info *info)
{
    const zm_cli_field fields[] = {
        {"spec", zm_cli_json_text(info->spec)},
        {"name", zm_cli_json_text(info->name)},
        {"platform", zm_cli_json_text(info->platform)},
        {"vendor", zm_cli_json_text(info->vendor)},
        {"driver", zm_cli_json_text(info->driver)},
        {"backend", json_string(backend_name(info->backend))},
        {"type", json_string(zm_cli_device_type_name(info->type))},
        {"real_type", json_string(zm_dtype_name(info->real_type))},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}
