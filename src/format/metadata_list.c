/* SPDX-License-Identifier: Apache-2.0 */
#include "format/metadata_list.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "format/metadata.h"

static void free_value(zm_metadata_value *value)
{
    zm_metadata_value *arrays = (void *)(uintptr_t)value->arrays;
    for (uint64_t i = 0; arrays && i < value->count; i++) {
        arrays[i].key = NULL; /* the outer one's */
        free_value(&arrays[i]);
    }
    free(arrays);
    free((void *)(uintptr_t)value->key);
    free((void *)(uintptr_t)value->numbers);
    free((void *)(uintptr_t)value->texts);
}

/* The bytes of all texts are behind the last one. */
static zm_text *copy_texts(const zm_text *texts, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += texts[i].length + 1;
    zm_text *copy = size <= SIZE_MAX / 2 && count <= SIZE_MAX / 4 / sizeof(*copy)
                        ? zm_calloc(count * sizeof(*copy) + size + 1, 1)
                        : NULL;
    char *bytes = (char *)(copy + count);
    for (size_t i = 0; copy && i < count; i++) {
        memcpy(bytes, texts[i].data, texts[i].length);
        copy[i] = (zm_text){bytes, texts[i].length};
        bytes += texts[i].length + 1;
    }
    return copy;
}

static bool copy_elements(const zm_metadata_value *value, const char *key, zm_metadata_value *out);

static zm_metadata_value *copy_arrays(const zm_metadata_value *value, const char *key)
{
    zm_metadata_value *copies = zm_calloc((size_t)value->count + 1, sizeof(*copies));
    for (uint64_t i = 0; copies && i < value->count; i++) {
        if (copy_elements(&value->arrays[i], key, &copies[i]))
            continue;
        zm_metadata_value made = {.arrays = copies, .count = i + 1};
        free_value(&made);
        return NULL;
    }
    return copies;
}

/* Arrays are as deep as those of a file may be. On failure what was copied hangs on *out. */
static bool copy_elements(const zm_metadata_value *value, const char *key, zm_metadata_value *out)
{
    const size_t count = (size_t)value->count, size = count * zm_metadata_type_size(value->type);
    *out = *value;
    out->key = key;
    out->texts = NULL;
    out->arrays = NULL;
    out->numbers = NULL;
    if (value->type == ZM_METADATA_STRING)
        return (out->texts = copy_texts(value->texts, count)) != NULL;
    if (value->type == ZM_METADATA_ARRAY)
        return (out->arrays = copy_arrays(value, key)) != NULL;
    void *numbers = zm_calloc(size + 1, 1);
    if (numbers && size > 0)
        memcpy(numbers, value->numbers, size);
    out->numbers = numbers;
    return numbers != NULL;
}

void zm_metadata_list_copy(zm_metadata_list *list, const zm_metadata_value *value)
{
    zm_metadata_value made;
    const bool copied = copy_elements(value, zm_strdup(value->key), &made);
    if (!copied || !made.key ||
        !zm_array_reserve((void **)&list->values, &list->capacity, list->count + 1,
                          sizeof(*list->values))) {
        list->failed = true;
        free_value(&made);
        return;
    }
    list->values[list->count++] = made;
}

static void add_number(zm_metadata_list *list, const char *key, zm_metadata_type type,
                       const void *number)
{
    const zm_metadata_value value = {.key = key, .type = type, .count = 1, .numbers = number};
    zm_metadata_list_copy(list, &value);
}

void zm_metadata_list_u32(zm_metadata_list *list, const char *key, uint32_t value)
{
    add_number(list, key, ZM_METADATA_U32, &value);
}

void zm_metadata_list_f32(zm_metadata_list *list, const char *key, float value)
{
    add_number(list, key, ZM_METADATA_F32, &value);
}

void zm_metadata_list_bool(zm_metadata_list *list, const char *key, bool value)
{
    const uint8_t byte = value;
    add_number(list, key, ZM_METADATA_BOOL, &byte);
}

void zm_metadata_list_string(zm_metadata_list *list, const char *key, const char *text)
{
    const zm_text one = {text, strlen(text)};
    const zm_metadata_value value = {
        .key = key, .type = ZM_METADATA_STRING, .count = 1, .texts = &one};
    zm_metadata_list_copy(list, &value);
}

void zm_metadata_list_numbers(zm_metadata_list *list, const char *key, zm_metadata_type type,
                              const void *numbers, size_t count)
{
    const zm_metadata_value value = {
        .key = key, .type = type, .is_array = true, .count = count, .numbers = numbers};
    zm_metadata_list_copy(list, &value);
}

void zm_metadata_list_texts(zm_metadata_list *list, const char *key, const zm_text *texts,
                            size_t count)
{
    const zm_metadata_value value = {
        .key = key, .type = ZM_METADATA_STRING, .is_array = true, .count = count, .texts = texts};
    zm_metadata_list_copy(list, &value);
}

const zm_metadata_value *zm_metadata_list_find(const zm_metadata_list *list, const char *key)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->values[i].key, key) == 0)
            return &list->values[i];
    return NULL;
}

void zm_metadata_list_clear(zm_metadata_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free_value(&list->values[i]);
    free(list->values);
    *list = (zm_metadata_list){0};
}
