/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from whatever the path leads to. */
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/log.h"
#include "text/sources.h"

static bool is_gguf(const char *path)
{
    static const char magic[] = {'G', 'G', 'U', 'F'};
    zm_map map;
    if (zm_map_open(path, NULL, &map) != ZM_OK)
        return false; /* the reader will say why */
    const bool is = map.size >= sizeof(magic) && memcmp(map.data, magic, sizeof(magic)) == 0;
    zm_map_close(&map);
    return is;
}

static zm_status open_directory(const char *directory, const zm_log *log, zm_tokenizer **out)
{
    char *path = zm_path_join(directory, "tokenizer.json");
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its name", directory);
    zm_status status = zm_huggingface_open(path, log, out);
    free(path);
    return status == ZM_OK ? zm_ending_read_directory(*out, directory, log) : status;
}

zm_status zm_tokenizer_open(const char *path, const zm_log *log, zm_tokenizer **out)
{
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_tokenizer_open: a NULL argument");
    zm_tokenizer *tokenizer = NULL;
    zm_status status;
    if (zm_path_is_directory(path))
        status = open_directory(path, log, &tokenizer);
    else if (is_gguf(path))
        status = zm_gguf_tokenizer_open(path, log, &tokenizer);
    else
        status = zm_huggingface_open(path, log, &tokenizer);
    if (status != ZM_OK) {
        zm_tokenizer_close(&tokenizer);
        return status;
    }
    zm_ending_add_known(tokenizer);
    *out = tokenizer;
    return ZM_OK;
}
