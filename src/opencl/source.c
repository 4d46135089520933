/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a kernel: embedded, or from a folder for people who write kernels. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/file.h"
#include "opencl/opencl.h"
#include "shaders/shaders.h"

#define MAX_SOURCE (1u << 20)
#define MAX_INCLUDES 16
#define MAX_PATH 512

static zm_status embedded_source(const zm_device *device, const char *path, char **out,
                                 size_t *size)
{
    for (size_t i = 0; i < zm_shader_count; i++) {
        if (strcmp(zm_shaders[i].path, path) != 0)
            continue;
        *out = zm_calloc(zm_shaders[i].size + 1, 1);
        if (!*out)
            return zm_fail(&device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel %s: out of memory", path);
        memcpy(*out, zm_shaders[i].source, zm_shaders[i].size);
        *size = zm_shaders[i].size;
        return ZM_OK;
    }
    return zm_fail(&device->log, ZM_ERROR_NOT_FOUND, "kernel %s: there is no such file", path);
}

/* ---- the same as shaders/embed.py does ---- */

typedef struct reader {
    const zm_device *device;
    const char *root;
    char *text;
    size_t size, capacity;
    char seen[MAX_INCLUDES][MAX_PATH];
    size_t seen_count;
} reader;

static zm_status append_file(reader *r, const char *path);

static zm_status append(reader *r, const char *text, size_t length)
{
    void *grown = r->text;
    if (!zm_array_reserve(&grown, &r->capacity, r->size + length + 1, 1))
        return zm_fail(&r->device->log, ZM_ERROR_OUT_OF_MEMORY, "kernel source: out of memory");
    r->text = grown;
    memcpy(r->text + r->size, text, length);
    r->size += length;
    r->text[r->size] = '\0';
    return ZM_OK;
}

/* The name in a line of the form #include "name"; false for other lines. */
static bool include_name(const char *line, size_t length, char name[128])
{
    char copy[256];
    if (length >= sizeof(copy))
        return false;
    memcpy(copy, line, length);
    copy[length] = '\0';
    return sscanf(copy, " # include \"%127[^\"]\"", name) == 1;
}

/* Beside the file that includes, then in the root; each file once. */
static zm_status append_include(reader *r, const char *from, const char *name)
{
    const char *slash = strrchr(from, '/');
    char path[MAX_PATH];
    snprintf(path, sizeof(path), "%.*s/%s", slash ? (int)(slash - from) : 1, slash ? from : ".",
             name);
    if (!zm_path_exists(path))
        snprintf(path, sizeof(path), "%s/%s", r->root, name);
    for (size_t i = 0; i < r->seen_count; i++)
        if (strcmp(r->seen[i], path) == 0)
            return ZM_OK;
    return append_file(r, path);
}

static zm_status append_lines(reader *r, const char *path, const char *text)
{
    zm_status status = ZM_OK;
    while (*text && status == ZM_OK) {
        const char *end = strchr(text, '\n');
        size_t length = end ? (size_t)(end - text) + 1 : strlen(text);
        char name[128];
        if (include_name(text, length, name)) {
            status = append_include(r, path, name);
            if (status == ZM_OK)
                status = append(r, "\n", 1);
        } else {
            status = append(r, text, length);
        }
        text += length;
    }
    return status;
}

static zm_status append_file(reader *r, const char *path)
{
    if (r->seen_count == MAX_INCLUDES)
        return zm_fail(&r->device->log, ZM_ERROR_LIMIT, "%s: over %d files in one kernel", path,
                       MAX_INCLUDES);
    snprintf(r->seen[r->seen_count++], MAX_PATH, "%s", path);
    char *text = NULL;
    size_t size = 0;
    zm_status status = zm_file_read(path, MAX_SOURCE, &r->device->log, &text, &size);
    if (status == ZM_OK)
        status = append_lines(r, path, text);
    free(text);
    return status;
}

static zm_status disk_source(const zm_device *device, const char *path, char **out, size_t *size)
{
    reader *r = zm_calloc(1, sizeof(*r));
    char *full = zm_path_join(device->shader_dir, path);
    zm_status status = ZM_ERROR_OUT_OF_MEMORY;
    if (r && full) {
        r->device = device;
        r->root = device->shader_dir;
        status = append_file(r, full);
    }
    if (status == ZM_OK) {
        *out = r->text;
        *size = r->size;
    } else if (r) {
        free(r->text);
    }
    free(full);
    free(r);
    return status;
}

zm_status zm_opencl_source(const zm_device *device, const zm_kernel_desc *desc, char **out,
                           size_t *size)
{
    static const char *const folders[] = {[ZM_FAMILY_CPU] = "cpu",
                                          [ZM_FAMILY_GPU] = "gpu",
                                          [ZM_FAMILY_BENCH] = "bench",
                                          [ZM_FAMILY_CHAIN] = "chain"};
    char path[128];
    if (desc->family == ZM_FAMILY_REF)
        return zm_fail(&device->log, ZM_ERROR_UNSUPPORTED,
                       "kernel %s: plain C runs on the host device only", desc->name);
    snprintf(path, sizeof(path), "%s/%s.cl", folders[desc->family], desc->name);
    return device->shader_dir ? disk_source(device, path, out, size)
                              : embedded_source(device, path, out, size);
}
