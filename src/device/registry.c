/* SPDX-License-Identifier: Apache-2.0 */
/* Which devices there are, which one a spec means and which one is the default. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/alloc.h"
#include "device/device.h"
#include "device/profile.h"

static const zm_backend_fns *const backends[] = {&zm_backend_opencl, &zm_backend_host};
#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

#define REASON_SIZE 512
#define SPEC_SIZE 256

typedef struct collector {
    zm_device_list *list;
    size_t capacity;
    bool out_of_memory;
    char *skipped; /* [REASON_SIZE] */
} collector;

/* A spec taken apart. */
typedef struct device_spec {
    char text[SPEC_SIZE];             /* before the @ */
    const zm_backend_fns *backend;    /* NULL = any */
    const char *selector;             /* behind the colon, in text; NULL = the best one */
    const zm_device_profile *profile; /* NULL = none */
} device_spec;

/* The kind of device decides; among devices of a kind their size does. The reference in float64 is
 * for checking and is never chosen by itself. */
static int32_t score(const zm_device_info *info)
{
    if (info->backend == ZM_BACKEND_HOST)
        return info->real_type == ZM_F32 ? 1000 : -1;
    int32_t kind = 2000;
    if (info->type == ZM_DEVICE_GPU)
        kind = info->limits.unified_memory ? 4000 : 5000;
    else if (info->type == ZM_DEVICE_ACCELERATOR)
        kind = 3000;
    uint32_t units = info->limits.compute_units;
    return kind + (int32_t)(units < 999 ? units : 999);
}

/* Keeps the list in order of falling score; equals stay in the order they came. */
static void collect(void *user, const zm_device_info *info)
{
    collector *c = user;
    zm_device_list *list = c->list;
    void *devices = list->devices;
    if (!zm_array_reserve(&devices, &c->capacity, list->count + 1, sizeof(*info))) {
        c->out_of_memory = true;
        return;
    }
    list->devices = devices;
    int32_t points = score(info);
    size_t at = list->count++;
    for (; at > 0 && list->devices[at - 1].score < points; at--)
        list->devices[at] = list->devices[at - 1];
    list->devices[at] = *info;
    list->devices[at].score = points;
}

static void keep_reason(void *user, const char *reason)
{
    collector *c = user;
    if (!c->skipped)
        return;
    size_t used = strlen(c->skipped);
    snprintf(c->skipped + used, REASON_SIZE - used, "%s%s", used ? "; " : "", reason);
}

/* The devices of one backend, or of all when backend is NULL. A backend that fails is skipped: it
 * has logged why, and the others may still do. skipped[REASON_SIZE], which may be NULL: why the
 * drivers that were of no use were not. */
static zm_status list_devices(const zm_backend_fns *backend, const zm_log *log, char *skipped,
                              zm_device_list **out)
{
    collector c = {.list = zm_calloc(1, sizeof(*c.list)), .skipped = skipped};
    const zm_device_visitor visitor = {collect, keep_reason, &c};
    if (!c.list)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "device list: out of memory");
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        if (!backend || backend == backends[i])
            backends[i]->enumerate(log, &visitor);
    if (c.out_of_memory) {
        zm_device_list_destroy(&c.list);
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "device list: out of memory");
    }
    *out = c.list;
    return ZM_OK;
}

zm_status zm_device_list_create(const zm_device_params *params, zm_device_list **out)
{
    if (!out)
        return ZM_ERROR_INVALID_ARGUMENT;
    return list_devices(NULL, params ? params->log : NULL, NULL, out);
}

void zm_device_list_destroy(zm_device_list **list)
{
    if (!list || !*list)
        return;
    free((*list)->devices);
    free(*list);
    *list = NULL;
}

/* "opencl:0 (name), host (name)" for messages about a spec that fits none. */
static void describe(const zm_device_list *list, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < list->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s (%s)", i ? ", " : "",
                                 list->devices[i].spec, list->devices[i].name);
}

static zm_status fail_with_devices(const zm_log *log, zm_status status, const char *spec,
                                   const char *what)
{
    char text[1024] = "none";
    zm_device_list *list = NULL;
    if (list_devices(NULL, log, NULL, &list) == ZM_OK)
        describe(list, text, sizeof(text));
    zm_device_list_destroy(&list);
    return zm_fail(log, status, "device '%s': %s; there are: %s", spec, what, text);
}

static zm_status find_backend(device_spec *spec, const zm_log *log)
{
    const char *colon = strchr(spec->text, ':');
    size_t length = colon ? (size_t)(colon - spec->text) : strlen(spec->text);
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        if (strlen(backends[i]->name) == length &&
            strncasecmp(backends[i]->name, spec->text, length) == 0)
            spec->backend = backends[i];
    if (!spec->backend)
        return fail_with_devices(log, ZM_ERROR_INVALID_ARGUMENT, spec->text, "unknown backend");
    if (colon && !colon[1])
        return fail_with_devices(log, ZM_ERROR_INVALID_ARGUMENT, spec->text,
                                 "an index or a name must follow the colon");
    spec->selector = colon ? colon + 1 : NULL;
    return ZM_OK;
}

