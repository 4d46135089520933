/* SPDX-License-Identifier: Apache-2.0 */
/* An HTML page that is being written, in memory. */
#ifndef ZM_BENCH_PAGE_H
#define ZM_BENCH_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"

typedef struct page {
    char *text; /* free with free() */
    size_t size, capacity;
    bool failed; /* out of memory: the text is not complete */
} page;

/* Markup as it is. */
ZM_PRINTF(2, 3) void page_format(page *p, const char *format, ...);
/* Text of others: escaped, so that it can stand between tags and in attributes. */
void page_text(page *p, const char *text);
/* The same; the line may break after its commas. */
void page_list(page *p, const char *text);

#endif
