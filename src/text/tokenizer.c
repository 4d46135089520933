/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens of a tokenizer: their spelling, their bytes, and finding them. */
#include "text/tokenizer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/utf8.h"

enum { REASON_BYTES = 600 };

void zm_tokenizer_close(zm_tokenizer **tokenizer)
{
    if (!tokenizer || !*tokenizer)
        return;
    zm_tokenizer *self = *tokenizer;
    free(self->arena.bytes);
    free(self->tokens);
    free(self->index);
    free(self->scores);
    free(self->chat_template);
    free(self->refusal);
    zm_table_clear(&self->merges);
    zm_trie_clear(&self->pieces);
    zm_trie_clear(&self->added[0]);
    zm_trie_clear(&self->added[1]);
    zm_pattern_clear(&self->word);
    zm_steps_clear(self);
    free(self);
    *tokenizer = NULL;
}

/* Printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order. */
zm_tokenizer *zm_tokenizer_make(void)
{
    zm_tokenizer *tokenizer = zm_calloc(1, sizeof(*tokenizer));
    int16_t next = 0x100;
    if (!tokenizer)
        return NULL;
    if (zm_text_buffer_append(&tokenizer->arena, "", 1) != ZM_OK) { /* it is never NULL */
        zm_tokenizer_close(&tokenizer);
        return NULL;
    }
    tokenizer->unknown = -1;
    for (int32_t i = 0; i < ZM_BYTE_CHARACTERS; i++)
        tokenizer->byte_of[i] = -1;
    for (int16_t byte = 0; byte < 256; byte++) {
        bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
        int16_t character = printable ? byte : next++;
        char text[4];
        size_t size = zm_utf8_encode((uint32_t)character, text);
        tokenizer->byte_of[character] = byte;
        tokenizer->byte_tokens[byte] = -1;
        tokenizer->byte_text_size[byte] = (uint8_t)size;
        memcpy(tokenizer->byte_text[byte], text, size);
    }
    return tokenizer;
}

zm_status zm_token_out_of_memory(const zm_token_reader *in)
{
    return zm_fail(in->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", in->name);
}

zm_status zm_token_result(const zm_token_reader *in, zm_status status)
{
    if (status == ZM_OK)
        return ZM_OK;
    if (status == ZM_ERROR_OUT_OF_MEMORY)
        return zm_token_out_of_memory(in);
    return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: its tokens take more than %zu MB", in->name,
                   ZM_TEXT_SIZE_MAX >> 20);
}

/* The byte of "<0x0A>", or -1. */
static int byte_of_token(const char *text, size_t size)
{
    static const char digits[] = "0123456789ABCDEF";
    if (size != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>')
        return -1;
    const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
    return high && low ? (int)(high - digits) * 16 + (int)(low - digits) : -1;
}

static zm_status append_byte_alphabet(const zm_token_reader *in, int64_t id, const char *text,
                                      size_t size)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (!zm_utf8_is_valid(text, size))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token %" PRId64 " is not UTF-8", in->name,
                       id);
    for (size_t i = 0, length; i < size; i += length) {
        uint32_t character = zm_utf8_decode(text + i, &length);
        int16_t byte = character < ZM_BYTE_CHARACTERS ? tokenizer->byte_of[character] : -1;
        if (byte < 0)
            return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                           "%s: token %" PRId64 " has a character that spells no byte", in->name,
                           id);
        const char value = (char)byte;
        zm_status status = zm_text_buffer_append(&tokenizer->arena, &value, 1);
        if (status != ZM_OK)
            return zm_token_result(in, status);
    }
    return ZM_OK;
}

/* Appends what the text stands for. */
static zm_status append_bytes(const zm_token_reader *in, int64_t id, const char *text, size_t size)
{
    zm_text_buffer *arena = &in->tokenizer->arena;
    const zm_spelling *spelling = &in->tokenizer->spelling;
    const size_t space = strlen(spelling->space);
    if (spelling->byte_alphabet)
        return append_byte_alphabet(in, id, text, size);
    const int byte = spelling->byte_tokens ? byte_of_token(text, size) : -1;
    const char value = (char)byte;
    if (byte >= 0)
        return zm_token_result(in, zm_text_buffer_append(arena, &value, 1));
    zm_status status = ZM_OK;
    while (status == ZM_OK && size > 0) {
        const char *found = space > 0 ? memmem(text, size, spelling->space, space) : NULL;
        const size_t before = found ? (size_t)(found - text) : size;
        status = zm_text_buffer_append(arena, text, before);
        if (status == ZM_OK && found)
            status = zm_text_buffer_append(arena, " ", 1);
        text += before + (found ? space : 0);
        size -= before + (found ? space : 0);
    }
    return zm_token_result(in, status);
}

/* Makes room for token id. */
static zm_status make_room(const zm_token_reader *in, int64_t id, const char *text, size_t size)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (id < 0 || id >= ZM_TOKENS_MAX)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token '%.*s' has the id %" PRId64,
                       in->name, (int)(size < 60 ? size : 60), text, id);
    if (!zm_array_reserve((void **)&tokenizer->tokens, &tokenizer->token_capacity, (size_t)id + 1,
                          sizeof(zm_token)))
        return zm_token_out_of_memory(in);
    while (tokenizer->size <= id)
        tokenizer->tokens[tokenizer->size++] = (zm_token){0};
    return ZM_OK;
}

