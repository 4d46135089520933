/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens to text. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/tokenizer.h"

struct zm_decoder {
    const zm_tokenizer *tokenizer;
    bool special, begun; /* begun: a token has been decoded */
    zm_text_buffer held; /* bytes that were given, then those that wait for the rest of theirs */
    size_t given;
};

zm_status zm_decoder_create(const zm_tokenizer *tokenizer, bool special, zm_decoder **out)
{
    if (!tokenizer || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_decoder *decoder = zm_calloc(1, sizeof(*decoder));
    if (!decoder)
        return ZM_ERROR_OUT_OF_MEMORY;
    decoder->tokenizer = tokenizer;
    decoder->special = special;
    *out = decoder;
    return ZM_OK;
}

void zm_decoder_destroy(zm_decoder **decoder)
{
    if (!decoder || !*decoder)
        return;
    free((*decoder)->held.bytes);
    free(*decoder);
    *decoder = NULL;
}

static zm_status append(zm_text_buffer *out, const char *bytes, size_t size)
{
    zm_status status = zm_text_buffer_append(out, bytes, size);
    return status == ZM_ERROR_LIMIT ? ZM_ERROR_OUT_OF_MEMORY : status;
}

/* Appends the bytes of a token. *begun: it is not the first one. */
static zm_status append_token(const zm_tokenizer *tokenizer, int32_t token, bool special,
                              bool *begun, zm_text_buffer *out)
{
    const char *bytes;
    size_t size;
    zm_status status = zm_tokenizer_bytes(tokenizer, token, special, &bytes, &size);
    if (status != ZM_OK || (tokenizer->tokens[token].special && !special))
        return status;
    const bool first = !*begun;
    *begun = true;
    if (!first || tokenizer->spelling.strip == ZM_STRIP_NONE)
        return append(out, bytes, size);
    if (tokenizer->spelling.strip == ZM_STRIP_ONE) {
        *begun = size > 0; /* the space that goes is that of the text */
        const size_t skip = size > 0 && bytes[0] == ' ';
        return append(out, bytes + skip, size - skip);
    }
    for (size_t i = 0; status == ZM_OK && i < size; i++)
        if (bytes[i] != ' ')
            status = append(out, bytes + i, 1);
    return status;
}

zm_status zm_decoder_add(zm_decoder *decoder, int32_t token, const char **bytes, size_t *size)
{
    zm_text_buffer *held = &decoder->held;
    if (decoder->given > 0)
        memmove(held->bytes, held->bytes + decoder->given, held->size - decoder->given);
    held->size -= decoder->given;
    decoder->given = 0;
    zm_status status =
        append_token(decoder->tokenizer, token, decoder->special, &decoder->begun, held);
    if (status != ZM_OK)
        return status;
    decoder->given = held->size > 0 ? zm_utf8_whole(held->bytes, held->size) : 0;
    *bytes = decoder->given > 0 ? held->bytes : "";
    *size = decoder->given;
    return ZM_OK;
}

void zm_decoder_rest(const zm_decoder *decoder, const char **bytes, size_t *size)
{
    *size = decoder->held.size - decoder->given;
    *bytes = *size > 0 ? decoder->held.bytes + decoder->given : "";
}

zm_status zm_tokenizer_decode(const zm_tokenizer *tokenizer, const int32_t *tokens, size_t count,
                              bool special, char **bytes, size_t *size)
{
    zm_text_buffer out = {0};
    bool begun = false;
    if (!tokenizer || (!tokens && count > 0) || !bytes || !size)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < count; i++)
        status = append_token(tokenizer, tokens[i], special, &begun, &out);
    if (status == ZM_OK)
        status = append(&out, "", 1);
    if (status != ZM_OK) {
        free(out.bytes);
        return status;
    }
    *bytes = out.bytes;
    *size = out.size - 1;
    return ZM_OK;
}
