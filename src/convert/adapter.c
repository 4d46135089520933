/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/adapter.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zeromean/session.h>

#include "common/alloc.h"
#include "common/file.h"
#include "convert/adapter_names.h"
#include "convert/copy.h"
#include "convert/output.h"
#include "convert/source.h"
#include "convert/transfer.h"
#include "format/json.h"
#include "format/metadata.h"

#define CONFIG "adapter_config.json"
#define MAX_CONFIG_SIZE ((uint64_t)1 << 20)

typedef struct conversion {
    const zm_convert_params *params;
    const zm_log *log;
    zm_convert_progress progress;
    zm_staging staging;
    zm_model *model;
    /* The adapter's files, as if they were those of a model. */
    zm_model source;
    zm_safetensors *file;
    zm_adapter_kind kind;
    zm_plan_item *items;
    uint64_t bytes, side_bytes; /* bytes: of the output's tensors */
    zm_convert_report report;
} conversion;

/* ---- opening ---- */

static zm_status check_config(const char *directory, const zm_log *log)
{
    json_t *config = NULL;
    char *path = zm_path_join(directory, CONFIG);
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    zm_status status = zm_json_read(path, MAX_CONFIG_SIZE, log, &config);
    if (status == ZM_OK) {
        const char *type = zm_json_string(config, "peft_type");
        if (!type || strcmp(type, "LORA") != 0)
            status = zm_fail(log, ZM_ERROR_UNSUPPORTED,
                             "%s: the peft_type is %.40s; only LORA can be converted: merge the "
                             "adapter into the model first",
                             path, type ? type : "missing");
    }
    json_decref(config);
    free(path);
    return status;
}

static zm_status open_peft(conversion *c)
{
    const char *directory = c->params->adapter;
    zm_status status = check_config(directory, c->log);
    char *path = zm_path_join(directory, ZM_OUTPUT_ADAPTER);
    if (status == ZM_OK)
        status =
            path ? zm_safetensors_open(path, c->log, &c->file)
                 : zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    free(path);
    if (status != ZM_OK)
        return status;
    c->source.files = &c->file;
    c->source.file_count = 1;
    c->source.tensors = c->file->tensors;
    c->source.tensor_count = c->file->tensor_count;
    return ZM_OK;
}

static const char *text_of(const zm_gguf *gguf, const char *key)
{
    const zm_metadata_value *value =
        zm_metadata_find(gguf->parts[0].values, gguf->parts[0].value_count, key);
    return value && value->texts && !value->is_array ? value->texts[0].data : "";
}

static zm_status open_gguf(conversion *c)
{
    const char *path = c->params->adapter;
    const zm_model_info *info = zm_model_get_info(c->model);
    zm_status status = zm_gguf_open(path, c->log, &c->source.gguf);
    if (status != ZM_OK)
        return status;
    const zm_gguf *gguf = c->source.gguf;
    c->source.tensors = gguf->tensors;
    c->source.tensor_count = gguf->tensor_count;
    if (strcmp(text_of(gguf, "general.architecture"), "controlvector") == 0) {
        c->kind = ZM_ADAPTER_GGUF_CONTROL;
        return info->architecture == ZM_ARCHITECTURE_TEXT
                   ? ZM_OK
                   : zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                             "%s: control vectors are for models of text, %s is a %s", path,
                             info->path, info->architecture_name);
    }
    c->kind = ZM_ADAPTER_GGUF_LORA;
    if (strcmp(text_of(gguf, "adapter.type"), "lora") != 0)
        return zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                       "%s: is neither a LoRA adapter nor a control vector", path);
    if (!info->gguf)
        return zm_fail(c->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: has names of a GGUF model; give that instead of %s", path, info->path);
    return ZM_OK;
}

