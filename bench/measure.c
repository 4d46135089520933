/* SPDX-License-Identifier: Apache-2.0 */
#include "measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ceiling.h"

#define SUBJECT_SAMPLE 0.02
#define CEILING_SAMPLE 0.01
#define READING \
    0.25 /* an op that writes less than this part of its bytes is held against reading */

enum { FIRST, SECOND, FMA, STREAM, THINGS };

/* Everything that takes turns. */
typedef struct turns {
    session *s;
    subject subjects[2];
    ceiling ceilings[THINGS]; /* FMA and STREAM */
    timed things[THINGS];
    size_t place[THINGS]; /* in things; THINGS = not there */
    size_t count;
    timing_report report;
} turns;

static const char *type_name(const session *s, zm_dtype type)
{
    return zm_dtype_name(type ? type : s->info->real_type);
}

static const char *weight_type_name(zm_dtype type)
{
    return zm_dtype_name(type ? type : ZM_F32);
}

void measure_fail(const session *s, const shape_reason *reason, zm_status status, result_row *row)
{
    bool other_shape = status == ZM_ERROR_INVALID_ARGUMENT && reason->text[0];
    row->status = ROW_FAILED;
    if (status == ZM_ERROR_UNSUPPORTED)
        row->status = ROW_UNSUPPORTED;
    else if (status == ZM_ERROR_LIMIT || other_shape)
        row->status = ROW_SKIPPED;
    snprintf(row->reason, sizeof(row->reason), "%s",
             reason->text[0] ? reason->text : session_reason(s, status));
}

static zm_status add_subject(turns *t, size_t which, const variant *v, shape_reason *reason)
{
    zm_status status = subject_create(t->s, v, &t->subjects[which], reason);
    t->place[which] = t->count;
    t->things[t->count++] = subject_timed(&t->subjects[which], SUBJECT_SAMPLE);
    return status;
}

static zm_status add_ceilings(turns *t, const result_peak *peak)
{
    const subject *first = &t->subjects[FIRST];
    const peak_fma *fma = &peak->fma[peak->best_fma];
    ceiling_kind kind = first->written < READING * first->bytes ? CEILING_READ : CEILING_COPY;
    zm_status status = ceiling_fma_create(t->s->device, fma->width, fma->chains, &t->ceilings[FMA]);
    if (status == ZM_OK)
        status = ceiling_stream_create(t->s->device, t->s->stream, kind, (uint64_t)first->bytes,
                                       &t->ceilings[STREAM]);
    for (size_t i = FMA; i <= STREAM; i++) {
        t->place[i] = t->count;
        t->things[t->count++] = ceiling_timed(&t->ceilings[i], CEILING_SAMPLE);
    }
    return status;
}

zm_status measure_time(const timed *thing, const timing_report *report, row_time *out)
{
    out->batch = thing->batch;
    out->dropped = report->dropped;
    out->noisy = report->noisy;
    return timed_summarize(thing, report->rounds, &out->seconds);
}

/* What binds is the slowest of the three: all the multiply-adds, all the bytes, or the launch.
 * Compared round by round, so that a processor that changes its clock rate changes both sides. */
static zm_status summarize_ceiling(const turns *t, const result_peak *peak, row_ceiling *out)
{
    const subject *first = &t->subjects[FIRST];
    const ceiling *fma = &t->ceilings[FMA], *stream = &t->ceilings[STREAM];
    stats_summary of_fma, of_stream, ratio;
    size_t rounds = t->report.rounds;
    zm_status status = timed_summarize(&t->things[t->place[FMA]], rounds, &of_fma);
    if (status == ZM_OK)
        status = timed_summarize(&t->things[t->place[STREAM]], rounds, &of_stream);
    if (status != ZM_OK)
        return status;
    double adds = first->flops / fma->flops, moves = first->bytes / stream->bytes;
    double add_seconds = adds * of_fma.median, move_seconds = moves * of_stream.median;
    bool adding = add_seconds > move_seconds;
    status = timed_ratio(&t->things[t->place[adding ? FMA : STREAM]], &t->things[t->place[FIRST]],
                         rounds, &ratio);
    out->bound = adding ? BOUND_FMA : BOUND_BANDWIDTH;
    out->gflops = fma->flops / of_fma.median * 1e-9;
    out->gbps = stream->bytes / of_stream.median * 1e-9;
    out->seconds = adding ? add_seconds : move_seconds;
    out->percent = 100 * ratio.median * (adding ? adds : moves);
    if (status == ZM_OK && peak->launch_seconds > out->seconds) {
        stats_summary seconds;
        status = timed_summarize(&t->things[t->place[FIRST]], rounds, &seconds);
        out->bound = BOUND_LAUNCH;
        out->seconds = peak->launch_seconds;
        out->percent = 100 * peak->launch_seconds / seconds.median;
    }
    return status;
}

