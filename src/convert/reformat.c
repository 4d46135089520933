/* SPDX-License-Identifier: Apache-2.0 */
/* Conversion between formats, from beginning to end. */
#include "convert/reformat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/alloc.h"
#include "common/thread.h"
#include "convert/output.h"
#include "convert/source.h"
#include "model/pages.h"
#include "text/exchange.h"

typedef struct reformatting {
    const zm_convert_params *params;
    const zm_log *log;
    zm_convert_progress progress;
    zm_staging staging;
    zm_model *model;
    zm_reformat_plan plan;
    zm_tokenizer_files files; /* of a directory */
    bool to_gguf;
    bool mute; /* there is no tokenizer */
    zm_convert_report report;
} reformatting;

/* From one format to the same it is the norm that changes, unless a type is asked for and both are
 * GGUF. Checks in float64 convert GGUF files to F64, which reformatting refuses. */
bool zm_reformat_is_wanted(const zm_convert_params *params)
{
    const bool from = zm_gguf_is(params->input), to = zm_gguf_is_name(params->output);
    const bool block = zm_dtype_block_length(params->type) > 1;
    const bool typed = params->type != ZM_DTYPE_NONE && params->type != ZM_F64;
    return from != to || (to && (block || (typed && params->norm == ZM_NORM_DEFAULT)));
}

static zm_status no_memory(const zm_log *log)
{
    return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
}

/* ---- what is asked for ---- */

static zm_status check_params(const reformatting *r)
{
    const zm_convert_params *params = r->params;
    if (params->lossy)
        return zm_fail(r->log, ZM_ERROR_INVALID_ARGUMENT,
                       "convert: lossy is about a change of the norm, and the norm stays where the "
                       "format changes or, from GGUF to GGUF, a type is asked for");
    return ZM_OK;
}

static zm_status check_norm(const reformatting *r)
{
    const zm_model_info *info = zm_model_get_info(r->model);
    const zm_norm wanted = r->params->norm;
    if (info->folded)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: its norms have no weights, for which GGUF has no form; convert it to "
                       "the norm layer_norm first",
                       info->path);
    if (r->to_gguf && (r->params->fold || zm_norm_is_narrow(wanted)))
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: GGUF has no form for norms without weights, nor for a main branch of "
                       "one element less; convert to a model directory",
                       info->path);
    if (!r->params->fold && (wanted == ZM_NORM_DEFAULT || wanted == info->norm))
        return ZM_OK;
    if (r->model->gguf && r->to_gguf)
        return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                       "%s: the norm and a quantised type are not converted in one step; convert "
                       "the norm first, and the result to %s",
                       info->path, zm_dtype_name(r->params->type));
    return zm_fail(r->log, ZM_ERROR_UNSUPPORTED,
                   "%s: the norm and the format are not converted in one step; convert to a "
                   "directory with the norm first, and that to the other format",
                   info->path);
}

/* ---- the tokenizer ---- */

static zm_status carry_tokenizer_to_gguf(reformatting *r)
{
    char *path = zm_path_join(r->params->input, "tokenizer.json");
    const bool there = path && zm_path_exists(path);
    const uint32_t vocabulary = zm_model_get_info(r->model)->text.vocabulary;
    free(path);
    if (!path)
        return no_memory(r->log);
    r->mute = !there;
    return there ? zm_tokenizer_to_gguf(r->params->input, vocabulary, r->log, &r->plan.values)
                 : ZM_OK;
}

static zm_status carry_tokenizer(reformatting *r)
{
    if (r->to_gguf)
        return r->model->gguf ? ZM_OK : carry_tokenizer_to_gguf(r);
    zm_status status = zm_tokenizer_to_files(r->model, r->log, &r->files);
    r->mute = status == ZM_ERROR_NOT_FOUND;
    return r->mute ? ZM_OK : status;
}

/* ---- metadata about the conversion ---- */

static zm_status add_values(reformatting *r)
{
    zm_metadata_list *values = &r->plan.values;
    const char *norm = zm_model_get_metadata(r->model, ZM_FORMAT_NORM);
    zm_metadata_list_string(values, ZM_FORMAT_KEY, ZM_FORMAT_AFFINE);
    zm_metadata_list_string(values, ZM_OUTPUT_SOURCE, r->report.source_sha256);
    zm_metadata_list_string(values, ZM_OUTPUT_VERSION, ZM_VERSION_STRING);
    if (norm)
        zm_metadata_list_string(values, ZM_FORMAT_NORM, norm);
    return values->failed ? no_memory(r->log) : ZM_OK;
}

