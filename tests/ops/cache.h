/* SPDX-License-Identifier: Apache-2.0 */
/* What the descriptions of kv_store and attention share: the cache in the layout of the device. */
#ifndef ZM_TESTS_OPS_CACHE_H
#define ZM_TESTS_OPS_CACHE_H

#include "op_case.h"

/* Where element i of the key (the value) at a position of a head lies; the heads of a sequence
 * follow those of the sequence before. */
size_t op_key_place(const zm_kv_layout *layout, size_t head, size_t position, size_t i);
size_t op_value_place(const zm_kv_layout *layout, size_t head, size_t position, size_t i);

/* Replaces heads, head_dim and capacity by the device's layout, and makes the views fit it. */
zm_status op_cache_prepare(const zm_device *device, zm_kv_layout *layout, uint32_t sequences,
                           zm_tensor *keys, zm_tensor *values);

#endif
