/* SPDX-License-Identifier: Apache-2.0 */
/* What the fuzzers share. Include it in one file of each. */
#ifndef ZM_TESTS_FUZZ_FUZZ_H
#define ZM_TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zeromean/log.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool holds)
{
    if (!holds)
        abort();
}

/* Messages of errors with a text that came through the log. */
static unsigned errors;

static inline void count_error(void *user, zm_log_level level, const char *message)
{
    (void)user;
    errors += level == ZM_LOG_ERROR && message[0] != '\0';
}

static const zm_log counting = {count_error, NULL, ZM_LOG_DEBUG};

/* An empty file in memory, the same one each time, and how it can be opened. */
static inline int memory_file(const char **path)
{
    static int fd = -1;
    static char name[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        require(fd >= 0);
        snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    }
    require(ftruncate(fd, 0) == 0);
    *path = name;
    return fd;
}

static inline void write_at(int fd, const void *data, size_t size, off_t offset)
{
    require(pwrite(fd, data, size, offset) == (ssize_t)size);
}

#endif
