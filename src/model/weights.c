/* SPDX-License-Identifier: Apache-2.0 */
/* The tensors of a model: found in its files, held against the architecture, looked up by name. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/quant.h"
#include "format/metadata.h"
#include "model/model_private.h"
#include "model/pages.h"

zm_status zm_weights_add_file(zm_model *model, const char *path, const zm_log *log)
{
    zm_safetensors **grown =
        realloc(model->files, (model->file_count + 1) * sizeof(zm_safetensors *));
    if (!grown)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", path);
    model->files = grown;
    zm_status status = zm_safetensors_open(path, log, &model->files[model->file_count]);
    if (status == ZM_OK)
        model->file_count++;
    return status;
}

static zm_status open_directory(zm_model *model, const char *directory, const zm_log *log)
{
    char *single = zm_path_join(directory, "model.safetensors");
    char *index = zm_path_join(directory, "model.safetensors.index.json");
    zm_status status = ZM_OK;
    if (!single || !index)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", directory);
    else if (zm_path_exists(single))
        status = zm_weights_add_file(model, single, log);
    else if (zm_path_exists(index))
        status = zm_shards_open(model, directory, index, log);
    else
        status = zm_fail(log, ZM_ERROR_NOT_FOUND,
                         "%s: has neither model.safetensors nor model.safetensors.index.json; "
                         "export the model as safetensors",
                         directory);
    free(single);
    free(index);
    return status;
}

static int compare_names(const void *left, const void *right)
{
    const zm_model_tensor *a = left, *b = right;
    return strcmp(a->name, b->name);
}

static void collect_tensors(zm_model *model, const zm_model_tensor *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++)
        model->tensors[model->tensor_count++] = tensors[i];
}

/* The first file speaks for all. */
static void collect_values(zm_model *model)
{
    const zm_safetensors *file = model->gguf ? NULL : model->files[0];
    for (size_t i = 0; i < model->value_count; i++) {
        if (model->gguf) {
            model->values[i] = model->gguf->parts[0].values[i];
            continue;
        }
        const zm_metadata *pair = &file->metadata[i];
        model->texts[i] = (zm_text){pair->value, strlen(pair->value)};
        model->values[i] = (zm_metadata_value){
            .key = pair->key, .type = ZM_METADATA_STRING, .count = 1, .texts = &model->texts[i]};
    }
    zm_metadata_sort(model->values, model->value_count); /* no file has a key twice */
}

zm_status zm_weights_collect(zm_model *model, const zm_log *log)
{
    size_t count = model->gguf ? model->gguf->tensor_count : 0;
    for (size_t i = 0; i < model->file_count; i++)
        count += model->files[i]->tensor_count;
    model->value_count =
        model->gguf ? model->gguf->parts[0].value_count : model->files[0]->metadata_count;
    model->tensors = zm_calloc(count, sizeof(*model->tensors));
    model->values = zm_calloc(model->value_count, sizeof(*model->values));
    model->texts = zm_calloc(model->gguf ? 0 : model->value_count, sizeof(*model->texts));
    if (!model->tensors || !model->values || !model->texts)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for %zu tensors", model->path,
                       count);
    if (model->gguf)
        collect_tensors(model, model->gguf->tensors, count);
    for (size_t i = 0; i < model->file_count; i++)
        collect_tensors(model, model->files[i]->tensors, model->files[i]->tensor_count);
    qsort(model->tensors, count, sizeof(*model->tensors), compare_names);
    collect_values(model);
    return ZM_OK;
}

zm_status zm_weights_open(zm_model *model, const char *directory, const char *file,
                          const zm_log *log)
{
    zm_status status =
        file ? zm_weights_add_file(model, file, log) : open_directory(model, directory, log);
    return status == ZM_OK ? zm_weights_collect(model, log) : status;
}

void zm_weights_close(zm_model *model)
{
    for (size_t i = 0; i < model->file_count; i++)
        zm_safetensors_close(&model->files[i]);
    zm_gguf_close(&model->gguf);
    free(model->files);
    free(model->tensors);
    free(model->values);
    free(model->texts);
    model->files = NULL;
    model->tensors = NULL;
    model->values = NULL;
    model->texts = NULL;
    model->file_count = model->tensor_count = model->value_count = 0;
}

static int compare_key(const void *key, const void *element)
{
    return strcmp(key, ((const zm_model_tensor *)element)->name);
}

const zm_model_tensor *zm_model_find_tensor(const zm_model *model, const char *name)
{
    return bsearch(name, model->tensors, model->tensor_count, sizeof(*model->tensors), compare_key);
}

/* "[384][80][3]" */
static void write_shape(char *out, size_t size, const uint64_t *shape, uint32_t rank)
{
    size_t used = 0;
    out[0] = '\0';
    for (uint32_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "[%" PRIu64 "]", shape[i]);
}

