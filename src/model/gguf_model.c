/* SPDX-License-Identifier: Apache-2.0 */
/* Models that are GGUF files. */
#include "common/alloc.h"
#include "format/gguf_types.h"
#include "format/metadata.h"
#include "model/model_private.h"

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

/* Keeps the first reason. */
static void keep_reason(void *user, zm_log_level level, const char *message)
{
    char **reason = user;
    if (level == ZM_LOG_ERROR && !*reason)
        *reason = zm_strdup(message);
}

static zm_status read_text(zm_model *model, const zm_log *log)
{
    const zm_text_fields fields = {
        .what = model->path, .model = model, .family = model->family->name, .log = log};
    zm_status status = zm_text_read(model->family, &fields, &model->info);
    if (status == ZM_OK)
        status = zm_text_patterns_make(model, log);
    return status == ZM_OK ? zm_weights_check(model, log) : status;
}

static zm_status refuse_name(zm_model *model, const zm_log *log)
{
    const char *reason = zm_architecture_reason(model->info.architecture_name);
    model->refusal = zm_strdup(reason ? reason : "supported are " ZM_TEXT_GGUF_FAMILIES);
    model->info.refused = model->refusal;
    return model->refusal
               ? ZM_OK
               : zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", model->path);
}

/* A file of which not all can be done still has tensors and metadata to show. */
static zm_status choose_family(zm_model *model, const zm_log *log)
{
    const zm_log reasons = {keep_reason, &model->refusal, ZM_LOG_ERROR};
    zm_model_info *info = &model->info;
    model->family = zm_text_family_find(info->architecture_name, NULL);
    if (!model->family)
        return refuse_name(model, log);
    info->architecture = ZM_ARCHITECTURE_TEXT;
    model->architecture = &zm_architecture_text;
    zm_status status = read_text(model, &reasons);
    if (status == ZM_OK)
        return ZM_OK;
    zm_patterns_free(model);
    zm_text_rope_free(&info->text);
    if (status == ZM_ERROR_OUT_OF_MEMORY)
        return zm_fail(log, status, "%s: no memory to open it", model->path);
    *info =
        (zm_model_info){.architecture_name = info->architecture_name, .refused = model->refusal};
    model->architecture = NULL;
    model->family = NULL;
    return ZM_OK;
}

zm_status zm_gguf_model_open(zm_model *model, const zm_log *log)
{
    zm_status status = zm_gguf_open(model->path, log, &model->gguf);
    if (status == ZM_OK)
        status = zm_weights_collect(model, log);
    if (status == ZM_OK)
        status = name_architecture(model, log);
    if (status == ZM_OK)
        status = choose_family(model, log);
    return status == ZM_OK && model->family ? zm_model_read_norm(model, log) : status;
}
