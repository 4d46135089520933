/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/check.h>
#include <zeromean/generate.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/compare.h"
#include "check/input.h"
#include "common/alloc.h"
#include "common/log.h"

#define DEFAULT_TOKENS 32
#define PIECE 128u /* of the prompt: what both models show of it is compared, then the next one */
#define TOP 5u

/* One check at work. */
typedef struct checker {
    const zm_check_params *params;
    zm_check_input input;
    double tolerance;
    uint32_t tokens; /* to compare */
    zm_session *a, *b;
    zm_compare compare;
    float *a_logits, *b_logits;
    uint64_t done, total; /* steps: runs of an encoder or of a decoder */
    bool diverged;
    double agreement; /* of the tokens so far */
    zm_check_report *report;
} checker;

static zm_status create_report(checker *self)
{
    self->report = zm_calloc(1, sizeof(*self->report));
    self->a_logits = zm_calloc(self->input.vocabulary, sizeof(float));
    self->b_logits = zm_calloc(self->input.vocabulary, sizeof(float));
    if (!self->report || !self->a_logits || !self->b_logits)
        return zm_fail(self->params->log, ZM_ERROR_OUT_OF_MEMORY, "check: out of memory");
    self->report->top = self->input.vocabulary < TOP ? self->input.vocabulary : TOP;
    return ZM_OK;
}

static zm_status prepare(checker *self)
{
    const zm_check_params *params = self->params;
    zm_status status = zm_check_input_init(params, &self->input);
    if (status != ZM_OK)
        return status;
    self->compare.mean_counts = self->input.mean_counts;
    self->compare.norm_a = zm_model_get_info(params->a)->norm;
    self->compare.norm_b = zm_model_get_info(params->b)->norm;
    self->tolerance = params->tolerance > 0 ? params->tolerance : ZM_CHECK_F32_BUDGET;
    self->tokens = params->tokens ? params->tokens : DEFAULT_TOKENS;
    /* The last token that is compared needs no place in the decoder. */
    uint64_t room = (uint64_t)self->input.positions - self->input.prompt_count + 1;
    if (self->tokens > room) {
        zm_logf(params->log, ZM_LOG_WARNING,
                "check: the decoder has room for %u tokens, not for %u", (uint32_t)room,
                self->tokens);
        self->tokens = (uint32_t)room;
    }
    uint64_t pieces = ((uint64_t)self->input.prompt_count + PIECE - 1) / PIECE;
    self->total = 2 * ((self->input.mel ? 1 : 0) + pieces + self->tokens - 1);
    return create_report(self);
}

static bool tell_progress(const checker *self)
{
    const zm_check_params *params = self->params;
    return !params->progress ||
           params->progress(params->progress_user, "checking", self->done, self->total);
}

static bool goes_on(void *user)
{
    return tell_progress(user);
}

/* Tokens that the check made up are nothing to predict. */
static bool has_perplexity(const checker *self)
{
    return !self->input.mel && self->params->prompt && self->input.prompt_count > 1;
}

static zm_status create_sessions(checker *self)
{
    const zm_check_params *params = self->params;
    zm_session_params session = {.log = params->log,
                                 .observe = zm_compare_keep,
                                 .observe_user = &self->compare,
                                 .go_on = goes_on,
                                 .go_on_user = self};
    if (!self->input.mel) { /* a decoder of text has as much room as it is told to */
        session.positions = self->input.prompt_count + self->tokens - 1;
        if (has_perplexity(self))
            session.logits = self->input.prompt_count < PIECE ? self->input.prompt_count : PIECE;
    }
    session.split = params->split_a;
    zm_status status = zm_session_create(params->device_a, params->a, &session, &self->a);
    session.observe = zm_compare_match;
    session.split = params->device_b ? params->split_b : params->split_a;
    if (status == ZM_OK)
        status = zm_session_create(params->device_b ? params->device_b : params->device_a,
                                   params->b, &session, &self->b);
    return status;
}

/* After each run of a model. */
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
    if (!self->input.mel)
        return ZM_OK;
    zm_status status = zm_session_encode(self->a, self->input.mel);
    status = finish_step(self, status);
    if (status == ZM_OK)
        status = finish_step(self, zm_session_encode(self->b, self->input.mel));
    return status;
}

static void suppress(float *logits, uint32_t vocabulary, const int32_t *tokens, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= 0 && (uint32_t)tokens[i] < vocabulary)
            logits[tokens[i]] = -INFINITY;
    }
}

static uint32_t best_of(const float *logits, uint32_t vocabulary)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < vocabulary; i++) {
        if (logits[i] > logits[best] || isnan(logits[best]))
            best = i;
    }
    return best;
}

/* The best tokens, the first one first; *logits are spent. */
static void choose(const zm_check_input *input, float *logits, bool first, uint32_t count,
                   uint32_t *out)
{
    for (size_t i = 0; i < 2; i++)
        suppress(logits, input->vocabulary, input->suppress[i], input->suppress_count[i]);
    if (first)
        suppress(logits, input->vocabulary, input->begin_suppress, input->begin_suppress_count);
    for (uint32_t i = 0; i < count; i++) {
        out[i] = best_of(logits, input->vocabulary);
        logits[out[i]] = -INFINITY;
    }
}

