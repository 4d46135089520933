/* SPDX-License-Identifier: Apache-2.0 */
/* The unigram model (Kudo 2018): of all ways to cut a text into tokens the one with the largest
 * sum of scores (Viterbi). A character that is no token costs what the worst token does and ten
 * more; neighbours of that kind are one unknown token. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/encoder.h"
#include "text/utf8.h"

static const double unknown_penalty = 10;

zm_status zm_unigram_finish(const zm_token_reader *in)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    double least = INFINITY;
    for (uint32_t id = 0; id < tokenizer->size; id++) {
        const zm_token *token = &tokenizer->tokens[id];
        if (!token->in_model)
            continue;
        least = fmin(least, tokenizer->scores[id]);
        if (token->text_size == 0)
            continue;
        if (token->text_size > ZM_TOKEN_BYTES_MAX)
            return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: token %u has over %d bytes",
                           in->name, (unsigned)id, ZM_TOKEN_BYTES_MAX);
        int32_t *value = zm_trie_add(&tokenizer->pieces,
                                     tokenizer->arena.bytes + token->text_offset, token->text_size);
        if (!value)
            return zm_token_out_of_memory(in);
        *value = (int32_t)id;
    }
    tokenizer->unknown_score = least - unknown_penalty;
    return ZM_OK;
}

static void reach(zm_best *target, double score, size_t begin, int32_t id)
{
    if (target->begin == UINT32_MAX || score > target->score)
        *target = (zm_best){.score = score, .begin = (uint32_t)begin, .id = id};
}

/* All tokens that begin at the character at begin. */
static void extend(zm_encoder *e, const char *text, size_t size, size_t begin, size_t length)
{
    const zm_tokenizer *tokenizer = e->tokenizer;
    const double here = e->best[begin].score;
    bool single = false;
    uint32_t node = 0;
    for (size_t end = begin; end < size;) {
        node = zm_trie_step(&tokenizer->pieces, node, text[end++]);
        if (node == 0)
            break;
        const int32_t id = tokenizer->pieces.values[node];
        if (id < 0)
            continue;
        reach(&e->best[end], here + tokenizer->scores[id], begin, id);
        single |= end - begin == length;
    }
    if (!single)
        reach(&e->best[begin + length], here + tokenizer->unknown_score, begin, tokenizer->unknown);
}

static zm_status push_piece(zm_encoder *e, const char *text, size_t size)
{
    const zm_tokenizer *tokenizer = e->tokenizer;
    const int32_t id = zm_token_find(tokenizer, text, size);
    bool bytes = id < 0 && tokenizer->byte_fallback;
    for (size_t i = 0; bytes && i < size; i++)
        bytes = tokenizer->byte_tokens[(uint8_t)text[i]] >= 0;
    if (!bytes)
        return zm_encoder_push(e, id >= 0 ? id : tokenizer->unknown);
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < size; i++)
        status = zm_encoder_push(e, tokenizer->byte_tokens[(uint8_t)text[i]]);
    return status;
}

/* Walks back along the best way, and joins the unknown. */
static zm_status push_best(zm_encoder *e, const char *text, size_t size)
{
    const int32_t unknown = e->tokenizer->unknown;
    zm_status status = ZM_OK;
    size_t count = 0;
    bool joins = false;
    for (size_t end = size; end > 0; end = e->best[end].begin) {
        const bool is_unknown = e->best[end].id == unknown;
        if (is_unknown && joins) {
            e->pieces[count - 1].begin = e->best[end].begin;
            continue;
        }
        if (!zm_array_reserve((void **)&e->pieces, &e->piece_capacity, count + 1,
                              sizeof(*e->pieces)))
            return ZM_ERROR_OUT_OF_MEMORY;
        e->pieces[count++] = (zm_match){.begin = e->best[end].begin, .end = end};
        joins = is_unknown;
    }
    while (status == ZM_OK && count-- > 0)
        status = push_piece(e, text + e->pieces[count].begin,
                            e->pieces[count].end - e->pieces[count].begin);
    return status;
}

zm_status zm_unigram_encode(zm_encoder *e, const char *text, size_t size)
{
    if (!zm_array_reserve((void **)&e->best, &e->best_capacity, size + 1, sizeof(*e->best)))
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i <= size; i++)
        e->best[i] = (zm_best){.begin = UINT32_MAX};
    for (size_t i = 0, length; i < size; i += length) {
        length = zm_utf8_length(text[i]);
        extend(e, text, size, i, length);
    }
    return push_best(e, text, size);
}
