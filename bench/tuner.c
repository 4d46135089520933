/* SPDX-License-Identifier: Apache-2.0 */
#include "tuner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/output.h"
#include "cli/progress.h"
#include "common/alloc.h"
#include "common/clock.h"
#include "ops/self_check.h"
#include "subject.h"
#include "timing.h"

#define MAX_SHAPES 8
#define MAX_CALLS 0.06   /* seconds of one call of each shape: more leave no time for samples */
#define SAMPLE 0.004     /* seconds of a batch of one shape */
#define ROUND_TIME 0.25  /* seconds for which a sample is timed */
#define FINAL_TIME 1.0   /* and the best one at the end, */
#define FINAL_PART 0.2   /* which is this part of the time at most */
#define SETUP_PART 0.3   /* after this part of it no more shapes are set up */
#define LEAST_GAIN 1.005 /* under this a sample is not better */
#define MAX_FLOPS 2.5e8  /* of a call that the reference, which is slow, computes */

/* One shape with one set of numbers. */
typedef struct runner {
    subject *it;
    const zm_tunings *tunings;
} runner;

typedef struct tuner {
    session *s;
    const char *op;
    const plan *p;
    double seconds;
    uint64_t start;
    size_t shape_count;
    double call_seconds; /* of all shapes */
    subject subjects[MAX_SHAPES];
    zm_tunings before; /* without an entry of this op for this device */
    zm_tunings best;
    tuner_outcome *out;
} tuner;

static double elapsed(const tuner *t)
{
    return zm_clock_since(t->start);
}

/* Seconds of the last comparison, which has to come within the time. */
static double final_time(const tuner *t)
{
    return fmin(FINAL_TIME, t->seconds * FINAL_PART);
}

static bool is_over(const tuner *t)
{
    return elapsed(t) > t->seconds - final_time(t);
}

static bool show_progress(const tuner *t)
{
    char stage[48];
    double done = fmin(elapsed(t), t->seconds);
    snprintf(stage, sizeof(stage), "tune %s", t->op);
    return zm_cli_progress(NULL, stage, (uint64_t)(done * 1000), (uint64_t)(t->seconds * 1000));
}

/* ---- timing ---- */

static zm_status begin(void *self)
{
    const runner *r = self;
    zm_status status = subject_force(r->it);
    return status == ZM_OK ? zm_tunings_set(r->it->s->device, r->tunings) : status;
}

static zm_status call(void *self, zm_stream *stream)
{
    return op_run_call(((runner *)self)->it->run, stream);
}

/* Round by round the geometric mean over the shapes of how many times as fast b is. */
static zm_status summarize(const timed *things, size_t shapes, size_t rounds, stats_summary *out)
{
    double *ratios = zm_calloc(rounds ? rounds : 1, sizeof(double));
    if (!ratios)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < rounds; i++) {
        double sum = 0;
        for (size_t j = 0; j < shapes; j++)
            sum += log(things[2 * j].samples[i] / things[2 * j + 1].samples[i]);
        ratios[i] = exp(sum / (double)shapes);
    }
    *out = stats_summarize(ratios, rounds);
    free(ratios);
    return ZM_OK;
}

static zm_status race(tuner *t, const zm_tunings *a, const zm_tunings *b, double seconds,
                      stats_summary *out)
{
    timed things[2 * MAX_SHAPES] = {0};
    runner runners[2 * MAX_SHAPES];
    timing_report report;
    const timing_options options = {.seconds = seconds};
    for (size_t i = 0; i < 2 * t->shape_count; i++) {
        runners[i] = (runner){&t->subjects[i / 2], i % 2 ? b : a};
        things[i] =
            (timed){.enqueue = call, .begin = begin, .self = &runners[i], .sample_seconds = SAMPLE};
    }
    zm_status status = timing_run(t->s->stream, things, 2 * t->shape_count, &options, &report);
    if (status == ZM_OK && zm_cli_interrupted())
        status = ZM_ERROR_CANCELLED;
    if (status == ZM_OK)
        status = summarize(things, t->shape_count, report.rounds, out);
    for (size_t i = 0; i < 2 * t->shape_count; i++)
        timed_finish(&things[i]);
    return status;
}

/* ---- shapes ---- */

/* Results are held against the reference, those of large shapes for a part of it: there the numbers
 * in use before stand for the rest. They have to be right themselves. */
static zm_status make_reference(tuner *t, subject *it)
{
    op_run *run = it->run;
    op_verdict verdict = {.ok = true};
    zm_status status = ZM_OK;
    if (it->flops > MAX_FLOPS) {
        run->part = MAX_FLOPS / it->flops;
        status = op_run_upload(run, t->s->stream);
        if (status == ZM_OK)
            status = op_run_call(run, t->s->stream);
        if (status == ZM_OK)
            status = op_run_download(run, t->s->stream);
    }
    if (status != ZM_OK)
        return status;
    op_run_reference(run);
    status = op_run_verify(run, t->s->stream, t->s->info->real_type, &verdict);
    if (verdict.ok)
        return status;
    snprintf(t->s->message, sizeof(t->s->message), "%.40s is wrong already: %.120s", it->v.shape,
             verdict.reason);
    return ZM_ERROR_MISMATCH;
}