static zm_status open_model(conversion *c)
{
    zm_status status = zm_model_open(c->params->input, c->log, &c->model);
    if (status != ZM_OK)
        return status;
    const zm_model_info *info = zm_model_get_info(c->model);
    if (info->architecture == ZM_ARCHITECTURE_TEXT && info->text.norm != ZM_NORM_LAYER)
        return zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no LayerNorm: its adapters stay as they are", info->path,
                       info->architecture_name);
    if (info->architecture == ZM_ARCHITECTURE_VISION)
        return zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                       "%s: adapters of models of images can't be converted", info->path);
    if (info->folded)
        return zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                       "%s: has norms without weights, which its adapters would have to take over; "
                       "give the original",
                       info->path);
    return zm_session_check_model(c->model, c->log);
}

/* ---- the plan ---- */

static zm_status plan_tensor(conversion *c, const zm_model_tensor *tensor, zm_plan_item *item)
{
    *item = (zm_plan_item){
        .path = c->params->adapter, .tensor = tensor, .made = *tensor, .change = ZM_MEAN_OUT};
    zm_status status = zm_adapter_axis(c->model, c->kind, item->path, tensor, c->log, &item->axis);
    if (status != ZM_OK)
        return status;
    if (!zm_dtype_size(tensor->dtype) || tensor->dtype > ZM_F64)
        return zm_fail(c->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is %s; convert the adapter in a floating type", item->path,
                       tensor->name, zm_dtype_name(tensor->dtype));
    item->changed = item->axis != ZM_RECENTRE_NONE;
    if (item->changed && tensor->dtype != ZM_F64)
        item->made.dtype = ZM_F32; /* as zm_convert does: what changes is not rounded to 16 bits */
    item->made.data = NULL;
    item->made.bytes = zm_dtype_bytes(item->made.dtype, tensor->elements);
    c->report.recentred += item->changed;
    c->bytes += item->made.bytes;
    return ZM_OK;
}

static zm_status plan(conversion *c)
{
    const zm_model *source = &c->source;
    zm_status status = ZM_OK;
    c->items = zm_calloc(source->tensor_count, sizeof(*c->items));
    if (!c->items)
        return zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    for (size_t i = 0; i < source->tensor_count && status == ZM_OK; i++)
        status = plan_tensor(c, &source->tensors[i], &c->items[i]);
    if (status == ZM_OK)
        qsort(c->items, source->tensor_count, sizeof(*c->items), zm_plan_compare);
    return status;
}

/* ---- the output ---- */

static zm_status open_writer(conversion *c, const char *path, zm_tensor_writer **out)
{
    char format_key[] = ZM_FORMAT_KEY, format[] = ZM_FORMAT_AFFINE;
    char norm_key[] = ZM_FORMAT_NORM, norm[] = "rms_norm";
    char source_key[] = ZM_OUTPUT_SOURCE;
    char version_key[] = ZM_OUTPUT_VERSION, version[] = ZM_VERSION_STRING;
    const zm_metadata extra[] = {{format_key, format},
                                 {norm_key, norm},
                                 {source_key, c->report.source_sha256},
                                 {version_key, version}};
    const size_t count = c->source.tensor_count;
    zm_model_tensor *tensors = zm_calloc(count, sizeof(*tensors));
    if (!tensors)
        return zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
    for (size_t i = 0; i < count; i++)
        tensors[i] = c->items[i].made;
    zm_status status = zm_source_writer_open(&c->source, path, tensors, count, extra,
                                             sizeof(extra) / sizeof(extra[0]), c->log, out);
    free(tensors);
    return status;
}

static zm_status write_tensors(conversion *c, zm_tensor_writer *writer)
{
    zm_status status = ZM_OK;
    if (!zm_convert_progress_begin(&c->progress, "converting", c->report.input_bytes))
        return ZM_ERROR_CANCELLED;
    for (size_t i = 0; i < c->source.tensor_count && status == ZM_OK; i++) {
        const zm_transfer_params params = {
            .item = &c->items[i], .writer = writer, .log = c->log, .progress = &c->progress};
        double rounding = 0.0;
        status = zm_transfer_tensor(&params, &rounding);
        if (rounding > c->report.rounding)
            c->report.rounding = rounding;
    }
    return status;
}

