/* SPDX-License-Identifier: Apache-2.0 */
#include "opencl/pages.h"

#include <stdlib.h>

#include "common/alloc.h"

#define SHARED_BYTES ((size_t)16 << 20) /* what is not touched yet takes no memory */
#define ALIGNMENT ((size_t)4096)

/* What is given back is used again when all of it has been. */
struct zm_opencl_pages {
    char *memory;
    size_t size, used;
    size_t users; /* buffers, and the pool while it is open */
};

void zm_opencl_pages_init(zm_opencl_page_pool *pool)
{
    zm_mutex_init(&pool->mutex);
    pool->open = NULL;
}

static void leave(zm_opencl_pages *pages)
{
    if (!pages || --pages->users)
        return;
    free(pages->memory);
    free(pages);
}

void zm_opencl_pages_finish(zm_opencl_page_pool *pool)
{
    leave(pool->open);
    zm_mutex_finish(&pool->mutex);
}

static zm_opencl_pages *pages_create(size_t size)
{
    zm_opencl_pages *pages = zm_calloc(1, sizeof(*pages));
    char *memory = pages ? zm_huge_alloc(size) : NULL;
    if (!memory) {
        free(pages);
        return NULL;
    }
    *pages = (zm_opencl_pages){.memory = memory, .size = size, .users = 1};
    return pages;
}

/* With room for so much. */
static zm_opencl_pages *open_pages(zm_opencl_page_pool *pool, size_t size)
{
    zm_opencl_pages *open = pool->open;
    if (open && open->users == 1)
        open->used = 0;
    if (open && open->size - open->used >= size)
        return open;
    leave(open);
    pool->open = pages_create(SHARED_BYTES);
    return pool->open;
}

/* What would leave half of that empty has pages of its own. */
void *zm_opencl_pages_take(zm_opencl_page_pool *pool, size_t size, zm_opencl_pages **out)
{
    if (size > SHARED_BYTES / 4) {
        *out = pages_create(size);
        return *out ? (*out)->memory : NULL;
    }
    void *memory = NULL;
    zm_mutex_lock(&pool->mutex);
    zm_opencl_pages *pages = open_pages(pool, size);
    if (pages) {
        memory = pages->memory + pages->used;
        pages->used += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        pages->users++;
    }
    zm_mutex_unlock(&pool->mutex);
    *out = pages;
    return memory;
}

void zm_opencl_pages_return(zm_opencl_page_pool *pool, zm_opencl_pages *pages)
{
    zm_mutex_lock(&pool->mutex);
    leave(pages);
    zm_mutex_unlock(&pool->mutex);
}