static double agreement(const uint32_t *a, const uint32_t *b, uint32_t count)
{
    uint32_t common = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t j = 0;
        while (j < count && a[i] != b[j])
            j++;
        common += j < count;
    }
    return (double)common / count;
}

/* Compares the next token of both, and gives a's. */
static int32_t judge(checker *self)
{
    zm_check_report *report = self->report;
    uint32_t a[TOP], b[TOP];
    choose(&self->input, self->a_logits, report->tokens == 0, report->top, a);
    choose(&self->input, self->b_logits, report->tokens == 0, report->top, b);
    report->tokens++;
    self->agreement += agreement(a, b, report->top);
    self->diverged |= a[0] != b[0];
    if (!self->diverged)
        report->tokens_equal++;
    return (int32_t)a[0];
}

static zm_status step(checker *self, const int32_t *tokens, uint32_t count)
{
    zm_status status = zm_session_decode(self->a, tokens, count, self->a_logits);
    status = finish_step(self, status);
    if (status == ZM_OK)
        status = finish_step(self, zm_session_decode(self->b, tokens, count, self->b_logits));
    return status;
}

/* Both models read a's tokens, whatever b would have said. */
static zm_status decode(checker *self)
{
    const zm_check_input *input = &self->input;
    zm_status status = ZM_OK;
    for (uint32_t i = 0, count; i < input->prompt_count && status == ZM_OK; i += count) {
        count = input->prompt_count - i < PIECE ? input->prompt_count - i : PIECE;
        status = step(self, input->prompt + i, count);
    }
    while (status == ZM_OK) {
        int32_t next = judge(self);
        if (self->report->tokens == self->tokens)
            break;
        status = step(self, &next, 1);
    }
    self->report->top_agreement = self->agreement / self->tokens;
    return status;
}

static zm_status measure_perplexity(checker *self)
{
    const zm_perplexity_params params = {.tokens = self->input.prompt,
                                         .token_count = self->input.prompt_count,
                                         .window = self->input.prompt_count,
                                         .log = self->params->log};
    zm_perplexity_result a = {0}, b = {0};
    if (!has_perplexity(self))
        return ZM_OK;
    self->compare.over = true;
    zm_status status = zm_perplexity(self->a, &params, &a);
    if (status == ZM_OK)
        status = zm_perplexity(self->b, &params, &b);
    self->report->perplexity_a = a.perplexity;
    self->report->perplexity_b = b.perplexity;
    self->report->perplexity_change = b.mean - a.mean;
    return status;
}

const char *zm_verdict_name(zm_verdict verdict)
{
    switch (verdict) {
    case ZM_VERDICT_TOLERATED: return "tolerated";
    case ZM_VERDICT_F32: return "float32";
    case ZM_VERDICT_F64: return "float64";
    default: return "different";
    }
}

static zm_verdict verdict_of(const zm_check_report *report)
{
    if (!report->equal)
        return ZM_VERDICT_DIFFERENT;
    if (report->final_relative_l2 <= ZM_CHECK_F64_BUDGET)
        return ZM_VERDICT_F64;
    return report->final_relative_l2 <= ZM_CHECK_F32_BUDGET ? ZM_VERDICT_F32 : ZM_VERDICT_TOLERATED;
}

static void add_row(zm_check_report *report, const zm_comparison *item)
{
    zm_check_row *row = &report->rows[report->row_count++];
    memcpy(row->what, item->what, sizeof(row->what));
    row->layer = item->layer;
    row->relative_l2 = zm_relative_l2(item->error, item->norm);
    row->max_abs = item->max_abs;
    row->mean_a = sqrt(item->means[0] / item->row_count);
    row->mean_b = sqrt(item->means[1] / item->row_count);
    row->rms_a = sqrt(item->squares[0] / item->row_count / item->cols);
    row->rms_b = sqrt(item->squares[1] / item->row_count / item->cols);
    row->channel = zm_comparison_channel(item);
    row->channel_rms = sqrt(item->errors[row->channel] / item->row_count);
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
    report->tolerance = self->tolerance;
    report->equal =
        report->final_relative_l2 <= self->tolerance && report->tokens_equal == report->tokens;
    report->verdict = verdict_of(report);
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
    zm_check_input_finish(&self->input);
}

zm_status zm_check(const zm_check_params *params, zm_check_report **out)
{
    if (!params || !params->a || !params->b || !params->device_a || !out)
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "check: needs two models, a device and a place for the report");
    checker self = {.params = params};
    zm_status status = prepare(&self);
    if (status == ZM_OK)
        status = create_sessions(&self);
    if (status == ZM_OK)
        status = encode(&self);
    if (status == ZM_OK)
        status = decode(&self);
    if (status == ZM_OK)
        status = measure_perplexity(&self);
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
