/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/audio.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "common/log.h"
#include "transcribe/segments.h"

/* As in the reference: silence is where the model says so and does not trust what it wrote. */
#define NO_SPEECH_MIN 0.6
#define LOG_PROBABILITY_MIN (-1.0)

/* -80 dB of full scale. Whisper models say "you" or "Thank you" to silence like that. */
#define SILENCE_MAX 1e-4f

typedef struct window {
    zm_run *run;
    size_t seek;     /* sample where it begins */
    uint32_t length; /* in timestamps, 1 .. ZM_TIMESTAMPS - 1 */
    int32_t *tokens; /* as decoded, with timestamps, without the end */
    size_t token_count;
    int32_t *text; /* the same without timestamps */
    size_t text_count;
    zm_span *spans;
    size_t added;           /* tokens whose text the transcript has */
    bool doubtful;          /* perhaps no speech: nothing is spoken before the end is known */
    double log_probability; /* sum over the decoded tokens and the end, where doubtful */
} window;

static void window_finish(window *w)
{
    free(w->tokens);
    free(w->text);
    free(w->spans);
}

static zm_status window_init(window *w)
{
    const uint32_t limit = w->run->token_limit;
    const size_t left = w->run->params->sample_count - w->seek;
    const size_t longest = (size_t)ZM_MEL_FRAMES * ZM_MEL_FRAME_SAMPLES;
    const size_t samples = left < longest ? left : longest;
    w->length = (uint32_t)((samples + ZM_TIMESTAMP_SAMPLES - 1) / ZM_TIMESTAMP_SAMPLES);
    w->tokens = zm_calloc(limit, sizeof(int32_t));
    w->text = zm_calloc(limit, sizeof(int32_t));
    w->spans = zm_calloc(limit, sizeof(zm_span));
    if (!w->tokens || !w->text || !w->spans)
        return zm_fail(w->run->params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory for a window");
    return ZM_OK;
}

/* Seconds from the beginning of the audio, not behind its end. */
static double seconds_at(const window *w, uint32_t time)
{
    const size_t total = w->run->params->sample_count;
    const size_t sample = w->seek + (size_t)time * ZM_TIMESTAMP_SAMPLES;
    return (double)(sample < total ? sample : total) / ZM_AUDIO_RATE;
}

/* Hands the caller the text that it has not had yet. */
static zm_status tell_text(const window *w, double seconds)
{
    zm_run *run = w->run;
    const zm_transcribe_params *params = run->params;
    const size_t grown = run->transcript.text_size - run->told;
    if (!params->text || grown == 0)
        return ZM_OK;
    char *piece = zm_calloc(grown + 1, 1);
    if (!piece)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory for text");
    memcpy(piece, run->transcript.text + run->told, grown);
    run->told += grown;
    bool go_on = params->text(params->user, piece, seconds);
    free(piece);
    return go_on ? ZM_OK : ZM_ERROR_CANCELLED;
}

/* Adds the text of the tokens up to end to the transcript. */
static zm_status add_tokens(window *w, size_t end)
{
    zm_run *run = w->run;
    for (; w->added < end; w->added++) {
        const int32_t token = w->tokens[w->added];
        const char *bytes;
        size_t size;
        if (token >= run->rules.first_timestamp)
            continue;
        if (zm_tokenizer_bytes(run->tokenizer, token, false, &bytes, &size) != ZM_OK)
            return zm_fail(run->params->log, ZM_ERROR_BAD_FORMAT,
                           "the tokenizer has no token %d; does it belong to this model?",
                           (int)token);
        if (zm_transcript_builder_add(&run->transcript, token, bytes, size) != ZM_OK)
            return zm_fail(run->params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory for text");
    }
    return ZM_OK;
}

/* Hands the caller the segment that was closed last. */
static zm_status tell_segment(const zm_run *run)
{
    const zm_transcribe_params *params = run->params;
    zm_segment segment;
    if (!params->segment)
        return ZM_OK;
    if (zm_transcript_builder_segment(&run->transcript, run->transcript.segment_count - 1,
                                      &segment) != ZM_OK)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory for text");
    bool go_on = params->segment(params->user, &segment);
    free((char *)segment.text);
    return go_on ? ZM_OK : ZM_ERROR_CANCELLED;
}

static zm_status speak_span(window *w, const zm_span *span)
{
    const double start = seconds_at(w, span->start), stop = seconds_at(w, span->stop);
    zm_transcript_builder *transcript = &w->run->transcript;
    const size_t before = transcript->segment_count;
    zm_status status = add_tokens(w, span->end);
    if (status != ZM_OK)
        return status;
    if (zm_transcript_builder_close_segment(transcript, start, stop > start ? stop : start) !=
        ZM_OK)
        return zm_fail(w->run->params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory for text");
    status = tell_text(w, stop);
    if (status != ZM_OK || transcript->segment_count == before)
        return status;
    return tell_segment(w->run);
}

/* Speaks the segments that the tokens complete and that have not been spoken. */
static zm_status speak_segments(window *w, uint32_t *advance)
{
    size_t count = zm_window_split(w->tokens, w->token_count, w->run->rules.first_timestamp,
                                   w->length, w->spans, advance);
    for (size_t i = 0; i < count; i++) {
        /* Without timestamps the one segment has been spoken token by token, but is open. */
        if (w->spans[i].end <= w->added && w->run->rules.timestamps)
            continue;
        zm_status status = speak_span(w, &w->spans[i]);
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

/* What the new token lets the caller hear, and how far the window is. */
static zm_status speak_token(window *w)
{
    zm_run *run = w->run;
    const int32_t first = run->rules.first_timestamp;
    const int32_t token = w->tokens[w->token_count - 1];
    const bool is_time = token >= first;
    zm_status status = ZM_OK;
    uint32_t advance;
    if (!w->doubtful && !run->rules.timestamps) {
        status = add_tokens(w, w->token_count);
        if (status == ZM_OK)
            status = tell_text(w, seconds_at(w, 0));
    } else if (!w->doubtful && is_time && w->token_count >= 2 &&
               w->tokens[w->token_count - 2] >= first) {
        status = speak_segments(w, &advance);
    }
    if (status != ZM_OK)
        return status;
    uint64_t time = is_time ? (uint64_t)(token - first) * ZM_TIMESTAMP_SAMPLES : 0;
    return zm_run_progress(run, w->seek + time);
}

/* Whether not one sample of the window is loud enough for speech. */
static bool window_is_silent(const window *w)
{
    const zm_transcribe_params *params = w->run->params;
    const size_t end = w->seek + (size_t)w->length * ZM_TIMESTAMP_SAMPLES;
    for (size_t i = w->seek; i < end && i < params->sample_count; i++)
        if (fabsf(params->samples[i]) > SILENCE_MAX)
            return false;
    return true;
}

/* Encodes, and decodes the prompt; leaves the logits of the first token. */
static zm_status window_begin(window *w)
{
    zm_run *run = w->run;
    const zm_transcribe_params *params = run->params;
    uint64_t clock = zm_clock_ns();
    zm_status status = zm_log_mel(params->samples + w->seek, params->sample_count - w->seek,
                                  run->info->mel_bins, run->mel);
    run->mel_seconds += zm_clock_since(clock);
    if (status != ZM_OK)
        return zm_fail(params->log, status, "no spectrogram: %s",
                       status == ZM_ERROR_UNSUPPORTED
                           ? "this library was built without audio (meson option 'audio')"
                           : zm_status_message(status));
    clock = zm_clock_ns();
    status = run->model.encode(run->model.user, run->mel);
    if (status == ZM_OK)
        status = run->model.decode(run->model.user, &run->prompt.start, 1, run->logits);
    run->encode_seconds += zm_clock_since(clock);
    if (status != ZM_OK)
        return status;
    if (run->no_speech_token >= 0)
        w->doubtful = zm_token_log_probability(run->logits, run->info->vocabulary,
                                               run->no_speech_token) > log(NO_SPEECH_MIN);
    if (run->prompt.detect_language)
        status = zm_prompt_detect_language(&run->prompt, run->info, run->tokenizer, run->logits,
                                           params->log);
    int32_t rest[3];
    uint32_t count = zm_prompt_rest(&run->prompt, rest);
    if (status != ZM_OK || count == 0)
        return status;
    clock = zm_clock_ns();
    status = run->model.decode(run->model.user, rest, count, run->logits);
    run->decode_seconds += zm_clock_since(clock);
    return status;
}

/* The next token, the end included. */
static zm_status window_choose(window *w, int32_t *token)
{
    zm_run *run = w->run;
    zm_token_rules_apply(&run->rules, w->tokens, w->token_count, run->logits);
    *token = zm_token_best(run->logits, run->info->vocabulary);
    if (*token < 0)
        return zm_fail(run->params->log, ZM_ERROR_DEVICE,
                       "the logits are not numbers; try another device");
    if (w->doubtful)
        w->log_probability += zm_token_log_probability(run->logits, run->info->vocabulary, *token);
    return ZM_OK;
}

/* Greedy decoding until the end, the limit or a loop. */
static zm_status window_decode(window *w)
{
    zm_run *run = w->run;
    for (;;) {
        int32_t token;
        zm_status status = window_choose(w, &token);
        if (status != ZM_OK || token == run->rules.end)
            return status;
        w->tokens[w->token_count++] = token;
        if (token < run->rules.first_timestamp)
            w->text[w->text_count++] = token;
        status = speak_token(w);
        if (status != ZM_OK)
            return status;
        if (w->token_count == run->token_limit)
            return ZM_OK;
        if (zm_tokens_loop(w->text, w->text_count)) {
            zm_logf(run->params->log, ZM_LOG_WARNING,
                    "the text repeats itself at %.1f s; going on behind it", seconds_at(w, 0));
            return ZM_OK;
        }
        uint64_t clock = zm_clock_ns();
        status = run->model.decode(run->model.user, &token, 1, run->logits);
        run->decode_seconds += zm_clock_since(clock);
        if (status != ZM_OK)
            return status;
    }
}

/* Whether the model heard no speech and puts no trust in what it said all the same. */
static bool window_is_distrusted(const window *w)
{
    return w->doubtful && w->log_probability / (double)(w->token_count + 1) < LOG_PROBABILITY_MIN;
}

zm_status zm_window_transcribe(zm_run *run, size_t seek, size_t *advance)
{
    window w = {.run = run, .seek = seek};
    zm_status status = window_init(&w);
    uint32_t times = w.length;
    if (status == ZM_OK && !window_is_silent(&w)) {
        status = window_begin(&w);
        if (status == ZM_OK)
            status = window_decode(&w);
        if (status == ZM_OK && !window_is_distrusted(&w))
            status = speak_segments(&w, &times);
    }
    *advance = (size_t)times * ZM_TIMESTAMP_SAMPLES;
    window_finish(&w);
    return status;
}
