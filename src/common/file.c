/* SPDX-License-Identifier: Apache-2.0 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"

/* One system call moves at most this much: Linux stops short of 2 GiB anyway. */
#define MAX_TRANSFER ((size_t)1 << 30)
#define MAX_TEMPORARY_NAMES 100

static zm_status open_regular(const char *path, const zm_log *log, int *out, uint64_t *size)
{
    /* O_NONBLOCK: a FIFO must be refused, not waited for. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        zm_status status = errno == ENOENT ? ZM_ERROR_NOT_FOUND : ZM_ERROR_IO;
        return zm_fail(log, status, "%s: cannot open: %s", path, strerror(errno));
    }
    struct stat info;
    zm_status status = ZM_OK;
    if (fstat(fd, &info) != 0)
        status = zm_fail(log, ZM_ERROR_IO, "%s: cannot stat: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = zm_fail(log, ZM_ERROR_IO, "%s: is not a regular file", path);
    if (status != ZM_OK) {
        close(fd);
        return status;
    }
    *out = fd;
    *size = (uint64_t)info.st_size;
    return ZM_OK;
}

zm_status zm_map_open(const char *path, const zm_log *log, zm_map *out)
{
    int fd = -1;
    uint64_t size = 0;
    zm_status status = open_regular(path, log, &fd, &size);
    if (status != ZM_OK)
        return status;
    void *data = NULL;
    if (size > SIZE_MAX)
        status = zm_fail(log, ZM_ERROR_IO, "%s: too large for this machine's addresses", path);
    if (status == ZM_OK && size > 0) {
        data = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = zm_fail(log, ZM_ERROR_IO, "%s: cannot map: %s", path, strerror(errno));
    }
    close(fd);
    if (status != ZM_OK)
        return status;
    out->data = data;
    out->size = size;
    return ZM_OK;
}

void zm_map_close(zm_map *map)
{
    if (map->data)
        munmap((void *)(uintptr_t)map->data, (size_t)map->size);
    map->data = NULL;
    map->size = 0;
}

bool zm_map_holds(const zm_map *map, const void *begin, uint64_t size)
{
    uintptr_t base = (uintptr_t)map->data, first = (uintptr_t)begin;
    return map->data && first >= base && first - base <= map->size &&
           size <= map->size - (first - base);
}

void zm_map_drop(const zm_map *map, const void *begin, uint64_t size)
{
    if (!zm_map_holds(map, begin, size))
        return;
    uintptr_t first = (uintptr_t)begin;
    /* The page of the last byte stays: the next range begins there. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t start = first / page * page, end = (first + (uintptr_t)size) / page * page;
    if (end > start)
        madvise((void *)start, end - start, MADV_DONTNEED); /* advice: failure changes nothing */
}

static zm_status read_fully(int fd, const char *path, const zm_log *log, char *out, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t part = size - done < MAX_TRANSFER ? size - done : MAX_TRANSFER;
        ssize_t count = read(fd, out + done, part);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return zm_fail(log, ZM_ERROR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (count == 0)
            return zm_fail(log, ZM_ERROR_IO, "%s: became shorter while being read", path);
        done += (size_t)count;
    }
    return ZM_OK;
}

zm_status zm_file_read(const char *path, uint64_t max_size, const zm_log *log, char **out,
                       size_t *size)
{
    int fd = -1;
    uint64_t file_size = 0;
    zm_status status = open_regular(path, log, &fd, &file_size);
    if (status != ZM_OK)
        return status;
    char *text = NULL;
    if (file_size > max_size || file_size >= SIZE_MAX) {
        status = zm_fail(log, ZM_ERROR_LIMIT, "%s: %llu bytes, at most %llu are read", path,
                         (unsigned long long)file_size, (unsigned long long)max_size);
    } else {
        text = malloc((size_t)file_size + 1);
        status = text ? read_fully(fd, path, log, text, (size_t)file_size)
                      : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %llu bytes", path,
                                (unsigned long long)file_size);
    }
    close(fd);
    if (status != ZM_OK) {
        free(text);
        return status;
    }
    text[file_size] = '\0';
    *out = text;
    *size = (size_t)file_size;
    return ZM_OK;
}