/* Safetensors have strings only: of what a GGUF file says about itself those go along. */
static bool is_carried(const zm_metadata_value *value)
{
    return (strncmp(value->key, "general.", 8) == 0 || strcmp(value->key, ZM_FORMAT_NORM) == 0) &&
           value->type == ZM_METADATA_STRING && !value->is_array &&
           strcmp(value->key, "general.architecture") != 0;
}

static zm_status make_pairs(const reformatting *r, zm_metadata **out, size_t *count)
{
    static const char *const own[][2] = {{"format", "pt"},
                                         {ZM_FORMAT_KEY, ZM_FORMAT_AFFINE},
                                         {ZM_OUTPUT_VERSION, ZM_VERSION_STRING}};
    const size_t own_count = sizeof(own) / sizeof(own[0]);
    zm_metadata *pairs = zm_calloc(r->model->value_count + own_count + 1, sizeof(*pairs));
    size_t used = 0;
    if (!pairs)
        return no_memory(r->log);
    for (size_t i = 0; i < own_count; i++)
        pairs[used++] = (zm_metadata){(char *)(uintptr_t)own[i][0], (char *)(uintptr_t)own[i][1]};
    char *hash = (char *)(uintptr_t)r->report.source_sha256;
    pairs[used++] = (zm_metadata){(char *)(uintptr_t)ZM_OUTPUT_SOURCE, hash};
    for (size_t i = 0; i < r->model->value_count; i++) {
        const zm_metadata_value *value = &r->model->values[i];
        if (is_carried(value))
            pairs[used++] = (zm_metadata){(char *)(uintptr_t)value->key,
                                          (char *)(uintptr_t)value->texts[0].data};
    }
    *out = pairs;
    *count = used;
    return ZM_OK;
}

/* ---- what is written ---- */

static zm_status open_writer(reformatting *r, const char *path, zm_tensor_writer **out)
{
    const zm_reformat_plan *plan = &r->plan;
    zm_metadata *pairs = NULL;
    size_t pair_count = 0;
    zm_model_tensor *made = zm_calloc(plan->count, sizeof(*made));
    zm_status status = made ? ZM_OK : no_memory(r->log);
    for (size_t i = 0; i < plan->count && made; i++)
        made[i] = plan->items[i].made;
    if (status == ZM_OK && r->to_gguf) {
        status = add_values(r);
        if (status == ZM_OK)
            status = zm_gguf_writer_open(path, made, plan->count, plan->values.values,
                                         plan->values.count, r->log, out);
    } else if (status == ZM_OK) {
        status = make_pairs(r, &pairs, &pair_count);
        if (status == ZM_OK)
            status =
                zm_safetensors_writer_open(path, made, plan->count, pairs, pair_count, r->log, out);
    }
    free(pairs);
    free(made);
    return status;
}

static zm_status write_tensors(reformatting *r, zm_tensor_writer *writer, zm_pool *pool)
{
    if (!zm_convert_progress_begin(&r->progress, "converting", r->plan.input_bytes))
        return ZM_ERROR_CANCELLED;
    for (size_t i = 0; i < r->plan.count; i++) {
        const zm_reformat_tensor_params params = {.plan = &r->plan,
                                                  .item = &r->plan.items[i],
                                                  .writer = writer,
                                                  .progress = &r->progress,
                                                  .pool = pool,
                                                  .log = r->log};
        double rounding = 0;
        zm_status status = zm_reformat_tensor(&params, &rounding);
        if (status != ZM_OK)
            return status;
        if (rounding > r->report.rounding)
            r->report.rounding = rounding;
        zm_model_drop_pages(r->model, params.item->source);
    }
    return ZM_OK;
}

static zm_status write_weights(reformatting *r)
{
    zm_tensor_writer *writer = NULL;
    zm_pool *pool = NULL;
    struct stat info;
    char *path = zm_output_weights(&r->staging);
    zm_status status = path && zm_pool_create(zm_processor_count(), &pool) == ZM_OK
                           ? open_writer(r, path, &writer)
                           : no_memory(r->log);
    if (status == ZM_OK)
        status = write_tensors(r, writer, pool);
    zm_pool_destroy(&pool);
    if (status == ZM_OK)
        status = zm_tensor_writer_commit(&writer);
    zm_tensor_writer_discard(&writer);
    if (status == ZM_OK && stat(path, &info) == 0)
        r->report.output_bytes = (uint64_t)info.st_size;
    free(path);
    return status;
}

