/* SPDX-License-Identifier: Apache-2.0 */
#include "model_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "format/json.h"
#include "tensor_list.h"

#define WEIGHTS "model.safetensors"
#define INDEX "model.safetensors.index.json"

static void write_shards(const char *directory, const tensor_list *list, unsigned shards)
{
    json_t *map = json_object();
    for (unsigned s = 0; s < shards; s++) {
        size_t begin = list->count * s / shards, end = list->count * (s + 1) / shards;
        char *name = test_format("model-%05u-of-%05u.safetensors", s + 1, shards);
        char *path = test_format("%s/%s", directory, name);
        tensor_list_write(list, path, begin, end);
        for (size_t i = begin; i < end; i++)
            json_object_set_new(map, list->tensors[i].name, json_string(name));
        free(path);
        free(name);
    }
    json_t *root = json_pack("{s:{}, s:o}", "metadata", "weight_map", map);
    char *text = json_dumps(root, JSON_INDENT(1));
    test_write_text(directory, INDEX, text);
    free(text);
    json_decref(root);
}

static const zm_model_tensor *find(const zm_model_tensor *tensors, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(tensors[i].name, name) == 0)
            return &tensors[i];
    return NULL;
}

static void collect(tensor_list *list, const zm_safetensors *file, const test_changes *changes)
{
    for (size_t i = 0; i < file->tensor_count; i++) {
        zm_model_tensor tensor = file->tensors[i];
        const zm_model_tensor *other = find(changes->put, changes->put_count, tensor.name);
        if (changes->drop && strcmp(tensor.name, changes->drop) == 0)
            continue;
        void *edited = changes->edit ? changes->edit(changes->user, &tensor) : NULL;
        if (edited)
            tensor.data = tensor_list_own(list, edited);
        tensor_list_add(list, other ? other : &tensor);
    }
    for (size_t i = 0; i < changes->put_count; i++)
        if (!find(file->tensors, file->tensor_count, changes->put[i].name))
            tensor_list_add(list, &changes->put[i]);
}

static void change_metadata(tensor_list *list, const zm_safetensors *file,
                            const test_changes *changes)
{
    for (size_t i = 0; i < file->metadata_count; i++)
        if (!changes->norm || strncmp(file->metadata[i].key, "zeromean.", 9) != 0)
            tensor_list_say(list, file->metadata[i].key, file->metadata[i].value);
    if (changes->norm && *changes->norm)
        tensor_list_say_norm(list, changes->norm, changes->format);
}

static void copy_texts(const char *from, const char *to, const test_changes *changes)
{
    static const char *const names[] = {"config.json", "generation_config.json", "tokenizer.json"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t size;
        char *text = test_read_file(from, names[i], &size);
        assert_non_null(text);
        if (i == 0 && changes->eps) {
            assert_int_equal(text[0], '{');
            char *changed = test_format("{\"layer_norm_eps\": %s, %s", changes->eps, text + 1);
            free(text);
            text = changed;
        }
        test_write_text(to, names[i], text);
        free(text);
    }
}

void test_copy_model(const char *from, const char *to, const test_changes *changes)
{
    zm_safetensors *file = NULL;
    tensor_list *list = tensor_list_make();
    char *source = test_format("%s/" WEIGHTS, from), *path = test_format("%s/" WEIGHTS, to);
    assert_int_equal(zm_safetensors_open(source, NULL, &file), ZM_OK);
    collect(list, file, changes);
    change_metadata(list, file, changes);
    mkdir(to, 0777);
    if (changes->shards > 1)
        write_shards(to, list, changes->shards);
    else
        tensor_list_write(list, path, 0, list->count);
    copy_texts(from, to, changes);
    tensor_list_free(list);
    zm_safetensors_close(&file);
    free(source);
    free(path);
}
