/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/check.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/compare.h"
#include "check/mel.h"
#include "common/alloc.h"
#include "common/log.h"

#define DEFAULT_TOKENS 32
#define DEFAULT_TOLERANCE 1e-5
#define MAX_PROMPT 4

/* One check at work. */
typedef struct checker {
    const zm_check_params *params;
    const zm_whisper_info *info; /* a's */
    double tolerance;
    uint32_t tokens; /* to compare */
    int32_t prompt[MAX_PROMPT];
    uint32_t prompt_count;
    const float *mel;
    float *own_mel;
    zm_session *a, *b;
    zm_compare compare;
    float *a_logits, *b_logits;
    uint64_t done; /* steps */
    bool diverged;
    zm_check_report *report;
} checker;

typedef struct field {
    const char *name;
    int64_t a, b;
} field;

/* Other norms and eps are what a check is there to judge; other shapes make it meaningless. */
static zm_status check_whisper(const zm_check_params *params, const zm_whisper_info *a,
                               const zm_whisper_info *b)
{
    const field fields[] = {{"mel_bins", a->mel_bins, b->mel_bins},
                            {"d_model", a->d, b->d},
                            {"encoder_layers", a->encoder_layers, b->encoder_layers},
                            {"encoder_attention_heads", a->encoder_heads, b->encoder_heads},
                            {"encoder_ffn_dim", a->encoder_ff, b->encoder_ff},
                            {"max_source_positions", a->encoder_positions, b->encoder_positions},
                            {"decoder_layers", a->decoder_layers, b->decoder_layers},
                            {"decoder_attention_heads", a->decoder_heads, b->decoder_heads},
                            {"decoder_ffn_dim", a->decoder_ff, b->decoder_ff},
                            {"max_target_positions", a->decoder_positions, b->decoder_positions},
                            {"vocab_size", a->vocabulary, b->vocabulary},
                            {"start token", a->start_token, b->start_token},
                            {"end token", a->end_token, b->end_token}};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (fields[i].a != fields[i].b)
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                           "check: %s is %lld in %s and %lld in %s; compare a model with its own "
                           "conversion",
                           fields[i].name, (long long)fields[i].a,
                           zm_model_get_info(params->a)->path, (long long)fields[i].b,
                           zm_model_get_info(params->b)->path);
    }
    return ZM_OK;
}

static zm_status check_models(const zm_check_params *params)
{
    const zm_model_info *a = zm_model_get_info(params->a), *b = zm_model_get_info(params->b);
    if (a->architecture != b->architecture)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "check: %s is a %s model, %s a %s model", a->path, a->architecture_name,
                       b->path, b->architecture_name);
    if (a->architecture != ZM_ARCHITECTURE_WHISPER)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "check: models of type %s",
                       a->architecture_name);
    return check_whisper(params, &a->whisper, &b->whisper);
}

/* Transcribe without timestamps; multilingual models as their first language, English. */
static void set_prompt(checker *self)
{
    const zm_whisper_info *info = self->info;
    self->prompt[self->prompt_count++] = info->start_token;
    if (info->first_language_token >= 0)
        self->prompt[self->prompt_count++] = info->first_language_token;
    if (info->transcribe_token >= 0)
        self->prompt[self->prompt_count++] = info->transcribe_token;
    self->prompt[self->prompt_count++] = info->no_timestamps_token;
}

static zm_status create_report(checker *self)
{
    self->report = zm_calloc(1, sizeof(*self->report));
    self->a_logits = zm_calloc(self->info->vocabulary, sizeof(float));
    self->b_logits = zm_calloc(self->info->vocabulary, sizeof(float));
    if (!self->report || !self->a_logits || !self->b_logits)
        return zm_fail(self->params->log, ZM_ERROR_OUT_OF_MEMORY, "check: out of memory");
    return ZM_OK;
}

static zm_status prepare(checker *self)
{
    const zm_check_params *params = self->params;
    self->info = &zm_model_get_info(params->a)->whisper;
    self->tolerance = params->tolerance > 0 ? params->tolerance : DEFAULT_TOLERANCE;
    set_prompt(self);
    self->tokens = params->tokens ? params->tokens : DEFAULT_TOKENS;
    if (self->info->decoder_positions < self->prompt_count)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "check: the decoder is too short");
    /* The last token that is compared needs no place in the decoder. */
    uint32_t room = self->info->decoder_positions - self->prompt_count + 1;
    if (self->tokens > room) {
        zm_logf(params->log, ZM_LOG_WARNING,
                "check: the decoder has room for %u tokens, not for %u", room, self->tokens);
        self->tokens = room;
    }
    self->mel = params->mel;
    if (!params->mel)
        self->mel = self->own_mel =
            zm_check_mel(2 * self->info->encoder_positions, self->info->mel_bins);
    if (!self->mel)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "check: out of memory");
    return create_report(self);
}

static bool tell_progress(const checker *self)
{
    const zm_check_params *params = self->params;
    return !params->progress || params->progress(params->progress_user, "checking", self->done,
                                                 2 + 2 * (uint64_t)self->tokens);
}

static bool goes_on(void *user)
{
    return tell_progress(user);
}

