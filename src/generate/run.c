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
    uint32_t due; /* of them, that the next step decodes */
    bool ended;   /* all of the text has been told */
    zm_generation *result;
} run;

/* Texts that are decoded together; the i-th is the model's sequence i. */
typedef struct batch {
    const zm_language_model *model;
    const zm_generate_params *first; /* whose log and progress serve all */
    run *runs;
    zm_step *steps;
    uint32_t count;
} batch;

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

/* Decodes what is due of each text. */
static zm_status decode(batch *b)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const run *r = &b->runs[i];
        if (r->due)
            b->steps[used++] = (zm_step){.sequence = i,
                                         .count = r->due,
                                         .tokens = r->tokens + r->result->held,
                                         .logits = r->logits};
    }
    const zm_status status = b->model->step(b->model->user, b->steps, used);
    for (uint32_t i = 0; status == ZM_OK && i < b->count; i++)
        b->runs[i].result->held += b->runs[i].due;
    return status;
}

/* ---- prompts ---- */

/* The next tokens of all prompts that are not held; false: there are none. */
static bool take_chunk(batch *b)
{
    size_t room = ZM_PROMPT_CHUNK;
    for (uint32_t i = 0; i < b->count; i++) {
        run *r = &b->runs[i];
        const size_t rest = r->params->token_count - r->result->held;
        r->due = (uint32_t)(rest < room ? rest : room);
        room -= r->due;
    }
    return room < ZM_PROMPT_CHUNK;
}

static zm_status show_progress(const batch *b)
{
    uint64_t done = 0, total = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        const zm_generate_params *params = b->runs[i].params;
        done += b->runs[i].result->held - params->held;
        total += params->token_count - params->held;
    }
    const zm_generate_params *first = b->first;
    const bool more =
        !first->progress || first->progress(first->progress_user, "prompt", done, total);
    return more ? ZM_OK : ZM_ERROR_CANCELLED;
}

static zm_status decode_prompts(batch *b)
{
    const uint64_t clock = zm_clock_ns();
    zm_status status = ZM_OK;
    for (uint32_t i = 0; status == ZM_OK && i < b->count; i++)
        status = b->model->rewind(b->model->user, i, b->runs[i].params->held);
    if (status == ZM_OK)
        status = show_progress(b);
    while (status == ZM_OK && take_chunk(b)) {
        status = decode(b);
        if (status == ZM_OK)
            status = show_progress(b);
    }
    for (uint32_t i = 0; i < b->count; i++) {
        zm_generation *result = b->runs[i].result;
        result->prompt_tokens = result->held - b->runs[i].params->held;
        result->prompt_seconds = zm_clock_since(clock);
    }
    return status;
}

/* ---- texts ---- */

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

