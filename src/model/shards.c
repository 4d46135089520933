/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in several files: model.safetensors.index.json says which tensor is in which. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/json.h"
#include "model/model_private.h"

#define MAX_INDEX_SIZE ((uint64_t)64 << 20)
#define MAX_SHARDS 1024
#define NAME "%.200s"

/* A plain file name: an index must not reach outside of its directory. */
static bool is_plain_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f || *c == '/' || *c == '\\')
            return false;
    return *name && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int compare_strings(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* The file names of the map, sorted, each once; they belong to the map. */
static zm_status list_files(const char *index, json_t *map, const zm_log *log, const char ***out,
                            size_t *count)
{
    const char **names = zm_calloc(json_object_size(map), sizeof(*names));
    if (!names)
        return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory for its weight_map", index);
    *out = names;
    size_t used = 0;
    const char *tensor;
    json_t *file;
    json_object_foreach(map, tensor, file)
    {
        if (!json_is_string(file) || !is_plain_name(json_string_value(file)))
            return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                           "%s: weight_map names no file of this directory for " NAME, index,
                           tensor);
        names[used++] = json_string_value(file);
    }
    qsort(names, used, sizeof(*names), compare_strings);
    *count = 0;
    for (size_t i = 0; i < used; i++)
        if (i == 0 || strcmp(names[i], names[*count - 1]) != 0)
            names[(*count)++] = names[i];
    if (*count == 0 || *count > MAX_SHARDS)
        return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: weight_map names %zu files, expected 1 to %d",
                       index, *count, MAX_SHARDS);
    return ZM_OK;
}

/* Every tensor of the shard is mapped to it. Returns how many there are through *mapped. */
static zm_status check_shard(const char *index, const json_t *map, const char *name,
                             const zm_safetensors *file, const zm_log *log, size_t *mapped)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        const char *tensor = file->tensors[i].name;
        const char *expected = zm_json_string(map, tensor);
        if (!expected)
            return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor " NAME " of %s is not in the weight_map", index, tensor,
                           name);
        if (strcmp(expected, name) != 0)
            return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                           "%s: tensor " NAME " is in %s, the weight_map says " NAME, index, tensor,
                           name, expected);
    }
    *mapped += file->tensor_count;
    return ZM_OK;
}

static int compare_key(const void *key, const void *element)
{
    return strcmp(key, ((const zm_model_tensor *)element)->name);
}

/* Some tensor of the map is not in its shard: names the first. names[i] is model->files[i]. */
static zm_status report_missing(const char *index, json_t *map, const char *const *names,
                                const zm_model *model, const zm_log *log)
{
    const char *tensor;
    json_t *value;
    json_object_foreach(map, tensor, value)
    {
        const char *name = json_string_value(value);
        const char *const *place =
            bsearch(&name, names, model->file_count, sizeof(*names), compare_strings);
        const zm_safetensors *file = model->files[place - names];
        if (!bsearch(tensor, file->tensors, file->tensor_count, sizeof(*file->tensors),
                     compare_key))
            return zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: tensor " NAME " is not in " NAME, index,
                           tensor, name);
    }
    return ZM_OK;
}

static zm_status open_files(zm_model *model, const char *directory, const char *index, json_t *map,
                            const char *const *names, size_t count, const zm_log *log)
{
    size_t mapped = 0;
    for (size_t i = 0; i < count; i++) {
        char *path = zm_path_join(directory, names[i]);
        if (!path)
            return zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to open it", index);
        zm_status status = zm_weights_add_file(model, path, log);
        free(path);
        if (status == ZM_OK)
            status = check_shard(index, map, names[i], model->files[i], log, &mapped);
        if (status != ZM_OK)
            return status;
    }
    return mapped == json_object_size(map) ? ZM_OK : report_missing(index, map, names, model, log);
}

zm_status zm_shards_open(zm_model *model, const char *directory, const char *index,
                         const zm_log *log)
{
    json_t *root = NULL;
    const char **names = NULL;
    size_t count = 0;
    zm_status status = zm_json_read(index, MAX_INDEX_SIZE, log, &root);
    if (status != ZM_OK)
        return status;
    json_t *map = json_object_get(root, "weight_map");
    if (!json_is_object(map))
        status = zm_fail(log, ZM_ERROR_BAD_FORMAT, "%s: weight_map is not a JSON object", index);
    if (status == ZM_OK)
        status = list_files(index, map, log, &names, &count);
    if (status == ZM_OK)
        status = open_files(model, directory, index, map, names, count, log);
    free(names);
    json_decref(root);
    return status;
}