static zm_status create_sessions(checker *self)
{
    const zm_check_params *params = self->params;
    zm_session_params session = {.log = params->log,
                                 .observe = zm_compare_keep,
                                 .observe_user = &self->compare,
                                 .go_on = goes_on,
                                 .go_on_user = self};
    session.split = params->split_a;
    zm_status status = zm_session_create(params->device_a, params->a, &session, &self->a);
    session.observe = zm_compare_match;
    session.split = params->device_b ? params->split_b : params->split_a;
    if (status == ZM_OK)
        status = zm_session_create(params->device_b ? params->device_b : params->device_a,
                                   params->b, &session, &self->b);
    return status;
}

/* After each run of a model: 2 runs of the encoder and 2 of the decoder for each token. */
static zm_status finish_step(checker *self, zm_status status)
{
    const zm_check_params *params = self->params;
    if (status == ZM_OK && self->compare.status != ZM_OK)
        status = zm_fail(params->log, self->compare.status,
                         "check: what the models show cannot be compared");
    self->done++;
    if (status == ZM_OK && !tell_progress(self))
        status = ZM_ERROR_CANCELLED;
    return status;
}

static zm_status encode(checker *self)
{
    zm_status status = zm_session_encode(self->a, self->mel);
    status = finish_step(self, status);
    if (status == ZM_OK)
        status = finish_step(self, zm_session_encode(self->b, self->mel));
    return status;
}

static void suppress(float *logits, uint32_t vocabulary, const int32_t *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= 0 && (uint32_t)tokens[i] < vocabulary)
            logits[tokens[i]] = -INFINITY;
    }
}

/* The greedy token. The end is never chosen, so that every check compares as many steps as were
 * asked for. */
static int32_t choose(const zm_whisper_info *info, float *logits, bool first)
{
    suppress(logits, info->vocabulary, info->suppress, info->suppress_count);
    suppress(logits, info->vocabulary, &info->end_token, 1);
    if (first)
        suppress(logits, info->vocabulary, info->begin_suppress, info->begin_suppress_count);
    uint32_t best = 0;
    for (uint32_t i = 1; i < info->vocabulary; i++) {
        if (logits[i] > logits[best] || isnan(logits[best]))
            best = i;
    }
    return (int32_t)best;
}

/* Both models read a's tokens, whatever b would have said. */
static zm_status decode(checker *self)
{
    const int32_t *next = self->prompt;
    uint32_t count = self->prompt_count;
    zm_check_report *report = self->report;
    int32_t a_token = 0;
    for (uint32_t i = 0; i < self->tokens; i++) {
        zm_status status = zm_session_decode(self->a, next, count, self->a_logits);
        status = finish_step(self, status);
        if (status == ZM_OK)
            status = finish_step(self, zm_session_decode(self->b, next, count, self->b_logits));
        if (status != ZM_OK)
            return status;
        a_token = choose(self->info, self->a_logits, i == 0);
        report->tokens++;
        if (a_token != choose(self->info, self->b_logits, i == 0))
            self->diverged = true;
        if (!self->diverged)
            report->tokens_equal++;
        next = &a_token;
        count = 1;
    }
    return ZM_OK;
}

static void add_row(zm_check_report *report, const zm_comparison *item)
{
    zm_check_row *row = &report->rows[report->row_count++];
    memcpy(row->what, item->what, sizeof(row->what));
    row->layer = item->layer;
    row->relative_l2 = zm_relative_l2(item->error, item->norm);
    row->max_abs = item->max_abs;
}

/* The main branches in the order in which they were seen, then the two outputs. */
static zm_status fill_report(checker *self)
{
    static const char *const outputs[] = {"encoder.output", "logits"};
    zm_check_report *report = self->report;
    report->rows = zm_calloc(self->compare.count, sizeof(zm_check_row));
    if (!report->rows)
        return zm_fail(self->params->log, ZM_ERROR_OUT_OF_MEMORY, "check: out of memory");
    for (size_t i = 0; i < self->compare.count; i++) {
        if (self->compare.items[i].branch)
            add_row(report, &self->compare.items[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        const zm_comparison *item = zm_compare_find(&self->compare, outputs[i], 0);
        if (!item)
            continue;
        add_row(report, item);
        double worst = zm_comparison_worst(item);
        if (worst > report->final_relative_l2)
            report->final_relative_l2 = worst;
    }
    report->equal =
        report->final_relative_l2 <= self->tolerance && report->tokens_equal == report->tokens;
    return ZM_OK;
}

static void finish(checker *self)
{
    zm_session_destroy(&self->a);
    zm_session_destroy(&self->b);
    zm_compare_finish(&self->compare);
    zm_check_report_destroy(&self->report);
    free(self->a_logits);
    free(self->b_logits);
    free(self->own_mel);
}

zm_status zm_check(const zm_check_params *params, zm_check_report **out)
{
    if (!params || !params->a || !params->b || !params->device_a || !out)
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "check: needs two models, a device and a place for the report");
    zm_status status = check_models(params);
    if (status != ZM_OK)
        return status;
    checker self = {.params = params};
    status = prepare(&self);
    if (status == ZM_OK)
        status = create_sessions(&self);
    if (status == ZM_OK)
        status = encode(&self);
    if (status == ZM_OK)
        status = decode(&self);
    if (status == ZM_OK)
        status = fill_report(&self);
    if (status == ZM_OK) {
        *out = self.report;
        self.report = NULL;
    }
    finish(&self);
    return status;
}

void zm_check_report_destroy(zm_check_report **report)
{
    if (!report || !*report)
        return;
    free((*report)->rows);
    free(*report);
    *report = NULL;
}
