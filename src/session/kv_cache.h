/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and values of one attention. */
#ifndef ZM_SRC_SESSION_KV_CACHE_H
#define ZM_SRC_SESSION_KV_CACHE_H

#include <zeromean/graph.h>

#include "session/storage.h"

typedef struct zm_kv_cache {
    zm_kv_layout layout;
    zm_tensor k, v;
} zm_kv_cache;

zm_status zm_kv_cache_create(zm_storage *storage, zm_stream *stream, uint32_t heads,
                             uint32_t head_dim, uint32_t positions, zm_kv_cache *out);

/* kv: [rows][2 * heads * head_dim], keys before values. */
void zm_kv_cache_store(const zm_kv_cache *cache, zm_graph *graph, zm_tensor kv, zm_size position);

/* dst = attention of q over the first kv_length positions. */
void zm_kv_cache_attend(const zm_kv_cache *cache, zm_graph *graph, zm_tensor q, zm_size kv_length,
                        bool causal, zm_tensor dst);

#endif
