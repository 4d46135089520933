/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-level BPE (Radford et al. 2019), the way back: the vocabulary spells each byte as a
 * printable character, so that a token is a list of characters below U+0144. */
#include <zeromean/text.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "format/json.h"

enum {
    FILE_BYTES_MAX = 128 << 20,
    TOKENS_MAX = 1 << 21, /* the largest vocabularies in use have 2^18 */
    CHARACTERS = 0x144    /* of the byte alphabet: the 188 printable ones below U+0100, then 68 */
};

typedef struct token {
    uint32_t offset, size; /* in the arena */
    bool present, added, special;
} token;

struct zm_tokenizer {
    char *arena;
    size_t arena_size, arena_capacity;
    token *tokens; /* by id; gaps have present = false */
    size_t token_capacity;
    uint32_t size;
    int16_t byte_of[CHARACTERS]; /* -1 = no byte is spelt so */
};

/* What every step of reading needs. */
typedef struct reader {
    zm_tokenizer *tokenizer;
    const char *path;
    const zm_log *log;
} reader;

void zm_tokenizer_close(zm_tokenizer **tokenizer)
{
    if (!tokenizer || !*tokenizer)
        return;
    free((*tokenizer)->arena);
    free((*tokenizer)->tokens);
    free(*tokenizer);
    *tokenizer = NULL;
}

/* Printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order. */
static void alphabet_init(zm_tokenizer *tokenizer)
{
    int16_t next = 0x100;
    for (int32_t i = 0; i < CHARACTERS; i++)
        tokenizer->byte_of[i] = -1;
    for (int16_t byte = 0; byte < 256; byte++) {
        bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
        tokenizer->byte_of[printable ? byte : next++] = byte;
    }
}

static zm_status out_of_memory(const reader *in)
{
    return zm_fail(in->log, ZM_ERROR_OUT_OF_MEMORY, "%s: out of memory", in->path);
}

static bool arena_append(zm_tokenizer *tokenizer, char byte)
{
    if (tokenizer->arena_size == UINT32_MAX ||
        !zm_array_reserve((void **)&tokenizer->arena, &tokenizer->arena_capacity,
                          tokenizer->arena_size + 1, 1))
        return false;
    tokenizer->arena[tokenizer->arena_size++] = byte;
    return true;
}

/* Makes room for token id and marks it as there. */
static zm_status token_add(const reader *in, int64_t id, const char *text, token **out)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (id < 0 || id >= TOKENS_MAX)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token '%.60s' has the id %" PRId64,
                       in->path, text, id);
    if (!zm_array_reserve((void **)&tokenizer->tokens, &tokenizer->token_capacity, (size_t)id + 1,
                          sizeof(token)))
        return out_of_memory(in);
    while (tokenizer->size <= id)
        tokenizer->tokens[tokenizer->size++] = (token){0};
    if (tokenizer->tokens[id].present)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: two tokens with the id %" PRId64,
                       in->path, id);
    tokenizer->tokens[id].present = true;
    tokenizer->tokens[id].offset = (uint32_t)tokenizer->arena_size;
    *out = &tokenizer->tokens[id];
    return ZM_OK;
}

/* The next character of valid UTF-8, which is all that jansson hands out; characters over U+07FF
 * come out as some number over the alphabet. */
static uint32_t next_character(const char **text)
{
    const unsigned char *c = (const unsigned char *)*text;
    if (c[0] < 0x80) {
        *text += 1;
        return c[0];
    }
    *text += c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : 4;
    return c[0] < 0xE0 ? (uint32_t)(c[0] & 0x1F) << 6 | (c[1] & 0x3F) : UINT32_MAX;
}

static zm_status read_vocabulary_token(const reader *in, const char *text, int64_t id)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (id >= 0 && id < tokenizer->size && tokenizer->tokens[id].added &&
        strlen(text) == tokenizer->tokens[id].size &&
        memcmp(text, tokenizer->arena + tokenizer->tokens[id].offset, strlen(text)) == 0)
        return ZM_OK; /* listed in both places, as GPT-2's <|endoftext|> is */
    token *added;
    zm_status status = token_add(in, id, text, &added);
    if (status != ZM_OK)
        return status;
    for (const char *c = text; *c;) {
        uint32_t character = next_character(&c);
        int16_t byte = character < CHARACTERS ? tokenizer->byte_of[character] : -1;
        if (byte < 0)
            return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                           "%s: token %" PRId64 " has a character that spells no byte", in->path,
                           id);
        if (!arena_append(tokenizer, (char)byte))
            return out_of_memory(in);
        added->size++;
    }
    return ZM_OK;
}

