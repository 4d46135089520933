/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are GGUF files. */
#include <string.h>

#include "format/gguf_types.h"
#include "format/metadata.h"
#include "model/model_private.h"

bool zm_model_is_gguf(const char *path)
{
    static const char suffix[] = ".gguf";
    size_t length = strlen(path), suffix_length = sizeof(suffix) - 1;
    return length > suffix_length && strcmp(path + length - suffix_length, suffix) == 0 &&
           !zm_path_is_directory(path);
}

/* No table describes an architecture by the names of GGUF yet. */
static zm_status name_architecture(zm_model *model, const zm_log *log)
{
    const zm_metadata_value *value =
        zm_metadata_find(model->values, model->value_count, "general.architecture");
    zm_text name;
    model->info.architecture_name = "unknown";
    if (!value)
        return ZM_OK;
    if (value->is_array || !zm_metadata_string(value, 0, &name) ||
        !zm_gguf_name_valid(name.data, name.length))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: general.architecture is no name",
                       model->path);
    model->info.architecture_name = name.data;
    return ZM_OK;
}

zm_status zm_gguf_model_open(zm_model *model, const zm_log *log)
{
    if (!zm_path_exists(model->path))
        return zm_fail(log, ZM_ERROR_NOT_FOUND, "%s: there is no such model", model->path);
    zm_status status = zm_gguf_open(model->path, log, &model->gguf);
    if (status == ZM_OK)
        status = zm_weights_collect(model, log);
    return status == ZM_OK ? name_architecture(model, log) : status;
}
