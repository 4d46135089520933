/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary folders and a log that remembers, for tests that work on files. */
#ifndef ZM_TESTS_SCRATCH_H
#define ZM_TESTS_SCRATCH_H

#include <zeromean/log.h>

/* A log that keeps its last error and its last warning and counts both. */
typedef struct scratch_log {
    zm_log log;
    unsigned errors, warnings;
    char error[2048], warning[2048];
} scratch_log;

void scratch_log_init(scratch_log *log);

/* cmocka set-up and tear-down: an empty folder, whose path is *state; removed with all in it. */
int scratch_setup(void **state);
int scratch_teardown(void **state);

/* folder/name in a buffer that the next but seven calls reuse. */
const char *scratch_path(void *const *state, const char *name);
void scratch_write(const char *path, const void *data, size_t size);
/* Entries of a folder, without . and .. */
unsigned scratch_count(const char *folder);

#endif
