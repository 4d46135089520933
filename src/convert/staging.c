/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/staging.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/file.h"

#define MARK ".zeromean-"
#define MAX_NAMES 100
#define EXCHANGE 2u /* RENAME_EXCHANGE of linux/fs.h */

static zm_status no_memory(const zm_staging *staging)
{
    return zm_fail(&staging->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to create the output");
}

/* ---- names ---- */

/* True where one of the two absolute paths is the other or lies inside it. */
static bool paths_overlap(const char *a, const char *b)
{
    size_t shorter = strlen(a) < strlen(b) ? strlen(a) : strlen(b);
    const char *longer = strlen(a) < strlen(b) ? b : a;
    if (strncmp(a, b, shorter) != 0)
        return false;
    return longer[shorter] == '\0' || longer[shorter] == '/' ||
           (shorter > 0 && longer[shorter - 1] == '/');
}

/* Looks into an existing output: is it empty, does it hold directories? */
static bool survey(const char *path, bool *empty, bool *directories)
{
    DIR *directory = opendir(path);
    if (!directory)
        return false;
    struct stat info;
    *empty = true;
    *directories = false;
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *empty = false;
        /* What is gone by now is no directory: another conversion may be replacing the output. */
        if (fstatat(dirfd(directory), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(info.st_mode))
            *directories = true;
    }
    closedir(directory);
    return true;
}

static zm_status survey_existing(zm_staging *staging, const char *output)
{
    bool directories = false;
    if (!survey(output, &staging->empty, &directories))
        return zm_fail(&staging->log, ZM_ERROR_IO, "%s: cannot list: %s", output, strerror(errno));
    if (directories)
        return zm_fail(&staging->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: holds directories, so it is not overwritten; choose another output",
                       output);
    return ZM_OK;
}

static zm_status resolve_existing(zm_staging *staging, const char *output, bool overwrite)
{
    if (zm_path_is_directory(output) == staging->file)
        return zm_fail(&staging->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: exists and is %s directory; choose another output", output,
                       staging->file ? "a" : "not a");
    if (!overwrite)
        return zm_fail(&staging->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: exists already; choose another output or allow overwriting", output);
    zm_status status = staging->file ? ZM_OK : survey_existing(staging, output);
    if (status != ZM_OK)
        return status;
    staging->exists = true;
    staging->output = realpath(output, NULL);
    if (!staging->output)
        return zm_fail(&staging->log, ZM_ERROR_IO, "%s: cannot resolve: %s", output,
                       strerror(errno));
    return ZM_OK;
}

static zm_status resolve_new(zm_staging *staging, char *output)
{
    char *slash = strrchr(output, '/');
    const char *name = slash ? slash + 1 : output;
    const char *directory = slash == output ? "/" : slash ? output : ".";
    if (slash)
        *slash = '\0';
    char *parent = realpath(*directory ? directory : "/", NULL);
    if (!parent || !zm_path_is_directory(parent)) {
        free(parent);
        return zm_fail(&staging->log, ZM_ERROR_NOT_FOUND,
                       "%s: no such directory to create %s in; create it first", directory, name);
    }
    staging->output = zm_path_join(parent, name);
    free(parent);
    return staging->output ? ZM_OK : no_memory(staging);
}

static zm_status split_output(zm_staging *staging)
{
    staging->name = strrchr(staging->output, '/') + 1;
    size_t length = (size_t)(staging->name - staging->output);
    staging->parent = zm_calloc(length + 1, 1);
    if (!staging->parent)
        return no_memory(staging);
    memcpy(staging->parent, staging->output, length);
    if (length > 1)
        staging->parent[length - 1] = '\0';
    if (*staging->name)
        return ZM_OK;
    return zm_fail(&staging->log, ZM_ERROR_INVALID_ARGUMENT, "%s: cannot be an output",
                   staging->output);
}

static bool in_the_way(const zm_staging *staging, const char *source)
{
    return staging->file ? strcmp(source, staging->output) == 0
                         : paths_overlap(source, staging->output);
}

static zm_status resolve(zm_staging *staging, const char *input, const char *output, bool overwrite,
                         const zm_log *log)
{
    size_t length = strlen(output);
    while (length > 1 && output[length - 1] == '/')
        length--;
    char *trimmed = strndup(output, length);
    char *source = realpath(input, NULL);
    zm_status status;
    if (!trimmed || length == 0)
        status = zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "the output needs a name");
    else if (!source)
        status = zm_fail(log, errno == ENOENT ? ZM_ERROR_NOT_FOUND : ZM_ERROR_IO,
                         "%s: cannot open: %s", input, strerror(errno));
    else if (zm_path_exists(trimmed))
        status = resolve_existing(staging, trimmed, overwrite);
    else
        status = resolve_new(staging, trimmed);
    if (status == ZM_OK && in_the_way(staging, source))
        status = zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: the output must lie outside the input %s; choose another",
                         staging->output, source);
    if (status == ZM_OK)
        status = split_output(staging);
    free(trimmed);
    free(source);
    if (status)
        zm_staging_finish(staging);
    return status;
}

