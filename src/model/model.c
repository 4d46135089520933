/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/json.h"
#include "format/metadata.h"
#include "model/model_private.h"
#include "model/pages.h"

#define MAX_CONFIG_SIZE ((uint64_t)16 << 20)
#define DEFAULT_EPS 1e-5f

/* path is a directory, or a .safetensors file in one. GGUF files have gone another way. */
static zm_status split_path(const char *path, const zm_log *log, char **directory,
                            const char **file)
{
    const bool is_directory = zm_path_is_directory(path);
    *directory = is_directory ? zm_strdup(path) : zm_path_parent(path);
    if (!*directory)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    if (is_directory)
        return ZM_OK;
    if (!zm_path_exists(path))
        return zm_fail(log, ZM_ERROR_NOT_FOUND, "%s: there is no such model", path);
    if (!zm_path_ends_with(path, ".safetensors"))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: is neither a model directory, nor a .safetensors file in one, nor a "
                       "GGUF file; give the directory that has config.json and model.safetensors",
                       path);
    *file = path;
    return ZM_OK;
}

static zm_status choose_architecture(zm_model *model, const char *path, const json_t *config,
                                     const zm_log *log)
{
    const char *type = zm_json_string(config, "model_type");
    if (!type)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: has no string model_type", path);
    model->family = zm_text_family_find(type, config);
    model->vision = zm_vision_family_find(type);
    model->architecture = model->family   ? &zm_architecture_text
                          : model->vision ? &zm_architecture_vision
                                          : zm_architecture_find(type);
    const char *reason = zm_architecture_reason(type);
    if (!model->architecture)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: the architecture %.60s is not supported%s%s; supported: %s", path, type,
                       reason ? ": " : "", reason ? reason : "", zm_architecture_names());
    model->info.architecture = model->architecture->architecture;
    model->info.architecture_name = model->family   ? model->family->name
                                    : model->vision ? model->vision->name
                                                    : model->architecture->model_type;
    model->patterns = model->architecture->patterns;
    model->pattern_count = model->architecture->pattern_count;
    return ZM_OK;
}

static zm_status read_eps(zm_model *model, const char *path, const json_t *config,
                          const zm_log *log)
{
    const json_t *eps = json_object_get(config, "layer_norm_eps");
    model->info.eps = DEFAULT_EPS;
    if (!eps)
        return ZM_OK;
    double value = json_number_value(eps); /* 0 for what is no number */
    if (!(value >= 1e-30 && value <= 1))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: layer_norm_eps is not a number in 1e-30 to 1",
                       path);
    model->info.eps = (float)value;
    return ZM_OK;
}

static zm_status read_whisper(zm_model *model, const char *directory, const char *path,
                              const json_t *config, const zm_log *log)
{
    zm_status status = read_eps(model, path, config, log);
    model->info.norm = ZM_NORM_LAYER;
    return status == ZM_OK ? model->architecture->read(directory, config, log, &model->info)
                           : status;
}

static zm_status read_text(zm_model *model, const char *path, const json_t *config,
                           const zm_log *log)
{
    const zm_text_fields fields = {
        .what = path, .config = config, .family = model->family->name, .log = log};
    return zm_text_read(model->family, &fields, &model->info);
}

static zm_status read_vision(zm_model *model, const char *path, const json_t *config,
                             const zm_log *log)
{
    const zm_text_fields fields = {
        .what = path, .config = config, .family = model->vision->name, .log = log};
    return zm_vision_read(model->vision, &fields, &model->info);
}

static zm_status read_config(zm_model *model, const char *directory, const zm_log *log)
{
    json_t *config = NULL;
    char *path = zm_path_join(directory, "config.json");
    if (!path)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    zm_status status = ZM_OK;
    if (!zm_path_exists(path))
        status = zm_fail(log, ZM_ERROR_NOT_FOUND,
                         "%s: is no model directory: it has no config.json; give one that has",
                         directory);
    if (status == ZM_OK)
        status = zm_json_read(path, MAX_CONFIG_SIZE, log, &config);
    if (status == ZM_OK)
        status = choose_architecture(model, path, config, log);
    if (status == ZM_OK)
        status = model->family   ? read_text(model, path, config, log)
                 : model->vision ? read_vision(model, path, config, log)
                                 : read_whisper(model, directory, path, config, log);
    json_decref(config);
    free(path);
    return status;
}

/* Of the norms that a file of this version may have; those behind RMS are what a model of LayerNorm
 * in safetensors can become. */
static bool find_norm(const zm_model *model, const char *name, bool forms, zm_norm *out)
{
    const zm_norm own = model->info.norm;
    const bool narrow = forms && own == ZM_NORM_LAYER && !model->gguf;
    for (int i = ZM_NORM_LAYER; i <= (narrow ? ZM_NORM_ORTHO : ZM_NORM_RMS); i++) {
        *out = (zm_norm)i;
        if ((*out != ZM_NORM_LAYER || own == ZM_NORM_LAYER) &&
            strcmp(name, zm_norm_name(*out)) == 0)
            return true;
    }
    return false;
}

