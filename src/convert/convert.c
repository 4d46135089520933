/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/convert.h>
#include <zeromean/session.h>

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "convert/adapter.h"
#include "convert/copy.h"
#include "convert/output.h"
#include "convert/plan.h"
#include "convert/reformat.h"
#include "convert/source.h"
#include "convert/transfer.h"
#include "format/metadata.h"

typedef struct conversion {
    const zm_convert_params *params;
    const zm_log *log;
    zm_convert_progress progress;
    zm_staging staging;
    zm_model *model;
    zm_plan_params form; /* of the output */
    zm_plan plan;
    uint64_t side_bytes;
    zm_convert_report report;
} conversion;

/* What is asked for, whatever changes. */
static zm_status check_params(const zm_convert_params *params)
{
    const zm_log *log = params->log;
    if (!params->input || !params->output || !*params->input || !*params->output)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "convert needs an input and an output");
    if (zm_path_exists(params->input) && !zm_path_is_directory(params->input) &&
        !zm_gguf_is(params->input))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: is not a directory with a model, nor a .gguf file", params->input);
    if (params->norm < ZM_NORM_DEFAULT || params->norm >= ZM_NORM_COUNT)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "convert: there is no norm %d",
                       (int)params->norm);
    if (params->fold && params->norm == ZM_NORM_LAYER)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "convert: LayerNorm keeps its weights: folding is for the other norms");
    return ZM_OK;
}

static zm_status check_type(const zm_convert_params *params)
{
    if (params->type != ZM_DTYPE_NONE && params->type != ZM_F32 && params->type != ZM_F16 &&
        params->type != ZM_F64)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "convert: cannot store weights as %s where the norm changes; f32 and f16 "
                       "are possible",
                       zm_dtype_name(params->type));
    return ZM_OK;
}

/* What the output will be. A model whose norms are folded keeps them so, unless it is to be one of
 * LayerNorm again. */
static void choose_form(conversion *c)
{
    const zm_model_info *info = zm_model_get_info(c->model);
    const zm_convert_params *params = c->params;
    zm_norm norm = params->norm == ZM_NORM_DEFAULT ? ZM_NORM_RMS : params->norm;
    bool folded =
        zm_norm_is_narrow(norm) || params->fold || (info->folded && norm != ZM_NORM_LAYER);
    c->form = (zm_plan_params){.norm = norm,
                               .folded = folded,
                               .type = params->type,
                               .lossy = params->lossy,
                               .log = c->log};
    c->report.copied = norm == info->norm && folded == info->folded;
    if (c->report.copied)
        zm_logf(c->log, ZM_LOG_INFO, "%s: has the norm %s already, so it is only copied",
                params->input, zm_norm_name(norm));
}

static zm_status prepare(conversion *c)
{
    const zm_convert_params *params = c->params;
    /* What a model has beside its parts is a reason to refuse it here, not one to warn of. */
    zm_log log = zm_log_copy(c->log);
    if (log.level < ZM_LOG_INFO)
        log.level = ZM_LOG_ERROR;
    zm_status status = zm_model_open(params->input, &log, &c->model);
    if (status)
        return status;
    choose_form(c);
    status = zm_output_check(&c->staging);
    if (!status && !c->report.copied)
        status = zm_session_check_model(c->model, c->log);
    if (!status)
        status = zm_plan_make(c->model, &c->form, &c->plan);
    if (!status && !c->staging.file)
        status = zm_copy_side_files(params->input, NULL, c->log, &c->side_bytes);
    return status;
}

/* A copy comes from where its original came. */
static char *origin(conversion *c)
{
    const char *known = c->report.copied ? zm_model_get_metadata(c->model, ZM_OUTPUT_SOURCE) : NULL;
    return known ? (char *)known : c->report.source_sha256;
}