/* Not mkstemp: its mode 0600 would stay on the finished file, against the user's umask. */
static int create_beside(const char *path, char *name, size_t name_size)
{
    static atomic_uint counter;
    for (int i = 0; i < MAX_TEMPORARY_NAMES; i++) {
        snprintf(name, name_size, "%s.%ld-%u.tmp", path, (long)getpid(),
                 atomic_fetch_add(&counter, 1));
        int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

zm_status zm_writer_open(zm_writer *writer, const char *path, const zm_log *log)
{
    zm_writer made = {.fd = -1, .log = zm_log_copy(log)};
    size_t name_size = strlen(path) + 48;
    made.path = zm_strdup(path);
    made.temporary = malloc(name_size);
    zm_status status = ZM_OK;
    if (!made.path || !made.temporary) {
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to write it", path);
    } else {
        made.fd = create_beside(path, made.temporary, name_size);
        if (made.fd < 0)
            status = zm_fail(log, ZM_ERROR_IO, "%s: cannot create: %s", path, strerror(errno));
    }
    if (status != ZM_OK) {
        zm_writer_discard(&made);
        return status;
    }
    *writer = made;
    return ZM_OK;
}

static void abandon(zm_writer *writer)
{
    if (writer->fd < 0)
        return;
    close(writer->fd);
    unlink(writer->temporary);
    writer->fd = -1;
}

zm_status zm_writer_write(zm_writer *writer, const void *data, uint64_t size)
{
    if (writer->fd < 0)
        return zm_fail(&writer->log, ZM_ERROR_INVALID_ARGUMENT, "writing to a closed file");
    const char *bytes = data;
    while (size > 0) {
        ssize_t count = write(writer->fd, bytes, size < MAX_TRANSFER ? (size_t)size : MAX_TRANSFER);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0) {
            zm_status status = zm_fail(&writer->log, ZM_ERROR_IO, "%s: cannot write: %s",
                                       writer->path, strerror(errno));
            abandon(writer); /* so that a later commit can't publish the hole */
            return status;
        }
        bytes += count;
        size -= (uint64_t)count;
        writer->written += (uint64_t)count;
    }
    return ZM_OK;
}

/* The name itself must survive a power cut. Best effort: not every file system can do it. */
static void sync_parent(const char *path)
{
    char *parent = zm_strdup(path);
    if (!parent)
        return;
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent] = '\0';
    int fd = open(slash ? parent : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(parent);
}

zm_status zm_writer_commit(zm_writer *writer)
{
    if (writer->fd < 0)
        return zm_fail(&writer->log, ZM_ERROR_INVALID_ARGUMENT, "committing a closed file");
    zm_status status = ZM_OK;
    bool synced = fsync(writer->fd) == 0;
    int error = errno;
    /* close reports what a network file system could not store. */
    if (close(writer->fd) != 0 && synced) {
        synced = false;
        error = errno;
    }
    writer->fd = -1; /* from here on the temporary name is not discard's business */
    if (!synced || rename(writer->temporary, writer->path) != 0) {
        error = synced ? errno : error;
        status = zm_fail(&writer->log, ZM_ERROR_IO, "%s: cannot %s: %s", writer->path,
                         synced ? "rename the finished file" : "write", strerror(error));
        unlink(writer->temporary);
    } else {
        sync_parent(writer->path);
    }
    zm_writer_discard(writer);
    return status;
}

void zm_writer_discard(zm_writer *writer)
{
    abandon(writer);
    free(writer->path);
    free(writer->temporary);
    writer->path = NULL;
    writer->temporary = NULL;
}
