/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of one attention. */
#ifndef ZM_SRC_SESSION_KV_CACHE_H
#define ZM_SRC_SESSION_KV_CACHE_H

#include "session/storage.h"

typedef struct zm_kv_cache {
    zm_kv_layout layout;
    zm_tensor k, v;
} zm_kv_cache;

zm_status zm_kv_cache_create(zm_storage *storage, zm_stream *stream, uint32_t heads,
                             uint32_t head_dim, uint32_t positions, zm_kv_cache *out);

/* kv: [rows][2 * heads * head_dim], keys before values. */
zm_status zm_kv_cache_store(const zm_kv_cache *cache, zm_stream *stream, zm_tensor kv,
                            uint32_t position);

/* dst = attention of q over the first kv_length positions. */
zm_status zm_kv_cache_attend(const zm_kv_cache *cache, zm_stream *stream, zm_tensor q,
                             uint32_t kv_length, bool causal, zm_tensor dst);

#endif