static zm_status open_writer(conversion *c, const char *path, zm_tensor_writer **out)
{
    char format_key[] = ZM_FORMAT_KEY, affine[] = ZM_FORMAT_AFFINE, forms[] = ZM_FORMAT_FORMS;
    char norm_key[] = ZM_FORMAT_NORM;
    char source_key[] = ZM_OUTPUT_SOURCE;
    char version_key[] = ZM_OUTPUT_VERSION, version[] = ZM_VERSION_STRING;
    char folded_key[] = ZM_FORMAT_FOLDED, folded[] = "true";
    const zm_metadata extra[] = {{format_key, c->form.folded ? forms : affine},
                                 {norm_key, (char *)zm_norm_name(c->form.norm)},
                                 {source_key, origin(c)},
                                 {version_key, version},
                                 {folded_key, folded}};
    const size_t extra_count = sizeof(extra) / sizeof(extra[0]) - (c->form.folded ? 0 : 1);
    zm_model_tensor *tensors = calloc(c->plan.count, sizeof(*tensors));
    if (!tensors)
        return zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
    for (size_t i = 0; i < c->plan.count; i++)
        tensors[i] = c->plan.items[i].made;
    zm_status status = zm_source_writer_open(c->model, path, tensors, c->plan.count, extra,
                                             extra_count, c->log, out);
    free(tensors);
    return status;
}

static zm_status write_tensors(conversion *c, zm_tensor_writer *writer)
{
    if (!zm_convert_progress_begin(&c->progress, "converting", c->plan.input_bytes))
        return ZM_ERROR_CANCELLED;
    for (size_t i = 0; i < c->plan.count; i++) {
        const zm_plan_item *item = &c->plan.items[i];
        const zm_transfer_params params = {.item = item,
                                           .model = c->model,
                                           .writer = writer,
                                           .log = c->log,
                                           .progress = &c->progress};
        double rounding = 0.0;
        zm_status status = zm_transfer_tensor(&params, &rounding);
        if (status)
            return status;
        if (rounding > c->report.rounding)
            c->report.rounding = rounding;
    }
    return ZM_OK;
}

static zm_status write_weights(conversion *c)
{
    zm_tensor_writer *writer = NULL;
    struct stat info;
    char *path = zm_output_weights(&c->staging);
    zm_status status = path ? open_writer(c, path, &writer)
                            : zm_fail(c->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert");
    if (!status)
        status = write_tensors(c, writer);
    if (!status)
        status = zm_tensor_writer_commit(&writer);
    zm_tensor_writer_discard(&writer);
    if (!status && stat(path, &info) == 0)
        c->report.output_bytes = (uint64_t)info.st_size;
    free(path);
    return status;
}

static zm_status write_output(conversion *c)
{
    zm_status status = zm_staging_begin(&c->staging, c->plan.output_bytes + c->side_bytes);
    if (!status)
        status = write_weights(c);
    if (!status && !c->staging.file)
        status = zm_copy_side_files(c->params->input, c->staging.temporary, c->log, &c->side_bytes);
    return status ? status : zm_staging_commit(&c->staging);
}

static void fill_report(conversion *c)
{
    c->report.tensors = c->plan.count;
    c->report.recentred = c->plan.changed;
    c->report.requantised = c->plan.requantised;
    c->report.norm = c->form.norm;
    c->report.folded = c->form.folded;
}

static zm_status change_norm(const zm_convert_params *params, zm_convert_report *report)
{
    conversion c = {.params = params,
                    .log = params->log,
                    .progress = {.call = params->progress, .user = params->progress_user},
                    .staging = {.lock = -1}};
    zm_status status = check_type(params);
    if (!status)
        status = zm_gguf_is(params->input)
                     ? zm_staging_init_file(&c.staging, params->input, params->output,
                                            params->overwrite, c.log)
                     : zm_staging_init(&c.staging, params->input, params->output, params->overwrite,
                                       c.log);
    if (!status)
        status = prepare(&c);
    if (!status)
        status = zm_source_hash(c.model, &c.progress, &c.report);
    if (!status)
        status = write_output(&c);
    if (status == ZM_ERROR_CANCELLED)
        zm_fail(c.log, status, "%s: conversion cancelled, nothing was written", params->output);
    if (!status) {
        fill_report(&c);
        if (report)
            *report = c.report;
    }
    zm_plan_finish(&c.plan);
    zm_model_close(&c.model);
    zm_staging_finish(&c.staging);
    return status;
}

zm_status zm_convert(const zm_convert_params *params, zm_convert_report *report)
{
    if (!params)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = check_params(params);
    if (status)
        return status;
    if (params->adapter)
        return zm_adapter_convert(params, report);
    return zm_reformat_is_wanted(params) ? zm_reformat(params, report)
                                         : change_norm(params, report);
}
