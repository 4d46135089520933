/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors and metadata on their way into a file. Failures fail the test. */
#ifndef ZM_TESTS_TENSOR_LIST_H
#define ZM_TESTS_TENSOR_LIST_H

#include "format/safetensors.h"

enum { LIST_TENSORS = 4096, LIST_METADATA = 64 };

typedef struct tensor_list {
    zm_model_tensor tensors[LIST_TENSORS];
    zm_metadata metadata[LIST_METADATA];
    void *owned[2 * LIST_TENSORS]; /* to free */
    size_t count, metadata_count, owned_count;
} tensor_list;

tensor_list *tensor_list_make(void);
void tensor_list_free(tensor_list *list);

/* The list frees the memory, which must not be NULL. */
void *tensor_list_own(tensor_list *list, void *memory);
/* Without data: zeros. Counts elements and bytes. Valid until the next one is added. */
zm_model_tensor *tensor_list_add(tensor_list *list, const zm_model_tensor *tensor);
/* The texts must outlive the list. */
void tensor_list_say(tensor_list *list, const char *key, const char *value);
/* That a converter was here, of that version; NULL = not said. */
void tensor_list_say_norm(tensor_list *list, const char *norm, const char *format);

/* Tensors begin .. end - 1. */
void tensor_list_write(const tensor_list *list, const char *path, size_t begin, size_t end);

#endif
