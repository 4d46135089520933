/* SPDX-License-Identifier: Apache-2.0 */
/* Added tokens, "<|endoftext|>": they are cut out of the text, whatever it says around them; at
 * each place the longest one. */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "text/encoder.h"
#include "text/utf8.h"

/* Unicode's White_Space. */
static bool is_space(uint32_t c)
{
    return (c >= 0x9 && c <= 0xD) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

/* Where the character before `at` begins. */
static size_t step_back(const char *text, size_t at)
{
    do
        at--;
    while (((uint8_t)text[at] & 0xC0) == 0x80);
    return at;
}

static size_t skip_spaces(const char *text, size_t size, size_t at)
{
    for (size_t length; at < size && is_space(zm_utf8_decode(text + at, &length)); at += length)
        ;
    return at;
}

static size_t skip_spaces_back(const char *text, size_t at)
{
    size_t length;
    while (at > 0) {
        const size_t before = step_back(text, at);
        if (!is_space(zm_utf8_decode(text + before, &length)))
            break;
        at = before;
    }
    return at;
}

/* Whether a word stands right in front of begin, or right behind end. */
static zm_status touches_word(zm_encoder *e, const zm_piece *piece, size_t begin, size_t end,
                              bool *out)
{
    const zm_pattern *word = &e->tokenizer->word;
    zm_match match = {SIZE_MAX, SIZE_MAX};
    zm_status status = ZM_OK;
    if (begin > 0) {
        const size_t before = step_back(piece->text, begin);
        status = zm_pattern_find(word, &e->matcher, piece->text, begin, before, &match);
    }
    *out = match.begin < begin;
    if (status == ZM_OK && end < piece->size) {
        size_t length = zm_utf8_length(piece->text[end]);
        status = zm_pattern_find(word, &e->matcher, piece->text, end + length, end, &match);
        *out |= match.begin == end;
    }
    return status;
}

/* The longest added token that the text at `at` begins with; -1: none. */
static int32_t longest_at(const zm_trie *trie, const zm_piece *piece, size_t at, size_t *end)
{
    int32_t found = -1;
    uint32_t node = 0;
    while (at < piece->size && (node = zm_trie_step(trie, node, piece->text[at++])) != 0)
        if (trie->values[node] >= 0) {
            found = trie->values[node];
            *end = at;
        }
    return found;
}

/* Whether the token counts where it was found; widens its range by the white space it takes. */
static zm_status accept(zm_encoder *e, const zm_piece *piece, const zm_token *token, size_t *begin,
                        size_t *end, bool *out)
{
    bool touches = false;
    *out = false;
    if (e->literal && token->special)
        return ZM_OK;
    if (token->single_word) {
        zm_status status = touches_word(e, piece, *begin, *end, &touches);
        if (status != ZM_OK || touches)
            return status;
    }
    if (token->left_strip)
        *begin = skip_spaces_back(piece->text, *begin);
    if (token->right_strip)
        *end = skip_spaces(piece->text, piece->size, *end);
    *out = true;
    return ZM_OK;
}

zm_status zm_added_run(zm_encoder *e, size_t step, zm_piece piece)
{
    const zm_trie *trie = &e->tokenizer->added[e->tokenizer->steps[step].normalized];
    zm_status status = ZM_OK;
    size_t done = 0;
    for (size_t at = 0; trie->count > 0 && at < piece.size;) {
        size_t begin = at, end = at, next;
        const int32_t id = longest_at(trie, &piece, at, &end);
        bool accepted = false;
        if (id < 0) {
            at++;
            continue;
        }
        next = end;
        status = accept(e, &piece, &e->tokenizer->tokens[id], &begin, &end, &accepted);
        if (status == ZM_OK && accepted && begin > done)
            status = zm_steps_run(
                e, step + 1, (zm_piece){piece.text + done, begin - done, piece.first && done == 0});
        if (status == ZM_OK && accepted)
            status = zm_encoder_push(e, id);
        if (status != ZM_OK)
            return status;
        done = accepted ? end : done;
        at = next;
    }
    if (done >= piece.size)
        return ZM_OK;
    return zm_steps_run(e, step + 1,
                        (zm_piece){piece.text + done, piece.size - done, piece.first && done == 0});
}

/* What a token is looked for as: behind the normalizers its text is changed like all other text. */
static zm_status add_token(zm_encoder *e, zm_tokenizer *tokenizer, uint32_t id)
{
    const zm_token *token = &tokenizer->tokens[id];
    const char *text = tokenizer->arena.bytes + token->text_offset;
    zm_text_buffer normalized = {0}, valid = {0};
    zm_status status = zm_utf8_replace_invalid(text, token->text_size, &valid);
    e->output = &normalized;
    e->end = token->normalized ? tokenizer->normalizer_end : 1;
    if (status == ZM_OK)
        status = zm_steps_run(e, 1, (zm_piece){valid.bytes, valid.size, true});
    if (status == ZM_OK && normalized.size > ZM_TOKEN_BYTES_MAX)
        status = ZM_ERROR_UNSUPPORTED;
    if (status == ZM_OK && normalized.size > 0) {
        int32_t *value =
            zm_trie_add(&tokenizer->added[token->normalized], normalized.bytes, normalized.size);
        status = value ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
        if (value && *value < 0)
            *value = (int32_t)id;
    }
    e->output = NULL;
    free(normalized.bytes);
    free(valid.bytes);
    return status;
}

static zm_status add_kind(zm_encoder *e, zm_tokenizer *tokenizer, bool special, bool *single_word)
{
    zm_status status = ZM_OK;
    for (uint32_t id = 0; status == ZM_OK && id < tokenizer->size; id++) {
        const zm_token *token = &tokenizer->tokens[id];
        if (!token->added || token->special != special)
            continue;
        *single_word |= token->single_word;
        status = add_token(e, tokenizer, id);
    }
    return status;
}

/* Of two with the same text the special one counts, and then the one with the smaller id. */
zm_status zm_added_finish(const zm_token_reader *in)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    zm_encoder encoder = {.tokenizer = tokenizer};
    bool single_word = false;
    zm_status status = add_kind(&encoder, tokenizer, true, &single_word);
    if (status == ZM_OK)
        status = add_kind(&encoder, tokenizer, false, &single_word);
    zm_encoder_clear(&encoder);
    if (status == ZM_ERROR_OUT_OF_MEMORY)
        return zm_token_out_of_memory(in);
    if (status != ZM_OK)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: an added token of over %d bytes is not supported", in->name,
                       ZM_TOKEN_BYTES_MAX);
    if (!single_word)
        return ZM_OK;
    return zm_pattern_regex(&tokenizer->word,
                            "[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}]", in->name,
                            in->log);
}
