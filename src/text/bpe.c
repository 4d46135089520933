/* SPDX-License-Identifier: Apache-2.0 */
/* Byte pair encoding (Sennrich et al. 2016): a word begins as its characters; of the pairs of
 * neighbours that may be merged, the one of the lowest rank is, the leftmost of several. The pairs
 * wait in a heap, the symbols are a linked list: O(n log n). */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/encoder.h"
#include "text/utf8.h"

#define NONE UINT32_MAX

static uint64_t pair(int32_t left, int32_t right)
{
    return (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
}

static zm_status add_symbol(zm_encoder *e, int32_t id, size_t size)
{
    if (!zm_array_reserve((void **)&e->symbols, &e->symbol_capacity, e->symbol_count + 1,
                          sizeof(*e->symbols)))
        return ZM_ERROR_OUT_OF_MEMORY;
    const uint32_t at = (uint32_t)e->symbol_count++;
    e->symbols[at] =
        (zm_symbol){.id = id, .size = (uint32_t)size, .previous = at ? at - 1 : NONE, .next = NONE};
    if (at > 0)
        e->symbols[at - 1].next = at;
    return ZM_OK;
}

/* True: the character is there as bytes. */
static bool has_bytes(const zm_tokenizer *tokenizer, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (tokenizer->byte_tokens[(uint8_t)text[i]] < 0)
            return false;
    return tokenizer->byte_fallback;
}

static zm_status add_bytes(zm_encoder *e, const char *text, size_t size)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < size; i++)
        status = add_symbol(e, e->tokenizer->byte_tokens[(uint8_t)text[i]], 1);
    return status;
}

/* The last character of a word has a mark behind it in vocabularies that have one. */
static int32_t find_character(const zm_tokenizer *tokenizer, const char *text, size_t size,
                              bool last)
{
    char marked[8 + sizeof(tokenizer->word_end)];
    const size_t more = strlen(tokenizer->word_end);
    if (!last || more == 0 || size > 8)
        return zm_token_find(tokenizer, text, size);
    memcpy(marked, text, size);
    memcpy(marked + size, tokenizer->word_end, more);
    return zm_token_find(tokenizer, marked, size + more);
}

/* unknown: the bytes of characters that nothing stands for and that have no symbol yet. They get it
 * in front of the next character that is a token, even behind bytes: so does the reference. */
static zm_status add_characters(zm_encoder *e, const char *text, size_t size)
{
    const zm_tokenizer *tokenizer = e->tokenizer;
    zm_status status = ZM_OK;
    size_t unknown = 0;
    for (size_t i = 0, length; status == ZM_OK && i < size; i += length) {
        length = zm_utf8_length(text[i]);
        int32_t id = find_character(tokenizer, text + i, length, i + length >= size);
        if (id < 0 && has_bytes(tokenizer, text + i, length)) {
            status = add_bytes(e, text + i, length);
            continue;
        }
        const bool flush = unknown > 0 && (id >= 0 || !tokenizer->fuse_unknown);
        if (flush)
            status = add_symbol(e, tokenizer->unknown, unknown);
        unknown = flush ? 0 : unknown;
        if (id < 0 && tokenizer->unknown >= 0)
            unknown += length;
        if (id >= 0 && status == ZM_OK)
            status = add_symbol(e, id, length);
    }
    if (status == ZM_OK && unknown > 0)
        status = add_symbol(e, tokenizer->unknown, unknown);
    return status;
}

static bool before(const zm_merge *a, const zm_merge *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->position < b->position;
}

static zm_status heap_push(zm_encoder *e, zm_merge merge)
{
    if (!zm_array_reserve((void **)&e->heap, &e->heap_capacity, e->heap_count + 1,
                          sizeof(*e->heap)))
        return ZM_ERROR_OUT_OF_MEMORY;
    size_t i = e->heap_count++;
    for (; i > 0 && before(&merge, &e->heap[(i - 1) / 2]); i = (i - 1) / 2)
        e->heap[i] = e->heap[(i - 1) / 2];
    e->heap[i] = merge;
    return ZM_OK;
}

static zm_merge heap_pop(zm_encoder *e)
{
    const zm_merge top = e->heap[0], last = e->heap[--e->heap_count];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < e->heap_count; i = child) {
        if (child + 1 < e->heap_count && before(&e->heap[child + 1], &e->heap[child]))
            child++;
        if (!before(&e->heap[child], &last))
            break;
        e->heap[i] = e->heap[child];
    }
    e->heap[i] = last;
    return top;
}

/* The pair of the symbol at position with the one behind it waits, if it may be merged. */
static zm_status offer(zm_encoder *e, uint32_t position)
{
    const zm_symbol *left = &e->symbols[position];
    if (left->next == NONE)
        return ZM_OK;
    const zm_table_entry *found =
        zm_table_find(&e->tokenizer->merges, pair(left->id, e->symbols[left->next].id));
    if (!found)
        return ZM_OK;
    return heap_push(e,
                     (zm_merge){.rank = found->a, .position = position, .id = (int32_t)found->b});
}

static zm_status merge(zm_encoder *e, const zm_merge *top)
{
    zm_symbol *left = &e->symbols[top->position];
    zm_symbol *right = &e->symbols[left->next];
    left->id = top->id;
    left->size += right->size;
    left->next = right->next;
    right->size = 0;
    if (left->next != NONE)
        e->symbols[left->next].previous = top->position;
    zm_status status = left->previous != NONE ? offer(e, left->previous) : ZM_OK;
    return status == ZM_OK ? offer(e, top->position) : status;
}

