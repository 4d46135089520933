/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "format/gguf.h"
#include "format/metadata.h"
#include "format/safetensors.h"
#include "model/model_private.h"

#define WEIGHTS "model.safetensors"

static bool is_our_safetensors(const char *path)
{
    zm_safetensors *file = NULL;
    bool ours = false;
    if (zm_path_exists(path) && zm_safetensors_open(path, NULL, &file) == ZM_OK)
        for (size_t i = 0; i < file->metadata_count; i++)
            ours = ours || strcmp(file->metadata[i].key, ZM_FORMAT_KEY) == 0;
    zm_safetensors_close(&file);
    return ours;
}

static bool is_our_gguf(const char *path)
{
    zm_gguf *file = NULL;
    bool ours = zm_gguf_open(path, NULL, &file) == ZM_OK &&
                zm_metadata_find(file->parts[0].values, file->parts[0].value_count, ZM_FORMAT_KEY);
    zm_gguf_close(&file);
    return ours;
}

zm_status zm_output_check(const zm_staging *staging)
{
    if (!staging->exists || (!staging->file && staging->empty))
        return ZM_OK;
    char *path = staging->file ? NULL : zm_path_join(staging->output, WEIGHTS);
    char *adapter = staging->file ? NULL : zm_path_join(staging->output, ZM_OUTPUT_ADAPTER);
    bool ours = staging->file
                    ? is_our_gguf(staging->output)
                    : path && adapter && (is_our_safetensors(path) || is_our_safetensors(adapter));
    const bool failed = !staging->file && (!path || !adapter);
    free(path);
    free(adapter);
    if (failed)
        return zm_fail(&staging->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
    if (ours)
        return ZM_OK;
    return zm_fail(&staging->log, ZM_ERROR_INVALID_ARGUMENT,
                   "%s: is not the output of a conversion, so it is not overwritten; remove it or "
                   "choose another output",
                   staging->output);
}

char *zm_output_weights(const zm_staging *staging)
{
    return zm_path_join(staging->temporary, staging->file ? staging->name : WEIGHTS);
}
