/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/output.h"
#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"

enum { INPUT_BYTES_MAX = 1 << 28 };

static zm_status read_stream(FILE *from, const char *name, char **text, size_t *size)
{
    size_t capacity = 0, got = 1;
    while (got > 0) {
        if (*size >= INPUT_BYTES_MAX)
            return zm_fail(zm_cli_log(), ZM_ERROR_LIMIT, "%s: over %d MB", name,
                           INPUT_BYTES_MAX >> 20);
        if (!zm_array_reserve((void **)text, &capacity, *size + 4096, 1))
            return ZM_ERROR_OUT_OF_MEMORY;
        got = fread(*text + *size, 1, capacity - *size - 1, from);
        *size += got;
    }
    (*text)[*size] = '\0';
    if (ferror(from))
        return zm_fail(zm_cli_log(), ZM_ERROR_IO, "%s: cannot be read", name);
    return ZM_OK;
}

static bool is_pipe(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISFIFO(info.st_mode);
}

static zm_status read_pipe(const char *path, char **text, size_t *size)
{
    FILE *file = fopen(path, "r");
    if (!file)
        return zm_fail(zm_cli_log(), ZM_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    zm_status status = read_stream(file, path, text, size);
    fclose(file);
    return status;
}

zm_status zm_cli_input_read(const char *prompt, const char *path, char **text, size_t *size)
{
    if (path && is_pipe(path))
        return read_pipe(path, text, size);
    if (path)
        return zm_file_read(path, INPUT_BYTES_MAX, zm_cli_log(), text, size);
    if (!prompt)
        return read_stream(stdin, "standard input", text, size);
    *size = strlen(prompt);
    *text = zm_strdup(prompt);
    return *text ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
}
