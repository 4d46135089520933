/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/clock.h"

/* Below this much remaining work the threads would take longer to wake than to help. */
#define WORTH_SHARING_NS 40000u
/* Chunks per thread: more even out items of unequal cost, fewer cost less counting. */
#define CHUNKS_PER_THREAD 4u

struct zm_pool {
    pthread_mutex_t busy; /* held by the caller whose job runs */
    pthread_mutex_t mutex;
    pthread_cond_t start, done;
    uint64_t round; /* counts jobs */
    uint32_t working;
    bool stop;
    uint32_t thread_count; /* besides the caller */
    pthread_t *threads;

    zm_pool_work work;
    void *user;
    size_t count, chunk;
    atomic_size_t next;
};

static void do_chunks(zm_pool *pool)
{
    for (;;) {
        size_t begin = atomic_fetch_add(&pool->next, pool->chunk);
        if (begin >= pool->count)
            return;
        size_t left = pool->count - begin;
        pool->work(pool->user, begin, begin + (left < pool->chunk ? left : pool->chunk));
    }
}

static void *thread_main(void *argument)
{
    zm_pool *pool = argument;
    uint64_t seen = 0;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->round == seen && !pool->stop)
            pthread_cond_wait(&pool->start, &pool->mutex);
        if (pool->stop)
            break;
        seen = pool->round;
        pthread_mutex_unlock(&pool->mutex);
        do_chunks(pool);
        pthread_mutex_lock(&pool->mutex);
        if (--pool->working == 0)
            pthread_cond_signal(&pool->done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

zm_status zm_pool_create(uint32_t threads, zm_pool **out)
{
    zm_pool *pool = zm_calloc(1, sizeof(*pool));
    if (!pool)
        return ZM_ERROR_OUT_OF_MEMORY;
    pool->threads = zm_calloc(threads, sizeof(*pool->threads));
    if (!pool->threads) {
        free(pool);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    pthread_mutex_init(&pool->busy, NULL);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->start, NULL);
    pthread_cond_init(&pool->done, NULL);
    while (pool->thread_count + 1 < threads &&
           pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool) == 0)
        pool->thread_count++;
    *out = pool;
    return ZM_OK;
}

void zm_pool_destroy(zm_pool **pool)
{
    zm_pool *p = *pool;
    if (!p)
        return;
    pthread_mutex_lock(&p->mutex);
    p->stop = true;
    pthread_cond_broadcast(&p->start);
    pthread_mutex_unlock(&p->mutex);
    for (uint32_t i = 0; i < p->thread_count; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->start);
    pthread_mutex_destroy(&p->mutex);
    pthread_mutex_destroy(&p->busy);
    free(p->threads);
    free(p);
    *pool = NULL;
}

static void share(zm_pool *pool, size_t first, size_t count, zm_pool_work work, void *user)
{
    size_t parts = (size_t)(pool->thread_count + 1) * CHUNKS_PER_THREAD;
    pthread_mutex_lock(&pool->mutex);
    pool->work = work;
    pool->user = user;
    pool->count = count;
    pool->chunk = (count - first + parts - 1) / parts;
    atomic_store(&pool->next, first);
    pool->working = pool->thread_count;
    pool->round++;
    pthread_cond_broadcast(&pool->start);
    pthread_mutex_unlock(&pool->mutex);

    do_chunks(pool);

    pthread_mutex_lock(&pool->mutex);
    while (pool->working)
        pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

void zm_pool_run(zm_pool *pool, size_t count, zm_pool_work work, void *user)
{
    /* The cost of an item is not known, so the first one is the measure. */
    uint64_t start = zm_clock_ns();
    work(user, 0, 1);
    if (count == 1)
        return;
    double cost = (double)(zm_clock_ns() - start);
    bool alone = !pool->thread_count || cost * (double)(count - 1) < WORTH_SHARING_NS;
    if (alone || pthread_mutex_trylock(&pool->busy) != 0) {
        work(user, 1, count);
        return;
    }
    share(pool, 1, count, work, user);
    pthread_mutex_unlock(&pool->busy);
}
