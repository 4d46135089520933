/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

tensor_list *tensor_list_make(void)
{
    tensor_list *list = calloc(1, sizeof(*list));
    assert_non_null(list);
    return list;
}

void tensor_list_free(tensor_list *list)
{
    for (size_t i = 0; i < list->owned_count; i++)
        free(list->owned[i]);
    free(list);
}

void *tensor_list_own(tensor_list *list, void *memory)
{
    assert_non_null(memory);
    assert_true(list->owned_count < sizeof(list->owned) / sizeof(list->owned[0]));
    return list->owned[list->owned_count++] = memory;
}

zm_model_tensor *tensor_list_add(tensor_list *list, const zm_model_tensor *tensor)
{
    assert_true(list->count < LIST_TENSORS);
    zm_model_tensor *added = &list->tensors[list->count++];
    *added = *tensor;
    added->elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        added->elements *= tensor->shape[i];
    added->bytes = added->elements * zm_dtype_size(tensor->dtype);
    if (!added->data)
        added->data = tensor_list_own(list, calloc(1, added->bytes));
    return added;
}

void tensor_list_say(tensor_list *list, const char *key, const char *value)
{
    assert_true(list->metadata_count < LIST_METADATA);
    list->metadata[list->metadata_count++] =
        (zm_metadata){(char *)(uintptr_t)key, (char *)(uintptr_t)value};
}

void tensor_list_say_norm(tensor_list *list, const char *norm, const char *format)
{
    if (format)
        tensor_list_say(list, "zeromean.format", format);
    tensor_list_say(list, "zeromean.norm", norm);
}

void tensor_list_write(const tensor_list *list, const char *path, size_t begin, size_t end)
{
    zm_tensor_writer *writer = NULL;
    assert_int_equal(zm_safetensors_writer_open(path, list->tensors + begin, end - begin,
                                                list->metadata, list->metadata_count, NULL,
                                                &writer),
                     ZM_OK);
    for (size_t i = begin; i < end; i++)
        assert_int_equal(
            zm_tensor_writer_write(writer, list->tensors[i].data, list->tensors[i].bytes), ZM_OK);
    assert_int_equal(zm_tensor_writer_commit(&writer), ZM_OK);
}
