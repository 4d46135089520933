/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ZM_SRC_SESSION_KV_CACHE_H
#define ZM_SRC_SESSION_KV_CACHE_H

#include <zeromean/block.h>

#include "session/storage.h"

/* Of the real type, zeroed; sequences times that many positions. */
zm_status zm_kv_cache_create(zm_storage *storage, zm_stream *stream, uint32_t heads,
                             uint32_t head_dim, uint32_t positions, uint32_t sequences,
                             zm_kv_cache *out);

#endif