zm_status zm_staging_init(zm_staging *staging, const char *input, const char *output,
                          bool overwrite, const zm_log *log)
{
    *staging = (zm_staging){.lock = -1, .log = zm_log_copy(log)};
    return resolve(staging, input, output, overwrite, log);
}

zm_status zm_staging_init_file(zm_staging *staging, const char *input, const char *output,
                               bool overwrite, const zm_log *log)
{
    *staging = (zm_staging){.lock = -1, .log = zm_log_copy(log), .file = true};
    return resolve(staging, input, output, overwrite, log);
}

/* ---- directories ---- */

static int open_directory(const char *path)
{
    return open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Removes the files of a directory and then itself; stops at a sub-directory. */
static bool remove_flat(const char *path)
{
    DIR *directory = opendir(path);
    if (!directory)
        return errno == ENOENT;
    for (struct dirent *entry; (entry = readdir(directory));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            unlinkat(dirfd(directory), entry->d_name, 0);
    closedir(directory);
    return rmdir(path) == 0;
}

static void remove_if_unlocked(const zm_staging *staging, const char *name)
{
    char *path = zm_path_join(staging->parent, name);
    int lock = path ? open_directory(path) : -1;
    if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0) {
        bool removed = remove_flat(path);
        zm_logf(&staging->log, removed ? ZM_LOG_INFO : ZM_LOG_WARNING, "%s: %s", path,
                removed ? "removed, an interrupted conversion had left it"
                        : "was left by an interrupted conversion and cannot be removed");
    }
    if (lock >= 0)
        close(lock);
    free(path);
}

static void remove_stale(const zm_staging *staging)
{
    DIR *directory = opendir(staging->parent);
    if (!directory)
        return;
    size_t length = strlen(staging->name);
    for (struct dirent *entry; (entry = readdir(directory));) {
        const char *name = entry->d_name;
        if (name[0] == '.' && strncmp(name + 1, staging->name, length) == 0 &&
            strncmp(name + 1 + length, MARK, strlen(MARK)) == 0)
            remove_if_unlocked(staging, name);
    }
    closedir(directory);
}

/* False when another process took the new directory for a stale one before it was locked. */
static bool lock_temporary(zm_staging *staging)
{
    struct stat locked, named;
    staging->lock = open_directory(staging->temporary);
    if (staging->lock < 0)
        return false;
    /* Where the file system has no locks nothing is ever found stale. */
    bool ours = flock(staging->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    ours = ours && fstat(staging->lock, &locked) == 0 && stat(staging->temporary, &named) == 0 &&
           locked.st_ino == named.st_ino && locked.st_dev == named.st_dev;
    if (!ours) {
        close(staging->lock);
        staging->lock = -1;
    }
    return ours;
}

static zm_status create_temporary(zm_staging *staging)
{
    size_t size = strlen(staging->output) + sizeof(MARK) + 48;
    staging->temporary = malloc(size);
    if (!staging->temporary)
        return no_memory(staging);
    int error = 0;
    for (unsigned i = 0; i < MAX_NAMES; i++) {
        snprintf(staging->temporary, size, "%s/.%s" MARK "%ld-%u",
                 strcmp(staging->parent, "/") == 0 ? "" : staging->parent, staging->name,
                 (long)getpid(), i);
        if (mkdir(staging->temporary, 0777) != 0) {
            error = errno;
            if (error != EEXIST)
                break;
        } else if (lock_temporary(staging)) {
            return ZM_OK;
        } else {
            error = EAGAIN;
        }
    }
    free(staging->temporary);
    staging->temporary = NULL;
    return zm_fail(&staging->log, ZM_ERROR_IO, "%s: cannot create a directory in %s: %s",
                   staging->output, staging->parent, strerror(error));
}

zm_status zm_staging_begin(zm_staging *staging, uint64_t bytes)
{
    remove_stale(staging);
    struct statvfs volume;
    if (statvfs(staging->parent, &volume) == 0) {
        uint64_t blocks = bytes / volume.f_frsize + 1;
        if (blocks > volume.f_bavail)
            return zm_fail(&staging->log, ZM_ERROR_IO,
                           "%s: needs %llu MB and %s has %llu MB free; free some or choose "
                           "another output",
                           staging->output, (unsigned long long)(bytes / 1000000 + 1),
                           staging->parent,
                           (unsigned long long)volume.f_bavail * volume.f_frsize / 1000000);
    }
    return create_temporary(staging);
}

/* ---- the last step ---- */

static bool swap_names(const char *a, const char *b)
{
#ifdef SYS_renameat2
    if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE) == 0)
        return true;
#endif
    return false;
}

