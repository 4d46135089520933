/* SPDX-License-Identifier: Apache-2.0 */
/* Text to tokens. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/encoder.h"
#include "text/utf8.h"

void zm_encoder_clear(zm_encoder *encoder)
{
    for (size_t i = 0; i < ZM_STEPS_MAX; i++)
        free(encoder->buffers[i].bytes);
    free(encoder->ids);
    free(encoder->symbols);
    free(encoder->heap);
    free(encoder->best);
    free(encoder->pieces);
    zm_matcher_free(encoder->matcher);
    *encoder = (zm_encoder){0};
}

zm_status zm_encoder_push(zm_encoder *encoder, int32_t id)
{
    if (id < 0) {
        encoder->problem = "the text has a character that is no token, and there is no token for "
                           "what is unknown";
        return ZM_ERROR_UNSUPPORTED;
    }
    if (!zm_array_reserve((void **)&encoder->ids, &encoder->capacity, encoder->count + 1,
                          sizeof(*encoder->ids)))
        return ZM_ERROR_OUT_OF_MEMORY;
    encoder->ids[encoder->count++] = id;
    return ZM_OK;
}

static zm_status push_all(zm_encoder *encoder, const int32_t *ids, size_t count)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < count; i++)
        status = zm_encoder_push(encoder, ids[i]);
    return status;
}

static zm_status run(zm_encoder *encoder, const zm_encode_params *params)
{
    const zm_tokenizer *tokenizer = encoder->tokenizer;
    zm_piece piece = {.text = params->text, .size = params->size, .first = true};
    zm_text_buffer valid = {0};
    zm_status status = params->size > ZM_TEXT_SIZE_MAX ? ZM_ERROR_LIMIT : ZM_OK;
    if (status == ZM_OK && !zm_utf8_is_valid(piece.text, piece.size)) {
        status = zm_utf8_replace_invalid(piece.text, piece.size, &valid);
        piece.text = valid.bytes;
        piece.size = valid.size;
    }
    if (status == ZM_OK && !params->bare)
        status = push_all(encoder, tokenizer->before, tokenizer->before_count);
    if (status == ZM_OK)
        status = zm_steps_run(encoder, 0, piece);
    if (status == ZM_OK && !params->bare)
        status = push_all(encoder, tokenizer->after, tokenizer->after_count);
    free(valid.bytes);
    return status;
}

zm_status zm_tokenizer_encode(const zm_tokenizer *tokenizer, const zm_encode_params *params,
                              int32_t **tokens, size_t *count)
{
    if (!tokenizer || !params || !tokens || !count || (!params->text && params->size > 0))
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_tokenizer_encode: a NULL argument");
    if (tokenizer->refusal)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s", tokenizer->refusal);
    zm_encoder encoder = {
        .tokenizer = tokenizer, .literal = params->literal, .end = tokenizer->step_count};
    zm_status status = run(&encoder, params);
    const char *problem = encoder.problem;
    if (status == ZM_OK) {
        *tokens = encoder.ids;
        *count = encoder.count;
        encoder.ids = NULL;
    }
    zm_encoder_clear(&encoder);
    if (status == ZM_ERROR_OUT_OF_MEMORY)
        problem = "out of memory";
    if (status != ZM_OK)
        return zm_fail(params->log, status, "cannot make tokens of the text: %s",
                       problem ? problem : "it is too long");
    return ZM_OK;
}
