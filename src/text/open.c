/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from whatever the path leads to. */
#include <stdlib.h>

#include "common/file.h"
#include "common/log.h"
#include "format/gguf.h"
#include "text/sources.h"

static zm_status open_directory(const char *directory, const zm_log *log, zm_tokenizer **out)
{
    char *path = zm_path_join(directory, "tokenizer.json");
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its name", directory);
    zm_status status = zm_huggingface_open(path, log, out);
    free(path);
    return status == ZM_OK ? zm_ending_read_directory(*out, directory, log) : status;
}

static zm_status finish(zm_status status, zm_tokenizer *tokenizer, zm_tokenizer **out)
{
    if (status != ZM_OK) {
        zm_tokenizer_close(&tokenizer);
        return status;
    }
    zm_ending_add_known(tokenizer);
    *out = tokenizer;
    return ZM_OK;
}

zm_status zm_tokenizer_open_model(const zm_model *model, const zm_log *log, zm_tokenizer **out)
{
    zm_tokenizer *tokenizer = NULL;
    if (!model || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_tokenizer_open_model: a NULL argument");
    if (!zm_model_get_info(model)->gguf)
        return zm_tokenizer_open(zm_model_get_info(model)->path, log, out);
    zm_status status = zm_gguf_tokenizer_read(model, log, &tokenizer);
    return finish(status, tokenizer, out);
}

/* Weights: their tokenizer is beside them. */
static zm_status open_beside(const char *path, const zm_log *log, zm_tokenizer **out)
{
    char *directory = zm_path_parent(path);
    if (!directory)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    zm_status status = open_directory(directory, log, out);
    free(directory);
    return status;
}

static zm_status open_gguf(const char *path, const zm_log *log, zm_tokenizer **out)
{
    zm_model *model = NULL;
    zm_status status = zm_model_open(path, log, &model);
    if (status == ZM_OK)
        status = zm_tokenizer_open_model(model, log, out);
    zm_model_close(&model);
    return status;
}

zm_status zm_tokenizer_open(const char *path, const zm_log *log, zm_tokenizer **out)
{
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_tokenizer_open: a NULL argument");
    if (zm_gguf_is(path))
        return open_gguf(path, log, out);
    zm_tokenizer *tokenizer = NULL;
    zm_status status;
    if (zm_path_is_directory(path))
        status = open_directory(path, log, &tokenizer);
    else if (zm_path_ends_with(path, ".safetensors"))
        status = open_beside(path, log, &tokenizer);
    else
        status = zm_huggingface_open(path, log, &tokenizer);
    return finish(status, tokenizer, out);
}
