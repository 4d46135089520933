/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex that needs no error handling at its call sites. */
#ifndef ZM_SRC_COMMON_THREAD_H
#define ZM_SRC_COMMON_THREAD_H

#include <pthread.h>
#include <stdint.h>

typedef pthread_mutex_t zm_mutex;

void zm_mutex_init(zm_mutex *mutex);
void zm_mutex_finish(zm_mutex *mutex);
void zm_mutex_lock(zm_mutex *mutex);
void zm_mutex_unlock(zm_mutex *mutex);

/* Processors this process may use, >= 1. */
uint32_t zm_processor_count(void);

#endif