static zm_status write_json(const reformatting *r, const char *name, const json_t *object,
                            size_t indent)
{
    zm_writer writer = {.fd = -1};
    if (!object)
        return ZM_OK;
    char *path = zm_path_join(r->staging.temporary, name);
    char *text = json_dumps(object, JSON_INDENT(indent) | JSON_REAL_PRECISION(9));
    zm_status status = path && text ? zm_writer_open(&writer, path, r->log) : no_memory(r->log);
    if (status == ZM_OK)
        status = zm_writer_write(&writer, text, strlen(text));
    if (status == ZM_OK)
        status = zm_writer_write(&writer, "\n", 1);
    if (status == ZM_OK)
        status = zm_writer_commit(&writer);
    zm_writer_discard(&writer);
    free(path);
    free(text);
    return status;
}

static void set_tokens(const zm_tokenizer_files *files, json_t *config)
{
    if (files->bos)
        json_object_set(config, "bos_token_id", files->bos);
    if (files->ends)
        json_object_set(config, "eos_token_id", files->ends);
    if (files->padding)
        json_object_set(config, "pad_token_id", files->padding);
}

static zm_status write_directory(reformatting *r)
{
    json_t *generation = r->files.tokenizer ? json_object() : NULL;
    set_tokens(&r->files, generation);
    set_tokens(&r->files, r->plan.config);
    zm_status status = write_json(r, "config.json", r->plan.config, 2);
    if (status == ZM_OK)
        status = write_json(r, "generation_config.json", generation, 2);
    if (status == ZM_OK)
        status = write_json(r, "tokenizer_config.json", r->files.config, 2);
    if (status == ZM_OK)
        status = write_json(r, "tokenizer.json", r->files.tokenizer, 0);
    json_decref(generation);
    return status;
}

/* ---- all of it ---- */

static zm_status prepare(reformatting *r)
{
    const zm_convert_params *params = r->params;
    zm_status status = r->to_gguf ? zm_staging_init_file(&r->staging, params->input, params->output,
                                                         params->overwrite, r->log)
                                  : zm_staging_init(&r->staging, params->input, params->output,
                                                    params->overwrite, r->log);
    if (status == ZM_OK)
        status = zm_model_open(params->input, r->log, &r->model);
    if (status == ZM_OK)
        status = check_norm(r);
    if (status == ZM_OK)
        status = zm_output_check(&r->staging);
    if (status == ZM_OK)
        status = zm_reformat_plan_make(r->model, r->to_gguf, params->type, r->log, &r->plan);
    return status == ZM_OK ? carry_tokenizer(r) : status;
}

static zm_status write_output(reformatting *r)
{
    zm_status status = zm_staging_begin(&r->staging, r->plan.output_bytes);
    if (status == ZM_OK)
        status = write_weights(r);
    if (status == ZM_OK && !r->to_gguf)
        status = write_directory(r);
    return status == ZM_OK ? zm_staging_commit(&r->staging) : status;
}

zm_status zm_reformat(const zm_convert_params *params, zm_convert_report *report)
{
    reformatting r = {.params = params,
                      .log = params->log,
                      .progress = {.call = params->progress, .user = params->progress_user},
                      .staging = {.lock = -1},
                      .to_gguf = zm_gguf_is_name(params->output),
                      .report = {.reformatted = true}};
    zm_status status = check_params(&r);
    if (status == ZM_OK)
        status = prepare(&r);
    if (status == ZM_OK)
        status = zm_source_hash(r.model, &r.progress, &r.report);
    if (status == ZM_OK)
        status = write_output(&r);
    if (status == ZM_ERROR_CANCELLED)
        zm_fail(r.log, status, "%s: conversion cancelled, nothing was written", params->output);
    if (status == ZM_OK && report) {
        r.report.tensors = r.plan.count;
        r.report.norm = zm_model_get_info(r.model)->norm;
        r.report.type = r.plan.type;
        r.report.as_q8_0 = r.plan.as_q8_0;
        r.report.as_f16 = r.plan.as_f16;
        *report = r.report;
    }
    if (status == ZM_OK && r.mute)
        zm_logf(r.log, ZM_LOG_WARNING, "%s: has no tokenizer, so %s has none", params->input,
                params->output);
    zm_tokenizer_files_clear(&r.files);
    zm_reformat_plan_finish(&r.plan);
    zm_model_close(&r.model);
    zm_staging_finish(&r.staging);
    return status;
}