static zm_status summarize_versus(const turns *t, row_versus *out)
{
    const subject *second = &t->subjects[SECOND];
    out->there = true;
    snprintf(out->op, sizeof(out->op), "%s", second->v.op);
    snprintf(out->type, sizeof(out->type), "%s", type_name(t->s, second->v.type));
    snprintf(out->weight_type, sizeof(out->weight_type), "%s",
             weight_type_name(second->v.weight_type));
    snprintf(out->kernel, sizeof(out->kernel), "%s", second->kernel);
    zm_status status = measure_time(&t->things[t->place[SECOND]], &t->report, &out->time);
    if (status == ZM_OK)
        status = timed_ratio(&t->things[t->place[SECOND]], &t->things[t->place[FIRST]],
                             t->report.rounds, &out->ratio);
    return status;
}

static zm_status summarize(const turns *t, const result_peak *peak, result_row *row)
{
    row->flops = t->subjects[FIRST].flops;
    row->bytes = t->subjects[FIRST].bytes;
    zm_status status = measure_time(&t->things[t->place[FIRST]], &t->report, &row->time);
    if (status == ZM_OK && t->place[FMA] < THINGS)
        status = summarize_ceiling(t, peak, &row->ceiling);
    if (status == ZM_OK && t->place[SECOND] < THINGS)
        status = summarize_versus(t, &row->versus);
    return status;
}

static zm_status measure(turns *t, const variant *v, const variant *versus,
                         const measure_options *options, shape_reason *reason, result_row *row)
{
    const timing_options timing = {.seconds = options->seconds};
    zm_status status = add_subject(t, FIRST, v, reason);
    snprintf(row->kernel, sizeof(row->kernel), "%s", t->subjects[FIRST].kernel);
    if (status == ZM_OK && versus)
        status = add_subject(t, SECOND, versus, reason);
    if (status == ZM_OK && options->peak->status == ROW_OK)
        status = add_ceilings(t, options->peak);
    if (status == ZM_OK)
        status = timing_run(t->s->stream, t->things, t->count, &timing, &t->report);
    return status == ZM_OK ? summarize(t, options->peak, row) : status;
}

void measure_row(session *s, const variant *v, const variant *versus,
                 const measure_options *options, result_row *row)
{
    turns t = {.s = s, .place = {THINGS, THINGS, THINGS, THINGS}};
    shape_reason reason = {""};
    memset(row, 0, sizeof(*row));
    snprintf(row->op, sizeof(row->op), "%s", v->op);
    snprintf(row->shape, sizeof(row->shape), "%s", v->shape);
    snprintf(row->type, sizeof(row->type), "%s", type_name(s, v->type));
    snprintf(row->weight_type, sizeof(row->weight_type), "%s", weight_type_name(v->weight_type));
    zm_status status = measure(&t, v, versus, options, &reason, row);
    if (status != ZM_OK) {
        measure_fail(s, &reason, status, row);
        if (!row->kernel[0])
            snprintf(row->kernel, sizeof(row->kernel), "%s", v->kernel[0] ? v->kernel : "-");
    }
    for (size_t i = 0; i < THINGS; i++) {
        timed_finish(&t.things[i]);
        ceiling_finish(&t.ceilings[i]);
    }
    subject_finish(&t.subjects[FIRST]);
    subject_finish(&t.subjects[SECOND]);
}
