/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/run.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "generate/sampler.h"
#include "generate/stream.h"

/* One text. */
typedef struct run {
    const zm_language_model *model;
    const zm_tokenizer *tokenizer;
    const zm_generate_params *params;
    zm_sampler sampler;
    zm_decoder *decoder;
    zm_text_stream stream;
    float *logits;
    int32_t *tokens; /* the prompt's, then those that were chosen */
    size_t count, capacity;
    zm_generation *result;
} run;

static zm_status check_params(const run *r)
{
    const zm_generate_params *params = r->params;
    const zm_session_info *info = &r->model->info;
    if (info->vocabulary == 0 || info->positions == 0)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "the model has no decoder of text");
    if (!params->tokens || params->token_count == 0 || params->held >= params->token_count)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "generate: the prompt needs at least one token that is not held yet");
    for (size_t i = 0; i < params->token_count; i++)
        if (params->tokens[i] < 0 || (uint32_t)params->tokens[i] >= info->vocabulary)
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                           "generate: the prompt has the token %d, the model has %u",
                           (int)params->tokens[i], (unsigned)info->vocabulary);
    for (size_t i = 0; i < params->stop_count; i++)
        if (!params->stops || !params->stops[i] || !params->stops[i][0])
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                           "generate: an empty stop string");
    if (params->token_count >= info->positions)
        return zm_fail(params->log, ZM_ERROR_LIMIT,
                       "the prompt has %zu tokens, and the context has room for %u, the answer "
                       "included",
                       params->token_count, (unsigned)info->positions);
    return ZM_OK;
}

