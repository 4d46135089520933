/* SPDX-License-Identifier: Apache-2.0 */
#include "common/thread.h"

#include <unistd.h>

void zm_mutex_init(zm_mutex *mutex)
{
    pthread_mutex_init(mutex, NULL); /* default attributes: cannot fail on Linux and bionic */
}

void zm_mutex_finish(zm_mutex *mutex)
{
    pthread_mutex_destroy(mutex);
}

void zm_mutex_lock(zm_mutex *mutex)
{
    pthread_mutex_lock(mutex);
}

void zm_mutex_unlock(zm_mutex *mutex)
{
    pthread_mutex_unlock(mutex);
}

uint32_t zm_processor_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : (uint32_t)count;
}
