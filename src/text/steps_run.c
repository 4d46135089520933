/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a tokenizer: run. Each gets a piece of text and hands on one piece or several; an
 * empty one is dropped. */
#include <string.h>

#include "text/encoder.h"
#include "text/utf8.h"

typedef struct run {
    zm_encoder *encoder;
    size_t step;
    zm_piece piece;
} run;

static const zm_step *step_of(const run *r)
{
    return &r->encoder->tokenizer->steps[r->step];
}

/* Hands on what the step wrote. */
static zm_status hand_on_buffer(const run *r)
{
    const zm_text_buffer *buffer = &r->encoder->buffers[r->step];
    return zm_steps_run(r->encoder, r->step + 1,
                        (zm_piece){buffer->bytes, buffer->size, r->piece.first});
}

/* Hands on a part of the piece. */
static zm_status hand_on(const run *r, size_t begin, size_t end)
{
    return zm_steps_run(
        r->encoder, r->step + 1,
        (zm_piece){r->piece.text + begin, end - begin, r->piece.first && begin == 0});
}

/* The next match at or behind *at. An empty match right behind the last one does not count: as in
 * the reference, the search goes on one character further. */
static zm_status next_match(const run *r, size_t *at, zm_match *match)
{
    const size_t last = match->end;
    for (; *at <= r->piece.size; *at += zm_utf8_length(r->piece.text[*at])) {
        zm_status status = zm_pattern_find(&step_of(r)->pattern, &r->encoder->matcher,
                                           r->piece.text, r->piece.size, *at, match);
        if (status == ZM_ERROR_LIMIT)
            r->encoder->problem = "a pattern takes too long on this text";
        if (status != ZM_OK)
            return status;
        if (match->begin > r->piece.size)
            return ZM_OK;
        if (match->begin < match->end || match->end != last) {
            *at = match->end;
            return ZM_OK;
        }
        *at = match->end;
        if (*at == r->piece.size)
            break;
    }
    match->begin = SIZE_MAX;
    return ZM_OK;
}

static const zm_match no_match = {SIZE_MAX, SIZE_MAX};

static zm_status run_replace(const run *r)
{
    const zm_step *step = step_of(r);
    zm_text_buffer *out = &r->encoder->buffers[r->step];
    size_t done = 0, at = 0;
    zm_match match = no_match;
    out->size = 0;
    for (;;) {
        zm_status status = next_match(r, &at, &match);
        const bool more = status == ZM_OK && match.begin <= r->piece.size;
        if (status == ZM_OK)
            status = zm_text_buffer_append(out, r->piece.text + done,
                                           (more ? match.begin : r->piece.size) - done);
        if (status == ZM_OK && more)
            status = zm_text_buffer_append(out, step->text, step->text_size);
        if (status != ZM_OK)
            return status;
        if (!more)
            return hand_on_buffer(r);
        done = match.end;
    }
}

/* A piece that may still grow. */
typedef struct split {
    const run *run;
    size_t begin, end;
    bool open;
    bool matched; /* the last segment was a match */
} split;

static zm_status split_close(split *s)
{
    const bool open = s->open;
    s->open = false;
    return open ? hand_on(s->run, s->begin, s->end) : ZM_OK;
}

static bool joins(const split *s, zm_split_behavior behavior, bool matched)
{
    switch (behavior) {
    case ZM_SPLIT_CONTIGUOUS: return matched == s->matched;
    case ZM_SPLIT_WITH_PREVIOUS: return matched && !s->matched;
    case ZM_SPLIT_WITH_NEXT: return !matched && s->matched;
    default: return false;
    }
}

/* The next segment of the piece: a match, or what is between two. */
static zm_status split_add(split *s, size_t begin, size_t end, bool matched)
{
    const zm_step *step = step_of(s->run);
    zm_status status = ZM_OK;
    matched = matched != step->invert;
    if (!s->open || !joins(s, step->behavior, matched)) {
        status = split_close(s);
        s->begin = begin;
        s->open = step->behavior != ZM_SPLIT_REMOVED || !matched;
    }
    s->end = end;
    s->matched = matched;
    return status;
}

static zm_status run_split(const run *r)
{
    split s = {.run = r};
    size_t done = 0, at = 0;
    zm_match match = no_match;
    for (;;) {
        zm_status status = next_match(r, &at, &match);
        const bool more = status == ZM_OK && match.begin <= r->piece.size;
        const size_t end = more ? match.begin : r->piece.size;
        if (status == ZM_OK && end > done)
            status = split_add(&s, done, end, false);
        if (status == ZM_OK && more)
            status = split_add(&s, match.begin, match.end, true);
        if (status != ZM_OK)
            return status;
        if (!more)
            return split_close(&s);
        done = match.end;
    }
}

static zm_status run_prefix(const run *r)
{
    const zm_step *step = step_of(r);
    const zm_piece *piece = &r->piece;
    zm_text_buffer *out = &r->encoder->buffers[r->step];
    const bool there =
        piece->size >= step->text_size && memcmp(piece->text, step->text, step->text_size) == 0;
    if ((step->unless_there && there) || (step->only_first && !piece->first))
        return zm_steps_run(r->encoder, r->step + 1, *piece);
    out->size = 0;
    zm_status status = zm_text_buffer_append(out, step->text, step->text_size);
    if (status == ZM_OK)
        status = zm_text_buffer_append(out, piece->text, piece->size);
    return status == ZM_OK ? hand_on_buffer(r) : status;
}

static zm_status run_bytes(const run *r)
{
    const zm_tokenizer *tokenizer = r->encoder->tokenizer;
    zm_text_buffer *out = &r->encoder->buffers[r->step];
    zm_status status = ZM_OK;
    out->size = 0;
    for (size_t i = 0; status == ZM_OK && i < r->piece.size; i++) {
        const uint8_t byte = (uint8_t)r->piece.text[i];
        status =
            zm_text_buffer_append(out, tokenizer->byte_text[byte], tokenizer->byte_text_size[byte]);
    }
    return status == ZM_OK ? hand_on_buffer(r) : status;
}

static zm_status run_form(const run *r)
{
    zm_text_buffer *out = &r->encoder->buffers[r->step];
    out->size = 0;
    zm_status status = zm_unicode_form_append(step_of(r)->form, r->piece.text, r->piece.size, out);
    return status == ZM_OK ? hand_on_buffer(r) : status;
}

static zm_status run_model(zm_encoder *encoder, const zm_piece *piece)
{
    if (encoder->output)
        return zm_text_buffer_append(encoder->output, piece->text, piece->size);
    return encoder->tokenizer->model == ZM_TOKEN_MODEL_BPE
               ? zm_bpe_encode(encoder, piece->text, piece->size)
               : zm_unigram_encode(encoder, piece->text, piece->size);
}

zm_status zm_steps_run(zm_encoder *encoder, size_t begin, zm_piece piece)
{
    const run r = {.encoder = encoder, .step = begin, .piece = piece};
    if (piece.size == 0)
        return ZM_OK;
    if (begin == encoder->end)
        return run_model(encoder, &piece);
    switch (step_of(&r)->kind) {
    case ZM_STEP_ADDED: return zm_added_run(encoder, begin, piece);
    case ZM_STEP_FORM: return run_form(&r);
    case ZM_STEP_REPLACE: return run_replace(&r);
    case ZM_STEP_PREFIX: return run_prefix(&r);
    case ZM_STEP_SPLIT: return run_split(&r);
    case ZM_STEP_BYTES: return run_bytes(&r);
    }
    return ZM_ERROR_INVALID_ARGUMENT;
}