/* Without an atomic swap the old output is away for an instant, but never half. */
static bool replace_output(zm_staging *staging)
{
    if (swap_names(staging->temporary, staging->output))
        return true;
    size_t size = strlen(staging->temporary) + 5;
    char *old = malloc(size);
    if (!old)
        return false;
    snprintf(old, size, "%s.old", staging->temporary);
    bool done = rename(staging->output, old) == 0;
    if (done && rename(staging->temporary, staging->output) != 0) {
        int error = errno;
        rename(old, staging->output);
        errno = error;
        done = false;
    }
    if (done) {
        free(staging->temporary);
        staging->temporary = old;
        return true;
    }
    free(old);
    return false;
}

static void sync_directory(const char *path)
{
    int fd = open_directory(path);
    if (fd < 0)
        return;
    fsync(fd); /* best effort: not every file system can do it */
    close(fd);
}

/* Replaces an existing one. */
static bool rename_file(const zm_staging *staging)
{
    char *path = zm_path_join(staging->temporary, staging->name);
    bool done = path && rename(path, staging->output) == 0;
    free(path);
    return done;
}

zm_status zm_staging_commit(zm_staging *staging)
{
    sync_directory(staging->temporary);
    bool done = staging->file     ? rename_file(staging)
                : staging->exists ? replace_output(staging)
                                  : rename(staging->temporary, staging->output) == 0;
    if (!done)
        return zm_fail(&staging->log, ZM_ERROR_IO, "%s: cannot give the output its name: %s",
                       staging->output, strerror(errno));
    sync_directory(staging->parent);
    if ((staging->exists || staging->file) && !remove_flat(staging->temporary))
        zm_logf(&staging->log, ZM_LOG_WARNING, "%s: what the output replaced cannot be removed: %s",
                staging->temporary, strerror(errno));
    free(staging->temporary);
    staging->temporary = NULL;
    return ZM_OK;
}

void zm_staging_finish(zm_staging *staging)
{
    if (staging->temporary && !remove_flat(staging->temporary))
        zm_logf(&staging->log, ZM_LOG_WARNING, "%s: cannot be removed: %s", staging->temporary,
                strerror(errno));
    if (staging->lock >= 0)
        close(staging->lock);
    free(staging->output);
    free(staging->parent);
    free(staging->temporary);
    *staging = (zm_staging){.lock = -1};
}