static zm_status add_shape(tuner *t, const variant *v)
{
    subject *it = &t->subjects[t->shape_count];
    shape_reason reason;
    double seconds = 0;
    zm_status status = subject_create(t->s, v, it, &reason);
    timed thing = subject_timed(it, 0);
    if (status == ZM_OK)
        status = timing_probe(t->s->stream, &thing, &seconds);
    if (status == ZM_OK && t->call_seconds + seconds <= MAX_CALLS) {
        status = make_reference(t, it);
        t->shape_count++;
        t->call_seconds += seconds;
    } else {
        subject_finish(it);
    }
    if (!show_progress(t))
        return ZM_ERROR_CANCELLED;
    return status == ZM_ERROR_DEVICE || status == ZM_ERROR_MISMATCH ? status : ZM_OK;
}

/* Those that the plan has for the op. */
static zm_status add_shapes(tuner *t)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < t->p->count && t->shape_count < MAX_SHAPES && status == ZM_OK; i++)
        if (strcmp(t->p->variants[i].op, t->op) == 0 &&
            (t->shape_count == 0 || elapsed(t) < t->seconds * SETUP_PART))
            status = add_shape(t, &t->p->variants[i]);
    if (status == ZM_OK && t->shape_count == 0)
        status = ZM_ERROR_UNSUPPORTED;
    return status;
}

/* The family of the op's kernels. */
static zm_status find_family(tuner *t)
{
    bool found = false;
    for (size_t i = 0; i < t->p->count; i++) {
        const variant *v = &t->p->variants[i];
        if (strcmp(v->op, t->op) != 0)
            continue;
        zm_kernel_family family = subject_family(t->s, v);
        if (found && family != t->out->family)
            return ZM_ERROR_INVALID_ARGUMENT;
        t->out->family = family;
        found = true;
    }
    return found ? ZM_OK : ZM_ERROR_UNSUPPORTED;
}

/* ---- the search ---- */

static bool goes_on(void *self)
{
    return show_progress(self) && !is_over(self);
}

/* Are the results of all shapes right with these numbers? Small calls of every op that follows
 * come first: they tell more in less time. */
static zm_status check(tuner *t, const zm_tunings *tunings, zm_refusal *why)
{
    const zm_check_limit limit = {goes_on, t};
    zm_status status = zm_self_check(t->s->device, t->op, t->out->family, tunings, &limit, why);
    if (status == ZM_OK)
        status = zm_tunings_set(t->s->device, tunings);
    for (size_t i = 0; i < t->shape_count && status == ZM_OK; i++) {
        if (!goes_on(t))
            return ZM_ERROR_CANCELLED;
        op_verdict verdict = {.ok = true};
        status = subject_force(&t->subjects[i]);
        if (status == ZM_OK)
            status =
                op_run_verify(t->subjects[i].run, t->s->stream, t->s->info->real_type, &verdict);
        if (!verdict.ok)
            status = zm_refuse(why, ZM_ERROR_MISMATCH, "%.40s: %.80s", t->subjects[i].v.shape,
                               verdict.reason);
    }
    return status;
}

/* What one set of numbers can do, without anything being wrong with the device or with us. */
static bool is_refusal(zm_status status)
{
    return status == ZM_ERROR_MISMATCH || status == ZM_ERROR_UNSUPPORTED ||
           status == ZM_ERROR_LIMIT || status == ZM_ERROR_DEVICE;
}

/* Right and faster? Then it is the best so far. ZM_ERROR_CANCELLED also when the time is over. */
static zm_status try_sample(tuner *t, const zm_parameter *parameter, uint32_t value, bool *better)
{
    zm_tunings changed = t->best;
    zm_refusal why = {""};
    stats_summary ratio;
    *better = false;
    if (!zm_parameter_set(parameter, &changed, value) ||
        !zm_gpu_tiles_valid(t->s->device, &t->best.gpu_matmul, &changed.gpu_matmul, &why))
        return ZM_OK;
    session_forget(t->s);
    zm_status status = check(t, &changed, &why);
    if (status == ZM_OK)
        status = race(t, &t->best, &changed, ROUND_TIME, &ratio);
    if (is_refusal(status)) {
        t->out->refused++;
        snprintf(t->out->refusal, sizeof(t->out->refusal), "%s=%u: %s", parameter->name, value,
                 why.reason[0] ? why.reason : session_reason(t->s, status));
        return ZM_OK;
    }
    if (status == ZM_OK) {
        t->out->samples++;
        *better = ratio.low > 1 && ratio.median > LEAST_GAIN;
    }
    if (*better)
        t->best = changed;
    return status;
}

/* The next value in a direction: half or double, in smaller steps where that is allowed. What is
 * switched off by 0 comes in at its most. */
