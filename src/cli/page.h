/* SPDX-License-Identifier: Apache-2.0 */
/* An HTML page that is being written, in memory. */
#ifndef ZM_SRC_CLI_PAGE_H
#define ZM_SRC_CLI_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/compiler.h"
#include "common/log.h"

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

/* A whole page, which needs no other file: up to its first heading, and what ends it. */
void page_begin(page *p, const char *title);
void page_end(page *p);
/* <dt> and <dd>; the value is text of others. */
void page_field(page *p, const char *name, const char *value);
/* A cell of a table, which names itself where there is no room for columns (page.css). */
void page_cell(page *p, const char *style, const char *name, const char *text);

/* Replaces a file of that name, or leaves all as it is. */
zm_status page_write(const page *p, const char *path, const zm_log *log);

#endif
