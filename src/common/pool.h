/* SPDX-License-Identifier: Apache-2.0 */
/* A few threads that share the items of a loop. */
#ifndef ZM_SRC_COMMON_POOL_H
#define ZM_SRC_COMMON_POOL_H

#include <stddef.h>
#include <stdint.h>
#include <zeromean/common.h>

typedef struct zm_pool zm_pool;

/* Does the items begin .. end-1. */
typedef void (*zm_pool_work)(void *user, size_t begin, size_t end);

/* threads counts the caller; fewer start where the system refuses more. */
zm_status zm_pool_create(uint32_t threads, zm_pool **out);
void zm_pool_destroy(zm_pool **pool);

/* Returns when all items are done. Which thread does an item is not defined. Thread-safe: a second
 * caller does its items alone while the pool is busy. */
void zm_pool_run(zm_pool *pool, size_t count, zm_pool_work work, void *user);

#endif
