/* SPDX-License-Identifier: Apache-2.0 */
#include "text/table.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

zm_status zm_text_buffer_append(zm_text_buffer *buffer, const char *bytes, size_t size)
{
    if (size > ZM_TEXT_SIZE_MAX - buffer->size)
        return ZM_ERROR_LIMIT;
    if (!zm_array_reserve((void **)&buffer->bytes, &buffer->capacity, buffer->size + size, 1))
        return ZM_ERROR_OUT_OF_MEMORY;
    if (size > 0)
        memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return ZM_OK;
}

/* The place of key, or the free one where it belongs. */
static zm_table_entry *place_of(const zm_table *table, uint64_t key)
{
    uint64_t hash = key * 0x9E3779B97F4A7C15u;
    size_t i = (size_t)(hash ^ hash >> 32) & (table->capacity - 1);
    while (table->entries[i].key != key && table->entries[i].key != UINT64_MAX)
        i = (i + 1) & (table->capacity - 1);
    return &table->entries[i];
}

static bool table_grow(zm_table *table)
{
    zm_table grown = {.capacity = table->capacity ? table->capacity * 2 : 64};
    grown.entries = zm_calloc(grown.capacity, sizeof(zm_table_entry));
    if (!grown.entries)
        return false;
    for (size_t i = 0; i < grown.capacity; i++)
        grown.entries[i].key = UINT64_MAX;
    for (size_t i = 0; i < table->capacity; i++)
        if (table->entries[i].key != UINT64_MAX)
            *place_of(&grown, table->entries[i].key) = table->entries[i];
    grown.count = table->count;
    free(table->entries);
    *table = grown;
    return true;
}

bool zm_table_put(zm_table *table, uint64_t key, uint32_t a, uint32_t b)
{
    if (table->count >= table->capacity / 2 && !table_grow(table))
        return false;
    zm_table_entry *entry = place_of(table, key);
    table->count += entry->key == UINT64_MAX;
    *entry = (zm_table_entry){.key = key, .a = a, .b = b};
    return true;
}

const zm_table_entry *zm_table_find(const zm_table *table, uint64_t key)
{
    if (table->count == 0)
        return NULL;
    const zm_table_entry *entry = place_of(table, key);
    return entry->key == key ? entry : NULL;
}

void zm_table_clear(zm_table *table)
{
    free(table->entries);
    *table = (zm_table){0};
}

static uint64_t edge(uint32_t node, char byte)
{
    return (uint64_t)node << 8 | (uint8_t)byte;
}

static bool add_node(zm_trie *trie)
{
    if (trie->count == UINT32_MAX || !zm_array_reserve((void **)&trie->values, &trie->capacity,
                                                       trie->count + 1, sizeof(*trie->values)))
        return false;
    trie->values[trie->count++] = -1;
    return true;
}

int32_t *zm_trie_add(zm_trie *trie, const char *text, size_t size)
{
    uint32_t node = 0;
    if (trie->count == 0 && !add_node(trie))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        uint32_t next = zm_trie_step(trie, node, text[i]);
        if (next == 0) {
            next = (uint32_t)trie->count;
            if (!add_node(trie) || !zm_table_put(&trie->edges, edge(node, text[i]), next, 0))
                return NULL;
        }
        node = next;
    }
    return &trie->values[node];
}

uint32_t zm_trie_step(const zm_trie *trie, uint32_t node, char byte)
{
    const zm_table_entry *entry = zm_table_find(&trie->edges, edge(node, byte));
    return entry ? entry->a : 0;
}

void zm_trie_clear(zm_trie *trie)
{
    zm_table_clear(&trie->edges);
    free(trie->values);
    *trie = (zm_trie){0};
}
