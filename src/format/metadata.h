/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of metadata values. */
#ifndef ZM_SRC_FORMAT_METADATA_H
#define ZM_SRC_FORMAT_METADATA_H

#include <zeromean/metadata.h>

/* Bytes of one element; 0 for strings, arrays and a value outside the enum. */
size_t zm_metadata_type_size(zm_metadata_type type);

/* In order of key, as zm_metadata_sort leaves them. NULL when there is none of that key. */
const zm_metadata_value *zm_metadata_find(const zm_metadata_value *values, size_t count,
                                          const char *key);
/* Returns the first of two equal keys, or NULL. */
const char *zm_metadata_sort(zm_metadata_value *values, size_t count);

#endif
