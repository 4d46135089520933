/* SPDX-License-Identifier: Apache-2.0 */
/* Host memory in huge pages for the buffers of a CPU device: one page for several small ones, so
 * that reading a model's weights does not look up a page for each 4 KB. */
#ifndef ZM_SRC_OPENCL_PAGES_H
#define ZM_SRC_OPENCL_PAGES_H

#include <stddef.h>

#include "common/thread.h"

typedef struct zm_opencl_pages zm_opencl_pages;

/* Where the next small buffers go. */
typedef struct zm_opencl_page_pool {
    zm_mutex mutex;
    zm_opencl_pages *open; /* NULL = none yet */
} zm_opencl_page_pool;

void zm_opencl_pages_init(zm_opencl_page_pool *pool);
/* When all memory has been given back. */
void zm_opencl_pages_finish(zm_opencl_page_pool *pool);

/* Aligned to 4 KB; what is in it is undefined. NULL = out of memory. */
void *zm_opencl_pages_take(zm_opencl_page_pool *pool, size_t size, zm_opencl_pages **pages);
/* NULL is none. */
void zm_opencl_pages_return(zm_opencl_page_pool *pool, zm_opencl_pages *pages);

#endif
