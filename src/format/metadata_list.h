/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata that are being made, for a GGUF file. */
#ifndef ZM_SRC_FORMAT_METADATA_LIST_H
#define ZM_SRC_FORMAT_METADATA_LIST_H

#include <stddef.h>
#include <zeromean/metadata.h>

/* {0} is an empty one. It owns all that its values point to. */
typedef struct zm_metadata_list {
    zm_metadata_value *values;
    size_t count, capacity;
    bool failed; /* out of memory: what was added last may be missing */
} zm_metadata_list;

/* Append a value. Keys and texts are copied. */
void zm_metadata_list_u32(zm_metadata_list *list, const char *key, uint32_t value);
void zm_metadata_list_f32(zm_metadata_list *list, const char *key, float value);
void zm_metadata_list_bool(zm_metadata_list *list, const char *key, bool value);
void zm_metadata_list_string(zm_metadata_list *list, const char *key, const char *text);
/* An array. Elements of numbers are those of memory: this library runs on little-endian machines,
 * as do files that it maps. */
void zm_metadata_list_numbers(zm_metadata_list *list, const char *key, zm_metadata_type type,
                              const void *numbers, size_t count);
void zm_metadata_list_texts(zm_metadata_list *list, const char *key, const zm_text *texts,
                            size_t count);
/* Any value, all of it. */
void zm_metadata_list_copy(zm_metadata_list *list, const zm_metadata_value *value);
/* NULL when there is none of that key. */
const zm_metadata_value *zm_metadata_list_find(const zm_metadata_list *list, const char *key);

void zm_metadata_list_clear(zm_metadata_list *list);

#endif
