/* SPDX-License-Identifier: Apache-2.0 */
#include "scratch.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "support/folder.h"

static void remember(void *user, zm_log_level level, const char *message)
{
    scratch_log *log = user;
    if (level == ZM_LOG_ERROR) {
        log->errors++;
        snprintf(log->error, sizeof(log->error), "%s", message);
    } else if (level == ZM_LOG_WARNING) {
        log->warnings++;
        snprintf(log->warning, sizeof(log->warning), "%s", message);
    }
}

void scratch_log_init(scratch_log *log)
{
    memset(log, 0, sizeof(*log));
    log->log = (zm_log){remember, log, ZM_LOG_WARNING};
}

int scratch_setup(void **state)
{
    return (*state = test_folder_make()) ? 0 : -1;
}

int scratch_teardown(void **state)
{
    test_folder_remove(*state);
    return 0;
}

const char *scratch_path(void *const *state, const char *name)
{
    static char paths[8][1024];
    static unsigned next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", (const char *)*state, name);
    return path;
}

void scratch_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

unsigned scratch_count(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}