zm_status zm_token_add(const zm_token_reader *in, int64_t id, const char *text, size_t size,
                       const zm_token *about)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    zm_text_buffer *arena = &tokenizer->arena;
    zm_status status = make_room(in, id, text, size);
    if (status != ZM_OK)
        return status;
    zm_token *token = &tokenizer->tokens[id];
    if (token->added && !about->added && token->text_size == size &&
        (size == 0 || memcmp(text, arena->bytes + token->text_offset, size) == 0)) {
        token->in_model = about->in_model; /* listed in both places, as GPT-2's <|endoftext|> is */
        return ZM_OK;
    }
    if (token->present)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: two tokens with the id %" PRId64,
                       in->name, id);
    *token = *about;
    token->present = true;
    token->text_offset = token->offset = (uint32_t)arena->size;
    token->text_size = token->size = (uint32_t)size;
    status = zm_token_result(in, zm_text_buffer_append(arena, text, size));
    if (status != ZM_OK || token->added)
        return status;
    token->offset = (uint32_t)arena->size;
    status = append_bytes(in, id, text, size);
    token->size = (uint32_t)arena->size - token->offset;
    return status;
}

static const char *text_of(const zm_tokenizer *tokenizer, uint32_t id)
{
    return tokenizer->arena.bytes + tokenizer->tokens[id].text_offset;
}

/* FNV-1a. */
static size_t hash_of(const char *text, size_t size)
{
    uint64_t hash = 0xCBF29CE484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (uint8_t)text[i]) * 0x100000001B3u;
    return (size_t)(hash ^ hash >> 32);
}

/* The place of this text in the index, or the free one where it belongs. */
static uint32_t *place_of(const zm_tokenizer *tokenizer, const char *text, size_t size)
{
    const size_t mask = tokenizer->index_capacity - 1;
    size_t i = hash_of(text, size) & mask;
    for (uint32_t entry; (entry = tokenizer->index[i]) != 0; i = (i + 1) & mask)
        if (tokenizer->tokens[entry - 1].text_size == size &&
            memcmp(text_of(tokenizer, entry - 1), text, size) == 0)
            break;
    return &tokenizer->index[i];
}

int32_t zm_token_find(const zm_tokenizer *tokenizer, const char *text, size_t size)
{
    if (tokenizer->index_capacity == 0 || size == 0)
        return -1;
    return (int32_t)*place_of(tokenizer, text, size) - 1;
}

static zm_status build_index(const zm_token_reader *in)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    size_t capacity = 64;
    while (capacity < (size_t)tokenizer->size * 2)
        capacity *= 2;
    tokenizer->index = zm_calloc(capacity, sizeof(uint32_t));
    if (!tokenizer->index)
        return zm_token_out_of_memory(in);
    tokenizer->index_capacity = capacity;
    for (uint32_t id = 0; id < tokenizer->size; id++) {
        const zm_token *token = &tokenizer->tokens[id];
        if (token->in_model && token->text_size > 0)
            *place_of(tokenizer, text_of(tokenizer, id), token->text_size) = id + 1;
    }
    return ZM_OK;
}

zm_status zm_token_finish(const zm_token_reader *in)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    for (uint32_t id = 0; id < tokenizer->size; id++) {
        const zm_token *token = &tokenizer->tokens[id];
        int byte = -1;
        if (token->present)
            byte = byte_of_token(text_of(tokenizer, id), token->text_size);
        if (byte >= 0)
            tokenizer->byte_tokens[byte] = (int32_t)id;
    }
    return build_index(in);
}

static void keep_message(void *user, zm_log_level level, const char *message)
{
    char *kept = user;
    if (level == ZM_LOG_ERROR && kept[0] == '\0')
        snprintf(kept, REASON_BYTES, "%s", message);
}

zm_status zm_token_read_encoding(const zm_token_reader *in,
                                 zm_status (*read)(const zm_token_reader *in, const void *source),
                                 const void *source)
{
    char reason[REASON_BYTES] = "";
    const zm_log log = {.write = keep_message, .user = reason, .level = ZM_LOG_ERROR};
    const zm_token_reader quiet = {.tokenizer = in->tokenizer, .name = in->name, .log = &log};
    zm_status status = read(&quiet, source);
    if (status == ZM_OK)
        return ZM_OK;
    if (status != ZM_ERROR_UNSUPPORTED)
        return zm_fail(in->log, status, "%s", reason);
    in->tokenizer->refusal = zm_strdup(reason);
    return in->tokenizer->refusal ? ZM_OK : zm_token_out_of_memory(in);
}

uint32_t zm_tokenizer_size(const zm_tokenizer *tokenizer)
{
    return tokenizer->size;
}

zm_status zm_tokenizer_bytes(const zm_tokenizer *tokenizer, int32_t id, bool special,
                             const char **bytes, size_t *size)
{
    if (id < 0 || (uint32_t)id >= tokenizer->size || !tokenizer->tokens[id].present)
        return ZM_ERROR_NOT_FOUND;
    const zm_token *found = &tokenizer->tokens[id];
    bool silent = found->special && !special;
    *bytes = silent || found->size == 0 ? "" : tokenizer->arena.bytes + found->offset;
    *size = silent ? 0 : found->size;
    return ZM_OK;
}

int32_t zm_tokenizer_find_special(const zm_tokenizer *tokenizer, const char *text)
{
    const size_t size = strlen(text);
    for (uint32_t i = 0; i < tokenizer->size; i++)
        if (tokenizer->tokens[i].added && tokenizer->tokens[i].text_size == size &&
            memcmp(text_of(tokenizer, i), text, size) == 0)
            return (int32_t)i;
    return -1;
}
