/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/file.h"

char *zm_path_join(const char *directory, const char *name)
{
    size_t head = strlen(directory), tail = strlen(name);
    bool slash = head > 0 && directory[head - 1] != '/';
    char *path = malloc(head + tail + 2);
    if (!path)
        return NULL;
    memcpy(path, directory, head);
    if (slash)
        path[head++] = '/';
    memcpy(path + head, name, tail + 1);
    return path;
}

char *zm_path_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *parent = zm_strdup(slash ? path : ".");
    if (parent && slash)
        parent[slash == path ? 1 : slash - path] = '\0';
    return parent;
}

bool zm_path_ends_with(const char *path, const char *suffix)
{
    const size_t length = strlen(path), end = strlen(suffix);
    return length >= end && strcmp(path + length - end, suffix) == 0;
}

bool zm_path_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool zm_path_exists(const char *path)
{
    /* A dangling link is in the way of a new file: it exists. */
    struct stat info;
    return lstat(path, &info) == 0;
}

static bool make_directory(const char *path)
{
    if (mkdir(path, 0700) == 0)
        return true;
    int error = errno;
    if (zm_path_is_directory(path)) /* also when another process was faster */
        return true;
    errno = error;
    return false;
}

zm_status zm_make_directories(const char *path, const zm_log *log)
{
    char *part = zm_strdup(path);
    if (!part)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its name", path);
    bool made = true;
    for (char *c = part; *c && made; c++) {
        if (*c != '/' || c == part)
            continue;
        *c = '\0';
        made = make_directory(part);
        *c = '/';
    }
    made = made && make_directory(part);
    zm_status status = ZM_OK;
    if (!made)
        status =
            zm_fail(log, ZM_ERROR_IO, "%s: cannot create the directory: %s", path, strerror(errno));
    free(part);
    return status;
}
