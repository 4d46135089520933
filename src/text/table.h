/* SPDX-License-Identifier: Apache-2.0 */
/* What the tokenizer looks things up in: numbers by number, strings by their first bytes; and text
 * that grows. */
#ifndef ZM_SRC_TEXT_TABLE_H
#define ZM_SRC_TEXT_TABLE_H

#include <zeromean/common.h>

/* No text is longer, given or on its way to tokens. */
#define ZM_TEXT_SIZE_MAX ((size_t)1 << 28)

typedef struct zm_text_buffer {
    char *bytes;
    size_t size, capacity;
} zm_text_buffer;

/* ZM_ERROR_OUT_OF_MEMORY; ZM_ERROR_LIMIT beyond ZM_TEXT_SIZE_MAX. */
zm_status zm_text_buffer_append(zm_text_buffer *buffer, const char *bytes, size_t size);

typedef struct zm_table_entry {
    uint64_t key; /* UINT64_MAX = free */
    uint32_t a, b;
} zm_table_entry;

/* Open addressing; {0} is an empty one. */
typedef struct zm_table {
    zm_table_entry *entries;
    size_t capacity, count; /* the capacity is a power of two, or 0 */
} zm_table;

/* Adds or replaces; key is not UINT64_MAX. False: out of memory. */
bool zm_table_put(zm_table *table, uint64_t key, uint32_t a, uint32_t b);
/* NULL: not there. Until the next put. */
const zm_table_entry *zm_table_find(const zm_table *table, uint64_t key);
void zm_table_clear(zm_table *table);

/* Node 0 is the root; a node has a value, or -1. {0} is an empty one. */
typedef struct zm_trie {
    zm_table edges; /* (node, byte) -> node */
    int32_t *values;
    size_t count, capacity;
} zm_trie;

/* Where the value of this text is, which is -1 when the text is new; NULL: out of memory. Until the
 * next one is added. */
int32_t *zm_trie_add(zm_trie *trie, const char *text, size_t size);
/* The node that byte leads to; 0 when there is none. */
uint32_t zm_trie_step(const zm_trie *trie, uint32_t node, char byte);
void zm_trie_clear(zm_trie *trie);

#endif