static zm_status read_vocabulary(const reader *in, json_t *vocabulary)
{
    const char *text;
    json_t *id;
    if (!json_is_object(vocabulary) || json_object_size(vocabulary) == 0)
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: no object model.vocab", in->path);
    json_object_foreach(vocabulary, text, id)
    {
        if (!json_is_integer(id))
            return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: token '%.60s' has no integer id",
                           in->path, text);
        zm_status status = read_vocabulary_token(in, text, json_integer_value(id));
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status read_added_token(const reader *in, const json_t *entry)
{
    const char *text = zm_json_string(entry, "content");
    const json_t *id = json_object_get(entry, "id");
    if (!text || !json_is_integer(id))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT,
                       "%s: an entry of added_tokens without id or content", in->path);
    token *added;
    zm_status status = token_add(in, json_integer_value(id), text, &added);
    if (status != ZM_OK)
        return status;
    added->added = true;
    added->special = json_is_true(json_object_get(entry, "special"));
    for (; *text; text++) {
        if (!arena_append(in->tokenizer, *text))
            return out_of_memory(in);
        added->size++;
    }
    return ZM_OK;
}

static zm_status read_added_tokens(const reader *in, const json_t *added)
{
    size_t i;
    json_t *entry;
    if (added && !json_is_null(added) && !json_is_array(added))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: added_tokens is no array", in->path);
    json_array_foreach(added, i, entry)
    {
        zm_status status = read_added_token(in, entry);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* Whether a decoder, or one of a sequence of them, is the byte-level one. */
static bool is_byte_level(const json_t *decoder)
{
    const char *type = zm_json_string(decoder, "type");
    size_t i;
    json_t *part;
    if (type && strcmp(type, "ByteLevel") == 0)
        return true;
    json_array_foreach(json_object_get(decoder, "decoders"), i, part)
    {
        const char *part_type = zm_json_string(part, "type");
        if (part_type && strcmp(part_type, "ByteLevel") == 0)
            return true;
    }
    return false;
}

static zm_status read_tokens(const reader *in, const json_t *root)
{
    const json_t *model = json_object_get(root, "model");
    const char *type = zm_json_string(model, "type");
    if (!json_is_object(model))
        return zm_fail(in->log, ZM_ERROR_BAD_FORMAT, "%s: no object 'model'", in->path);
    if ((type && strcmp(type, "BPE") != 0) || !is_byte_level(json_object_get(root, "decoder")))
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: a tokenizer that is not byte-level BPE (model '%.40s')", in->path,
                       type ? type : "without a type");
    zm_status status = read_added_tokens(in, json_object_get(root, "added_tokens"));
    return status == ZM_OK ? read_vocabulary(in, json_object_get(model, "vocab")) : status;
}

zm_status zm_tokenizer_open(const char *path, const zm_log *log, zm_tokenizer **out)
{
    if (!path || !out)
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT, "zm_tokenizer_open: a NULL argument");
    json_t *root = NULL;
    zm_tokenizer *tokenizer = NULL;
    zm_status status = zm_json_read(path, FILE_BYTES_MAX, log, &root);
    if (status != ZM_OK)
        goto done;
    tokenizer = zm_calloc(1, sizeof(*tokenizer));
    const reader in = {.tokenizer = tokenizer, .path = path, .log = log};
    if (!tokenizer) {
        status = out_of_memory(&in);
        goto done;
    }
    alphabet_init(tokenizer);
    status = read_tokens(&in, root);
    if (status != ZM_OK)
        goto done;
    *out = tokenizer;
    tokenizer = NULL;
done:
    json_decref(root);
    zm_tokenizer_close(&tokenizer);
    return status;
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
    const token *found = &tokenizer->tokens[id];
    bool silent = found->special && !special;
    *bytes = silent || found->size == 0 ? "" : tokenizer->arena + found->offset;
    *size = silent ? 0 : found->size;
    return ZM_OK;
}

int32_t zm_tokenizer_find_special(const zm_tokenizer *tokenizer, const char *text)
{
    const size_t size = strlen(text);
    for (uint32_t i = 0; i < tokenizer->size; i++) {
        const token *candidate = &tokenizer->tokens[i];
        if (candidate->added && candidate->size == size &&
            memcmp(tokenizer->arena + candidate->offset, text, size) == 0)
            return (int32_t)i;
    }
    return -1;
}
