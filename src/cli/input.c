/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "common/alloc.h"
#include "common/file.h"
#include "common/log.h"

enum { INPUT_BYTES_MAX = 1 << 28 };

static zm_status read_stdin(char **text, size_t *size)
{
    size_t capacity = 0, got = 1;
    while (got > 0) {
        if (*size >= INPUT_BYTES_MAX)
            return zm_fail(zm_cli_log(), ZM_ERROR_LIMIT, "standard input: over %d MB",
                           INPUT_BYTES_MAX >> 20);
        if (!zm_array_reserve((void **)text, &capacity, *size + 4096, 1))
            return ZM_ERROR_OUT_OF_MEMORY;
        got = fread(*text + *size, 1, capacity - *size - 1, stdin);
        *size += got;
    }
    (*text)[*size] = '\0';
    if (ferror(stdin))
        return zm_fail(zm_cli_log(), ZM_ERROR_IO, "standard input: cannot be read");
    return ZM_OK;
}

zm_status zm_cli_input_read(const char *prompt, const char *path, char **text, size_t *size)
{
    if (path)
        return zm_file_read(path, INPUT_BYTES_MAX, zm_cli_log(), text, size);
    if (!prompt)
        return read_stdin(text, size);
    *size = strlen(prompt);
    *text = zm_strdup(prompt);
    return *text ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
}