static zm_status out_of_memory(const run *r)
{
    return zm_fail(r->params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory to generate text");
}

/* How the first token is spelt depends on there being one before it. */
static zm_status begin_text(run *r)
{
    const char *bytes;
    size_t size;
    const zm_generate_params *params = r->params;
    zm_status status = zm_decoder_create(r->tokenizer, false, &r->decoder);
    if (status == ZM_OK)
        status = zm_decoder_add(r->decoder, params->tokens[params->token_count - 1], &bytes, &size);
    return status == ZM_ERROR_OUT_OF_MEMORY ? out_of_memory(r) : ZM_OK;
}

static zm_status run_init(run *r, zm_text_fn text, void *user)
{
    const zm_generate_params *params = r->params;
    zm_status status = check_params(r);
    if (status == ZM_OK)
        status =
            zm_sampler_init(&r->sampler, &params->sampling, r->model->info.vocabulary, params->log);
    if (status == ZM_OK)
        status = begin_text(r);
    if (status != ZM_OK)
        return status;
    r->stream = (zm_text_stream){
        .stops = params->stops, .stop_count = params->stop_count, .tell = text, .user = user};
    r->logits = zm_calloc(r->model->info.vocabulary, sizeof(float));
    r->result = zm_calloc(1, sizeof(*r->result));
    if (!r->logits || !r->result ||
        !zm_array_reserve((void **)&r->tokens, &r->capacity, params->token_count, sizeof(int32_t)))
        return out_of_memory(r);
    memcpy(r->tokens, params->tokens, params->token_count * sizeof(int32_t));
    r->count = params->token_count;
    r->result->held = params->held;
    return ZM_OK;
}

static void run_finish(run *r)
{
    zm_generation_destroy(&r->result);
    zm_text_stream_finish(&r->stream);
    zm_decoder_destroy(&r->decoder);
    zm_sampler_finish(&r->sampler);
    free(r->logits);
    free(r->tokens);
}

static zm_status decode(run *r, size_t count)
{
    zm_generation *result = r->result;
    const zm_status status =
        r->model->decode(r->model->user, r->tokens + result->held, (uint32_t)count, r->logits);
    if (status == ZM_OK)
        result->held += (uint32_t)count;
    return status;
}

/* All of the prompt that the session doesn't hold. */
static zm_status decode_prompt(run *r)
{
    const zm_generate_params *params = r->params;
    zm_generation *result = r->result;
    const uint64_t clock = zm_clock_ns(), total = params->token_count - params->held;
    zm_status status = r->model->rewind(r->model->user, params->held);
    while (status == ZM_OK && result->held < params->token_count) {
        const size_t rest = params->token_count - result->held;
        if (params->progress && !params->progress(params->progress_user, "prompt",
                                                  result->held - params->held, total)) {
            status = ZM_ERROR_CANCELLED;
            break;
        }
        status = decode(r, rest < ZM_PROMPT_CHUNK ? rest : ZM_PROMPT_CHUNK);
    }
    if (status == ZM_OK && params->progress &&
        !params->progress(params->progress_user, "prompt", total, total))
        status = ZM_ERROR_CANCELLED;
    result->prompt_tokens = result->held - params->held;
    result->prompt_seconds = zm_clock_since(clock);
    return status;
}

static bool ends_text(const run *r, int32_t token)
{
    const int32_t *ends;
    const size_t count = zm_tokenizer_get_ends(r->tokenizer, &ends);
    for (size_t i = 0; i < count && !r->params->past_end; i++)
        if (ends[i] == token)
            return true;
    return false;
}

/* Takes the token into the text. */
static zm_status take(run *r, int32_t token)
{
    const char *bytes = "";
    size_t size = 0;
    if (!zm_array_reserve((void **)&r->tokens, &r->capacity, r->count + 1, sizeof(int32_t)))
        return out_of_memory(r);
    r->tokens[r->count++] = token;
    /* Models have more logits than there are tokens; those have no text. */
    zm_status status = zm_decoder_add(r->decoder, token, &bytes, &size);
    if (status == ZM_ERROR_NOT_FOUND)
        return ZM_OK;
    if (status == ZM_OK)
        status = zm_text_stream_add(&r->stream, bytes, size);
    return status == ZM_ERROR_OUT_OF_MEMORY ? out_of_memory(r) : status;
}

/* Why it ends behind the last token; ZM_STOP_NONE: it goes on. */
static zm_stop must_stop(const run *r)
{
    const size_t chosen = r->count - r->params->token_count;
    if (r->stream.stopped)
        return ZM_STOP_STRING;
    if (r->params->max_tokens && chosen >= r->params->max_tokens)
        return ZM_STOP_LENGTH;
    return r->count >= r->model->info.positions ? ZM_STOP_CONTEXT : ZM_STOP_NONE;
}

static zm_status decode_text(run *r)
{
    zm_generation *result = r->result;
    for (;;) {
        int32_t token = 0;
        zm_status status =
            zm_sampler_choose(&r->sampler, r->logits, r->tokens, r->count, r->params->log, &token);
        if (status != ZM_OK)
            return status;
        if (ends_text(r, token)) {
            result->stop = ZM_STOP_END;
            return ZM_OK;
        }
        status = take(r, token);
        result->stop = must_stop(r);
        if (status != ZM_OK || result->stop != ZM_STOP_NONE)
            return status;
        status = decode(r, 1);
        if (status != ZM_OK)
            return status;
        result->decoded_tokens++;
    }
}

/* A character that never became whole, and what might have become a stop string. */
static zm_status end_text(run *r, bool told)
{
    const char *bytes;
    size_t size;
    zm_decoder_rest(r->decoder, &bytes, &size);
    zm_status status = ZM_OK;
    if (!told)
        r->stream.tell = NULL;
    if (!r->stream.stopped)
        status = zm_text_stream_add(&r->stream, bytes, size);
    if (status == ZM_OK)
        status = zm_text_stream_end(&r->stream);
    return status == ZM_ERROR_OUT_OF_MEMORY ? out_of_memory(r) : status;
}

/* Hands over what has been gathered. */
static zm_status give_result(run *r, zm_generation **out)
{
    zm_generation *result = r->result;
    const size_t prompt = r->params->token_count;
    result->text = r->stream.text ? r->stream.text : zm_strdup("");
    r->stream.text = NULL;
    result->text_size = r->stream.size;
    result->token_count = r->count - prompt;
    result->tokens = zm_calloc(result->token_count + 1, sizeof(int32_t));
    if (!result->text || !result->tokens)
        return out_of_memory(r);
    memcpy(result->tokens, r->tokens + prompt, result->token_count * sizeof(int32_t));
    *out = result;
    r->result = NULL;
    return ZM_OK;
}

static zm_status run_all(run *r)
{
    zm_status status = decode_prompt(r);
    if (status != ZM_OK)
        return status;
    const uint64_t clock = zm_clock_ns();
    status = decode_text(r);
    r->result->decode_seconds = zm_clock_since(clock);
    return status;
}

zm_status zm_generate_with(const zm_language_model *model, const zm_tokenizer *tokenizer,
                           const zm_generate_params *params, zm_text_fn text, void *user,
                           zm_generation **out)
{
    run r = {.model = model, .tokenizer = tokenizer, .params = params};
    zm_status status = run_init(&r, text, user);
    if (status == ZM_OK)
        status = run_all(&r);
    if (status == ZM_OK)
        status = end_text(&r, true);
    else if (status == ZM_ERROR_CANCELLED && end_text(&r, false) != ZM_OK)
        status = ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_ERROR_CANCELLED)
        r.result->stop = ZM_STOP_CANCELLED;
    if (status == ZM_OK || status == ZM_ERROR_CANCELLED) {
        const zm_status given = give_result(&r, out);
        status = given == ZM_OK ? status : given;
    }
    run_finish(&r);
    return status;
}