static uint32_t step(const zm_parameter *parameter, uint32_t value, bool up, bool fine)
{
    if (fine && !parameter->power_of_two)
        value = up ? value + value / 4 + 1 : value - (value + 3) / 4;
    else
        value = !up ? value / 2 : value ? value * 2 : parameter->most;
    if (parameter->power_of_two)
        return value;
    return value < parameter->least  ? parameter->least
           : value > parameter->most ? parameter->most
                                     : value;
}

static zm_status climb(tuner *t, const zm_parameter *parameter, bool fine, bool *any)
{
    zm_status status = ZM_OK;
    for (int up = 0; up < 2 && status == ZM_OK; up++) {
        bool better = true;
        bool found = false;
        while (better && status == ZM_OK && !is_over(t)) {
            uint32_t now = zm_parameter_get(parameter, &t->best);
            uint32_t next = step(parameter, now, up, fine);
            if (next == now)
                break;
            status = try_sample(t, parameter, next, &better);
            found = found || better;
            if (!show_progress(t))
                status = ZM_ERROR_CANCELLED;
        }
        *any = *any || found;
        if (found) /* the other direction is where it came from */
            break;
    }
    return status;
}

static bool is_tunable(const tuner *t, const zm_parameter *parameter)
{
    return strcmp(parameter->op, t->op) == 0 && parameter->family == t->out->family;
}

static zm_status count_parameters(tuner *t)
{
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    for (size_t i = 0; i < count; i++)
        t->out->tunable += is_tunable(t, &list[i]);
    return t->out->tunable ? ZM_OK : ZM_ERROR_UNSUPPORTED;
}

static zm_status search(tuner *t)
{
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    zm_status status = ZM_OK;
    bool any = true;
    for (int pass = 0; any && status == ZM_OK && !is_over(t); pass++) {
        any = pass == 0; /* the fine steps come even if the coarse ones found nothing */
        for (size_t i = 0; i < count && status == ZM_OK && !is_over(t); i++) {
            if (!is_tunable(t, &list[i]))
                continue;
            status = climb(t, &list[i], pass > 0, &any);
            t->out->tried += pass == 0 && status == ZM_OK;
        }
    }
    return status == ZM_ERROR_CANCELLED && !zm_cli_interrupted() ? ZM_OK : status;
}

/* Whose entry it is. */
static void set_place(const tuner *t, zm_tuning_entry *entry)
{
    const zm_device_info *info = t->s->info;
    snprintf(entry->op, sizeof(entry->op), "%s", t->op);
    snprintf(entry->device, sizeof(entry->device), "%s", info->name);
    snprintf(entry->platform, sizeof(entry->platform), "%s", info->platform);
    snprintf(entry->driver, sizeof(entry->driver), "%s", info->driver);
}

/* What differs from before. */
static void describe(const tuner *t, zm_tuning_entry *entry)
{
    size_t count;
    const zm_parameter *list = zm_parameter_list(&count);
    for (size_t i = 0; i < count && entry->count < ZM_TUNING_MAX_PARAMETERS; i++) {
        uint32_t value = zm_parameter_get(&list[i], &t->best);
        if (!is_tunable(t, &list[i]) || value == zm_parameter_get(&list[i], &t->before))
            continue;
        zm_tuning_value *v = &entry->values[entry->count++];
        snprintf(v->name, sizeof(v->name), "%s", list[i].name);
        v->value = value;
    }
}

static zm_status finish(tuner *t)
{
    zm_status status = ZM_OK;
    describe(t, &t->out->entry);
    if (t->out->entry.count)
        status = race(t, &t->before, &t->best, final_time(t), &t->out->ratio);
    t->out->better = t->out->entry.count && status == ZM_OK && t->out->ratio.low > 1 &&
                     t->out->ratio.median > LEAST_GAIN;
    return status;
}

zm_status tuner_run(session *s, const char *op, const plan *p, double seconds, tuner_outcome *out)
{
    const zm_tunings in_use = *zm_tunings_get(s->device);
    tuner *t = zm_calloc(1, sizeof(*t));
    if (!t)
        return ZM_ERROR_OUT_OF_MEMORY;
    *t = (tuner){.s = s,
                 .op = op,
                 .p = p,
                 .seconds = seconds,
                 .start = zm_clock_ns(),
                 .best = in_use,
                 .out = out};
    memset(out, 0, sizeof(*out));
    snprintf(out->op, sizeof(out->op), "%s", op);
    session_forget(s);
    zm_status status = find_family(t);
    if (status == ZM_OK)
        status = count_parameters(t);
    set_place(t, &out->entry);
    zm_tunings_without(s->device, &out->entry, out->family, &t->before);
    if (status == ZM_OK)
        status = zm_tunings_set(s->device, &t->before);
    if (status == ZM_OK)
        status = add_shapes(t);
    if (status == ZM_OK)
        status = search(t);
    if (status == ZM_OK)
        status = finish(t);
    for (size_t i = 0; i < t->shape_count; i++)
        subject_finish(&t->subjects[i]);
    zm_tunings_set(s->device, &in_use);
    free(t);
    zm_cli_progress_hide();
    return status;
}