zm_status zm_model_read_norm(zm_model *model, const zm_log *log)
{
    const char *format = zm_model_get_metadata(model, ZM_FORMAT_KEY);
    const char *norm = zm_model_get_metadata(model, ZM_FORMAT_NORM);
    const char *folded = zm_model_get_metadata(model, ZM_FORMAT_FOLDED);
    const bool forms = format && strcmp(format, ZM_FORMAT_FORMS) == 0;
    if (format && !forms && strcmp(format, ZM_FORMAT_AFFINE) != 0)
        return zm_fail(
            log, ZM_ERROR_UNSUPPORTED,
            "%s: was written in format %.20s, this version reads the formats " ZM_FORMAT_AFFINE
            " and " ZM_FORMAT_FORMS "; use a newer version, or convert the original again",
            model->path, format);
    zm_norm found;
    if (!norm)
        return ZM_OK;
    if (!find_norm(model, norm, forms, &found))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: the norm %.40s is not supported for %s",
                       model->path, norm, model->info.architecture_name);
    if (zm_norm_is_narrow(found) && zm_model_width(model) < 2)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: has the norm %s, which leaves nothing of its "
                       "width of 1",
                       model->path, norm);
    model->info.norm = found;
    model->info.folded =
        zm_norm_is_narrow(model->info.norm) ||
        (forms && found == ZM_NORM_RMS && !model->gguf && folded && strcmp(folded, "true") == 0);
    return ZM_OK;
}

static void count_tensors(zm_model *model)
{
    zm_model_info *info = &model->info;
    info->path = model->path;
    info->gguf = model->gguf != NULL;
    info->tensor_count = model->tensor_count;
    info->metadata_count = model->value_count;
    for (size_t i = 0; i < model->tensor_count; i++) {
        info->parameters += model->tensors[i].elements; /* no overflow: all lie in memory */
        info->bytes += model->tensors[i].bytes;
    }
}

static zm_status open_directory(zm_model *model, const zm_log *log)
{
    char *directory = NULL;
    const char *file = NULL;
    zm_status status = split_path(model->path, log, &directory, &file);
    if (status == ZM_OK)
        status = read_config(model, directory, log);
    if (status == ZM_OK)
        status = zm_weights_open(model, directory, file, log);
    if (status == ZM_OK)
        status = zm_model_read_norm(model, log);
    if (status == ZM_OK && model->family)
        status = zm_text_patterns_make(model, log);
    if (status == ZM_OK && model->vision)
        status = zm_vision_patterns_make(model, log);
    if (status == ZM_OK)
        status = zm_weights_check(model, log);
    free(directory);
    return status;
}

zm_status zm_model_open(const char *path, const zm_log *log, zm_model **out)
{
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_model_open: path or out is missing");
    if (!*path)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "the name of the model is empty; give a model directory");
    zm_model *model = zm_calloc(1, sizeof(*model));
    zm_status status = ZM_OK;
    if (model) {
        model->users = 1;
        model->path = zm_strdup(path);
    }
    if (!model || !model->path)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    if (status == ZM_OK)
        status = zm_gguf_is(path) ? zm_gguf_model_open(model, log) : open_directory(model, log);
    if (status != ZM_OK) {
        zm_model_close(&model);
        return status;
    }
    count_tensors(model);
    *out = model;
    return ZM_OK;
}

void zm_model_close(zm_model **model)
{
    if (!model || !*model)
        return;
    zm_model *m = *model;
    *model = NULL;
    if (atomic_fetch_sub(&m->users, 1) > 1)
        return;
    if (m->architecture && m->architecture->finish)
        m->architecture->finish(&m->info);
    zm_patterns_free(m);
    zm_weights_close(m);
    free(m->refusal);
    free(m->path);
    free(m);
}

zm_model *zm_model_retain(const zm_model *model)
{
    zm_model *m = (zm_model *)(uintptr_t)model;
    atomic_fetch_add(&m->users, 1);
    return m;
}

const zm_model_info *zm_model_get_info(const zm_model *model)
{
    return &model->info;
}

const zm_model_tensor *zm_model_get_tensor(const zm_model *model, size_t index)
{
    return index < model->tensor_count ? &model->tensors[index] : NULL;
}

const zm_metadata_value *zm_model_get_value(const zm_model *model, size_t index)
{
    return index < model->value_count ? &model->values[index] : NULL;
}

const zm_metadata_value *zm_model_find_value(const zm_model *model, const char *key)
{
    return zm_metadata_find(model->values, model->value_count, key);
}

const char *zm_model_get_metadata(const zm_model *model, const char *key)
{
    const zm_metadata_value *value = zm_model_find_value(model, key);
    return value && value->texts && !value->is_array ? value->texts[0].data : NULL;
}