/* A character that never became whole, and what might have become a stop string. */
static zm_status end_text(run *r, bool told)
{
    const char *bytes;
    size_t size;
    r->ended = true;
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

/* Chooses a token; it is due where the text goes on behind it. */
static zm_status go_on(run *r)
{
    int32_t token = 0;
    zm_status status =
        zm_sampler_choose(&r->sampler, r->logits, r->tokens, r->count, r->params->log, &token);
    if (status != ZM_OK)
        return status;
    zm_stop stop = ZM_STOP_END;
    if (!ends_text(r, token)) {
        status = take(r, token);
        stop = must_stop(r);
    }
    r->due = stop == ZM_STOP_NONE;
    if (status == ZM_OK && stop != ZM_STOP_NONE)
        status = end_text(r, true);
    if (status == ZM_OK)
        r->result->stop = stop;
    return status;
}

static zm_status decode_texts(batch *b)
{
    const uint64_t clock = zm_clock_ns();
    zm_status status = ZM_OK;
    for (bool more = true; status == ZM_OK && more;) {
        more = false;
        for (uint32_t i = 0; status == ZM_OK && i < b->count; i++) {
            run *r = &b->runs[i];
            if (r->ended)
                continue;
            status = go_on(r);
            r->result->decode_seconds = zm_clock_since(clock);
            more |= r->due != 0;
        }
        if (status == ZM_OK && more)
            status = decode(b);
        for (uint32_t i = 0; status == ZM_OK && i < b->count; i++)
            b->runs[i].result->decoded_tokens += b->runs[i].due;
    }
    return status;
}

/* Hands over what has been gathered. */
static zm_status give_result(run *r, zm_generation **out)
{
    zm_generation *result = r->result;
    const size_t prompt = r->params->token_count;
    result->text = r->stream.text ? r->stream.text : zm_strdup("");
    r->stream.text = NULL;
    result->text_size = r->stream.size;
    result->seed = zm_random_seed(&r->sampler.random);
    result->token_count = r->count - prompt;
    result->tokens = zm_calloc(result->token_count + 1, sizeof(int32_t));
    if (!result->text || !result->tokens)
        return out_of_memory(r);
    memcpy(result->tokens, r->tokens + prompt, result->token_count * sizeof(int32_t));
    *out = result;
    r->result = NULL;
    return ZM_OK;
}

/* What there is of a text that was cancelled. */
static zm_status cut_text(run *r)
{
    if (r->result->stop == ZM_STOP_NONE)
        r->result->stop = ZM_STOP_CANCELLED;
    return r->ended || end_text(r, false) == ZM_OK ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
}

/* ---- a batch ---- */

static zm_status batch_init(batch *b, const zm_tokenizer *tokenizer, zm_text_fn text,
                            void *const *users)
{
    zm_status status = ZM_OK;
    if (b->count > b->model->info.sequences)
        return zm_fail(b->first->log, ZM_ERROR_LIMIT,
                       "%u texts at once; the session has room for %u", (unsigned)b->count,
                       (unsigned)b->model->info.sequences);
    b->runs = zm_calloc(b->count, sizeof(*b->runs));
    b->steps = zm_calloc(b->count, sizeof(*b->steps));
    if (!b->runs || !b->steps)
        return zm_fail(b->first->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory to generate text");
    for (uint32_t i = 0; status == ZM_OK && i < b->count; i++) {
        run *r = &b->runs[i];
        *r = (run){.model = b->model, .tokenizer = tokenizer, .params = b->first + i};
        status = run_init(r, text, users ? users[i] : NULL);
    }
    return status;
}

static void batch_finish(batch *b)
{
    for (uint32_t i = 0; b->runs && i < b->count; i++)
        run_finish(&b->runs[i]);
    free(b->runs);
    free(b->steps);
}

static zm_status give_results(batch *b, zm_generation **out)
{
    zm_status status = ZM_OK;
    for (uint32_t i = 0; i < b->count; i++)
        out[i] = NULL;
    for (uint32_t i = 0; status == ZM_OK && i < b->count; i++)
        status = give_result(&b->runs[i], &out[i]);
    for (uint32_t i = 0; status != ZM_OK && i < b->count; i++)
        zm_generation_destroy(&out[i]);
    return status;
}

zm_status zm_generate_with(const zm_language_model *model, const zm_tokenizer *tokenizer,
                           const zm_generate_params *params, uint32_t count, zm_text_fn text,
                           void *const *users, zm_generation **out)
{
    batch b = {.model = model, .first = params, .count = count};
    zm_status status = batch_init(&b, tokenizer, text, users);
    if (status == ZM_OK)
        status = decode_prompts(&b);
    if (status == ZM_OK)
        status = decode_texts(&b);
    for (uint32_t i = 0; status == ZM_ERROR_CANCELLED && i < count; i++)
        if (cut_text(&b.runs[i]) != ZM_OK)
            status = ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK || status == ZM_ERROR_CANCELLED) {
        const zm_status given = give_results(&b, out);
        status = given == ZM_OK ? status : given;
    }
    batch_finish(&b);
    return status;
}