static zm_status find_profile(device_spec *spec, const char *name, const zm_log *log)
{
    char names[256] = "";
    size_t count, used = 0;
    const zm_device_profile *profiles = zm_device_profiles(&count);
    spec->profile = zm_profile_find(name);
    for (size_t i = 0; i < count && used < sizeof(names); i++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", i ? ", " : "",
                                 profiles[i].name);
    if (spec->profile)
        return ZM_OK;
    return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "no such profile: '%s'; there are: %s", name,
                   names);
}

static zm_status parse(const char *text, const zm_log *log, device_spec *out)
{
    *out = (device_spec){.text = ""};
    if (!text || !*text)
        return ZM_OK;
    if (strlen(text) >= sizeof(out->text))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "device '%.40s...': over %d characters",
                       text, SPEC_SIZE - 1);
    strcpy(out->text, text);
    char *at = strrchr(out->text, '@');
    if (at)
        *at = '\0';
    zm_status status = at ? find_profile(out, at + 1, log) : ZM_OK;
    return status == ZM_OK && *out->text ? find_backend(out, log) : status;
}

static bool contains(const char *text, const char *part)
{
    size_t length = strlen(part);
    for (; *text; text++)
        if (strncasecmp(text, part, length) == 0)
            return true;
    return false;
}

static bool matches(const zm_device_info *info, const device_spec *spec)
{
    if (!spec->selector)
        return info->score >= 0;
    if (strcasecmp(info->spec, spec->text) == 0)
        return true;
    if (spec->selector[strspn(spec->selector, "0123456789")] == '\0')
        return false; /* an index, not a part of a name */
    return info->score >= 0 &&
           (contains(info->name, spec->selector) || contains(info->platform, spec->selector));
}

/* What the spec asks to take away from the device, before anything uses it. */
static void cut(zm_device *device, const zm_device_profile *profile)
{
    char *spec = device->info.spec;
    size_t used = strlen(spec);
    zm_profile_cut(profile, &device->info);
    snprintf(spec + used, sizeof(device->info.spec) - used, "@%s", profile->name);
}

static zm_status open_one(const zm_device_info *info, const zm_device_params *params,
                          const zm_device_profile *profile, zm_device **out)
{
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        size_t length = strlen(backends[i]->name);
        if (strncmp(info->spec, backends[i]->name, length) != 0)
            continue;
        zm_status status = backends[i]->open(info, params, out);
        if (status != ZM_OK)
            return status;
        if (profile)
            cut(*out, profile);
        zm_logf(params->log, ZM_LOG_INFO, "device %s: %s (%s)", (*out)->info.spec, info->name,
                info->platform);
        return ZM_OK;
    }
    return ZM_ERROR_NOT_FOUND;
}

/* The best device that fits. Only the default falls back to the next one when a driver fails: a
 * device that was asked for by name is opened or refused. */
static zm_status open_best(const zm_device_list *list, const device_spec *spec,
                           const zm_device_params *params, zm_device **out)
{
    zm_status status = ZM_ERROR_NOT_FOUND;
    for (size_t i = 0; i < list->count; i++) {
        if (!matches(&list->devices[i], spec))
            continue;
        status = open_one(&list->devices[i], params, spec->profile, out);
        if (status == ZM_OK || spec->backend)
            return status;
        zm_logf(params->log, ZM_LOG_WARNING, "device %s does not open; trying the next one",
                list->devices[i].spec);
    }
    return status == ZM_ERROR_NOT_FOUND
               ? fail_with_devices(params->log, status, spec->text, "no such device")
               : status;
}

zm_status zm_device_open(const zm_device_params *params, zm_device **out)
{
    if (!out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_device_params given = params ? *params : (zm_device_params){0};
    device_spec spec;
    zm_status status = parse(given.spec, given.log, &spec);
    if (status != ZM_OK)
        return status;
    zm_device_list *list = NULL;
    char skipped[REASON_SIZE] = "";
    status = list_devices(spec.backend, given.log, skipped, &list);
    if (status == ZM_OK)
        status = open_best(list, &spec, &given, out);
    if (status == ZM_OK && !spec.backend && *skipped && (*out)->info.backend == ZM_BACKEND_HOST)
        zm_logf(given.log, ZM_LOG_WARNING,
                "plain C computes, which is slow: no OpenCL device is usable (%s)", skipped);
    zm_device_list_destroy(&list);
    return status;
}