static zm_status merge_all(zm_encoder *e)
{
    zm_status status = ZM_OK;
    e->heap_count = 0;
    for (size_t i = 0; status == ZM_OK && i < e->symbol_count; i++)
        status = offer(e, (uint32_t)i);
    while (status == ZM_OK && e->heap_count > 0) {
        const zm_merge top = heap_pop(e);
        const zm_symbol *left = &e->symbols[top.position];
        if (left->size == 0 || left->next == NONE)
            continue;
        const zm_table_entry *now =
            zm_table_find(&e->tokenizer->merges, pair(left->id, e->symbols[left->next].id));
        if (now && (int32_t)now->b == top.id) /* else it is no longer that pair */
            status = merge(e, &top);
    }
    return status;
}

zm_status zm_bpe_encode(zm_encoder *e, const char *text, size_t size)
{
    const int32_t whole = e->tokenizer->whole_words ? zm_token_find(e->tokenizer, text, size) : -1;
    if (whole >= 0)
        return zm_encoder_push(e, whole);
    e->symbol_count = 0;
    zm_status status = add_characters(e, text, size);
    if (status == ZM_OK)
        status = merge_all(e);
    for (uint32_t i = e->symbol_count ? 0 : NONE; status == ZM_OK && i != NONE;
         i = e->symbols[i].next)
        status = zm_encoder_push(e, e->symbols[i].id);
    return status;
}

/* The token that the two texts are together; -1: none. They are joined at the end of the arena. */
static int32_t find_joined(zm_text_buffer *arena, const zm_tokenizer *tokenizer, const char *left,
                           size_t left_size, const char *right, size_t right_size)
{
    const size_t before = arena->size;
    int32_t id = -1;
    if (zm_text_buffer_append(arena, left, left_size) == ZM_OK &&
        zm_text_buffer_append(arena, right, right_size) == ZM_OK)
        id = zm_token_find(tokenizer, arena->bytes + before, arena->size - before);
    arena->size = before;
    return id;
}

zm_status zm_merge_add(const zm_token_reader *in, uint32_t rank, const char *left, size_t left_size,
                       const char *right, size_t right_size)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    const int32_t a = zm_token_find(tokenizer, left, left_size);
    const int32_t b = zm_token_find(tokenizer, right, right_size);
    int32_t id = -1;
    if (a >= 0 && b >= 0)
        id = find_joined(&tokenizer->arena, tokenizer, left, left_size, right, right_size);
    if (id < 0)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                       "%s: merge %" PRIu32 " is not of two tokens that make one", in->name, rank);
    if (!zm_table_put(&tokenizer->merges, pair(a, b), rank, (uint32_t)id))
        return zm_token_out_of_memory(in);
    return ZM_OK;
}

zm_status zm_merge_add_line(const zm_token_reader *in, uint32_t rank, const char *line, size_t size)
{
    const char *space = size > 0 ? memchr(line, ' ', size) : NULL;
    const size_t left = space ? (size_t)(space - line) : 0;
    if (!space || memchr(space + 1, ' ', size - left - 1))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                       "%s: merge %" PRIu32 " is not two tokens with a space between", in->name,
                       rank);
    return zm_merge_add(in, rank, line, left, space + 1, size - left - 1);
}

typedef struct scored {
    float score;
    uint32_t id;
} scored;

static int by_score(const void *a, const void *b)
{
    const scored *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* All ways to cut token id in two. */
static zm_status add_cuts(const zm_token_reader *in, uint32_t id, uint32_t rank)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    const zm_token *token = &tokenizer->tokens[id];
    const char *text = tokenizer->arena.bytes + token->text_offset;
    if (token->text_size > ZM_TOKEN_BYTES_MAX)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: token %" PRIu32 " has over %d bytes",
                       in->name, id, ZM_TOKEN_BYTES_MAX);
    for (size_t cut = 1; cut < token->text_size; cut++) {
        const int32_t left = zm_token_find(tokenizer, text, cut);
        if (left < 0)
            continue;
        const int32_t right = zm_token_find(tokenizer, text + cut, token->text_size - cut);
        if (right >= 0 && !zm_table_put(&tokenizer->merges, pair(left, right), rank, id))
            return zm_token_out_of_memory(in);
    }
    return ZM_OK;
}

zm_status zm_merge_add_by_score(const zm_token_reader *in, const float *scores)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    zm_status status = ZM_OK;
    scored *order = zm_calloc(tokenizer->size, sizeof(*order));
    size_t count = 0;
    if (!order)
        return zm_token_out_of_memory(in);
    for (uint32_t id = 0; id < tokenizer->size; id++)
        if (tokenizer->tokens[id].in_model)
            order[count++] = (scored){.score = scores[id], .id = id};
    qsort(order, count, sizeof(*order), by_score);
    uint32_t rank = 0;
    for (size_t i = 0; status == ZM_OK && i < count; i++) {
        rank += i > 0 && order[i].score != order[i - 1].score; /* one score is one rank */
        const zm_token *token = &tokenizer->tokens[order[i].id];
        const char *text = tokenizer->arena.bytes + token->text_offset;
        if (zm_token_find(tokenizer, text, token->text_size) == (int32_t)order[i].id)
            status = add_cuts(in, order[i].id, rank);
    }
    free(order);
    return status;
}