static zm_status check_tensor(const zm_model *model, const zm_tensor_pattern *pattern,
                              const char *name, const uint64_t *sizes, const zm_log *log)
{
    uint64_t shape[4] = {0};
    char expected[100], found[100];
    for (uint32_t i = 0; i < pattern->rank; i++)
        shape[i] = sizes[pattern->shape[pattern->transposed ? pattern->rank - 1 - i : i]];
    int axis = zm_norm_is_narrow(model->info.norm) ? zm_tensor_pattern_axis(pattern) : -1;
    if (axis >= 0)
        shape[axis]--;
    write_shape(expected, sizeof(expected), shape, pattern->rank);
    const zm_model_tensor *tensor = zm_model_find_tensor(model, name);
    const bool folded = model->info.folded && zm_norm_can_fold(model, pattern);
    if (!tensor && (pattern->optional || folded))
        return ZM_OK;
    if (folded)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "%s: tensor %s is there, although the file says that norms are folded",
                       model->path, name);
    const char *hint = model->gguf ? "" : "; is config.json of the same model?";
    if (!tensor)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s %s is missing%s", model->path, name,
                       expected, hint);
    write_shape(found, sizeof(found), tensor->shape, tensor->rank);
    if (strcmp(expected, found) != 0)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor %s has the shape %s, expected %s%s",
                       model->path, name, found[0] ? found : "of a scalar", expected, hint);
    /* Only GGUF has quantised blocks. */
    if (!zm_quant_can_decode(tensor->dtype))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: tensor %s is %s, expected a floating type (f16, bf16, f32, f64)",
                       model->path, name, zm_dtype_name(tensor->dtype));
    return ZM_OK;
}

static zm_status check_pattern(const zm_model *model, const zm_tensor_pattern *pattern,
                               const uint64_t *sizes, const zm_log *log)
{
    for (uint64_t layer = 0; layer < sizes[pattern->layers]; layer++) {
        char name[ZM_PATTERN_NAME];
        zm_tensor_pattern_name(pattern->name, layer, name, sizeof(name));
        zm_status status = check_tensor(model, pattern, name, sizes, log);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* A model that has them may be another one than it says. */
static zm_status look_at_extra_tensors(const zm_model *model, const zm_log *log)
{
    const char *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < model->tensor_count; i++) {
        const char *name = model->tensors[i].name;
        if (zm_tensor_role_get(model, name) != ZM_ROLE_NONE || zm_tensor_is_ignored(model, name))
            continue;
        /* Families grow variants under one name, with more norms, biases or factors. */
        if (model->family || model->vision)
            return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                           "%s: tensor %.200s has no part in %s as it is supported", model->path,
                           name, model->info.architecture_name);
        if (count++ == 0)
            first = name;
    }
    if (count == 1)
        zm_logf(log, ZM_LOG_WARNING, "%s: tensor %.200s is not part of %s: ignored", model->path,
                first, model->info.architecture_name);
    else if (count > 1)
        zm_logf(log, ZM_LOG_WARNING,
                "%s: %zu tensors are not part of %s: ignored; the first is %.200s", model->path,
                count, model->info.architecture_name, first);
    return ZM_OK;
}

zm_status zm_weights_check(const zm_model *model, const zm_log *log)
{
    const zm_architecture_desc *desc = model->architecture;
    uint64_t sizes[ZM_SIZE_COUNT];
    desc->sizes(&model->info, sizes);
    for (size_t i = 0; i < model->pattern_count; i++) {
        zm_status status = check_pattern(model, &model->patterns[i], sizes, log);
        if (status != ZM_OK)
            return status;
    }
    zm_status status = look_at_extra_tensors(model, log);
    return status == ZM_OK && desc->check ? desc->check(model, log) : status;
}

bool zm_model_is_mapped(const zm_model *model, const zm_model_tensor *tensor)
{
    for (size_t i = 0; i < model->file_count; i++)
        if (zm_map_holds(&model->files[i]->map, tensor->data, tensor->bytes))
            return true;
    for (size_t i = 0; model->gguf && i < model->gguf->part_count; i++)
        if (zm_map_holds(&model->gguf->parts[i].map, tensor->data, tensor->bytes))
            return true;
    return false;
}

void zm_model_drop_pages(const zm_model *model, const zm_model_tensor *tensor)
{
    /* A range outside the mapping is left alone, so only the tensor's own file acts. */
    for (size_t i = 0; i < model->file_count; i++)
        zm_map_drop(&model->files[i]->map, tensor->data, tensor->bytes);
    for (size_t i = 0; model->gguf && i < model->gguf->part_count; i++)
        zm_map_drop(&model->gguf->parts[i].map, tensor->data, tensor->bytes);
}