static zm_status write_output(conversion *c)
{
    zm_tensor_writer *writer = NULL;
    struct stat info;
    zm_status status = zm_staging_begin(&c->staging, c->bytes + c->side_bytes);
    if (status != ZM_OK)
        return status;
    char *path =
        zm_path_join(c->staging.temporary, c->staging.file ? c->staging.name : ZM_OUTPUT_ADAPTER);
    status = path ? open_writer(c, path, &writer)
                  : zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
    if (status == ZM_OK)
        status = write_tensors(c, writer);
    if (status == ZM_OK)
        status = zm_tensor_writer_commit(&writer);
    zm_tensor_writer_discard(&writer);
    if (status == ZM_OK && stat(path, &info) == 0)
        c->report.output_bytes = (uint64_t)info.st_size;
    free(path);
    if (status == ZM_OK && !c->staging.file)
        status =
            zm_copy_side_files(c->params->adapter, c->staging.temporary, c->log, &c->side_bytes);
    return status == ZM_OK ? zm_staging_commit(&c->staging) : status;
}

/* ---- all of it ---- */

static zm_status check_params(const zm_convert_params *params)
{
    if (params->type != ZM_DTYPE_NONE || params->lossy || params->fold ||
        (params->norm != ZM_NORM_DEFAULT && params->norm != ZM_NORM_RMS))
        return zm_fail(
            params->log, ZM_ERROR_INVALID_ARGUMENT,
            "convert: an adapter gets the norm rms_norm, not folded, and keeps its types");
    if (!zm_path_exists(params->adapter))
        return zm_fail(params->log, ZM_ERROR_NOT_FOUND, "%s: there is no such adapter",
                       params->adapter);
    if (!zm_path_is_directory(params->adapter) && !zm_gguf_is(params->adapter))
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: is neither a directory with " CONFIG " nor a GGUF file",
                       params->adapter);
    return ZM_OK;
}

static zm_status prepare(conversion *c)
{
    const zm_convert_params *params = c->params;
    const bool file = !zm_path_is_directory(params->adapter);
    zm_status status = (file ? zm_staging_init_file : zm_staging_init)(
        &c->staging, params->adapter, params->output, params->overwrite, c->log);
    if (status == ZM_OK)
        status = open_model(c);
    if (status == ZM_OK)
        status = file ? open_gguf(c) : open_peft(c);
    if (status == ZM_OK)
        status = zm_output_check(&c->staging);
    if (status == ZM_OK)
        status = plan(c);
    if (status == ZM_OK && !file)
        status = zm_copy_side_files(params->adapter, NULL, c->log, &c->side_bytes);
    return status;
}

zm_status zm_adapter_convert(const zm_convert_params *params, zm_convert_report *report)
{
    conversion c = {.params = params,
                    .log = params->log,
                    .progress = {.call = params->progress, .user = params->progress_user},
                    .staging = {.lock = -1}};
    zm_status status = check_params(params);
    if (status == ZM_OK)
        status = prepare(&c);
    if (status == ZM_OK)
        status = zm_source_hash(&c.source, &c.progress, &c.report);
    if (status == ZM_OK)
        status = write_output(&c);
    if (status == ZM_ERROR_CANCELLED)
        zm_fail(c.log, status, "%s: conversion cancelled, nothing was written", params->output);
    if (status == ZM_OK && report) {
        c.report.tensors = c.source.tensor_count;
        c.report.norm = ZM_NORM_RMS;
        *report = c.report;
    }
    free(c.items);
    zm_safetensors_close(&c.file);
    zm_gguf_close(&c.source.gguf);
    zm_model_close(&c.model);
    zm_staging_finish(&c.staging);
    return status;
}
