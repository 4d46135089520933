/* SPDX-License-Identifier: Apache-2.0 */
#include "net_measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ceiling.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "measure.h"
#include "net_profile.h"
#include "net_run.h"
#include "net_serve.h"

#define READ_BYTES ((uint64_t)256 << 20) /* no cache holds so much */
#define HOST_TOKENS 3                    /* that the host calculates, too, */
#define HOST_BATCH 2                     /* of the first sequences */
#define MEMORY_SHARE 0.6
#define PROFILE_SHARE 0.1 /* of the time for a form */
#define TOLERANCE 1e-4
#define TOLERANCE_NARROW 3e-2 /* where a type has 16 bits */

enum { FMA = NET_MAX_FORMS, READ, THINGS };

/* All that takes turns. */
typedef struct turns {
    session *s;
    const net *n;
    const net_options *options;
    net_weights weights;
    net_run runs[NET_MAX_FORMS];
    ceiling ceilings[THINGS];
    timed things[THINGS];
    size_t place[THINGS]; /* in things */
    size_t count;
    timing_report report;
    double *reference; /* of the first form but none, all rows; NULL = not there yet */
    result_row *rows;  /* one for each form */
} turns;

/* ---- rows ---- */

static void describe(const session *s, const net *n, const net_options *o, const char *form,
                     result_row *row)
{
    memset(row, 0, sizeof(*row));
    snprintf(row->op, sizeof(row->op), "%s", o->what);
    net_print(n, row->shape, sizeof(row->shape));
    snprintf(row->type, sizeof(row->type), "%s",
             zm_dtype_name(o->type ? o->type : s->info->real_type));
    snprintf(row->weight_type, sizeof(row->weight_type), "%s",
             zm_dtype_name(o->weight_type ? o->weight_type : ZM_F32));
    snprintf(row->kernel, sizeof(row->kernel), "%s", form);
}

static void give_up(const session *s, zm_status status, result_row *row)
{
    const shape_reason none = {""};
    measure_fail(s, &none, status, row);
}

zm_status net_skip(const session *s, const net *n, const net_options *options, const char *reason,
                   result *out)
{
    for (size_t i = 0; i < options->form_count; i++) {
        result_row *row = result_add(out);
        if (!row)
            return ZM_ERROR_OUT_OF_MEMORY;
        describe(s, n, options, options->forms[i]->name, row);
        row->status = ROW_SKIPPED;
        snprintf(row->reason, sizeof(row->reason), "%s", reason);
    }
    return ZM_OK;
}

/* That a run has to read. */
static double weights_bytes(const turns *t)
{
    return (double)zm_dtype_size(t->weights.weight_type) * t->n->layers * net_layer_weights(t->n);
}

/* ---- the same function? ---- */

static bool is_narrow(zm_dtype type)
{
    return zm_dtype_size(type) == 2;
}

static void judge(const turns *t, double error, const char *against, result_row *row)
{
    bool narrow = is_narrow(t->weights.type) || is_narrow(t->weights.weight_type);
    double most = narrow ? TOLERANCE_NARROW : TOLERANCE;
    if (!(row->graph.error >= error)) /* NaN is the worst */
        row->graph.error = error;
    if (error <= most)
        return;
    row->status = ROW_FAILED;
    snprintf(row->reason, sizeof(row->reason),
             "computes something else than %s: relative L2 error %.2g, more than %.0e", against,
             error, most);
}

/* The first rows alone, by the reference ops. */
static zm_status host_output(const turns *t, const net_form *form, const net *n, double *out)
{
    const zm_device_params params = {.spec = "host"};
    net_form plain = *form;
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    net_weights weights = {0};
    net_run run = {0};
    memset(plain.off, 1, sizeof(plain.off));
    zm_status status = zm_device_open(&params, &device);
    if (status == ZM_OK)
        status = zm_stream_create(device, NULL, &stream);
    if (status == ZM_OK)
        status = net_weights_create(device, stream, n, is_narrow(t->weights.type) ? ZM_F32 : 0,
                                    t->weights.weight_type, &weights);
    if (status == ZM_OK)
        status = net_run_create(&weights, &plain, NULL, &run);
    if (status == ZM_OK)
        status = net_run_output(&run, n->tokens, out);
    net_run_destroy(&run);
    net_weights_destroy(&weights);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
    return status;
}

static zm_status compare_with_host(turns *t, size_t i)
{
    net few = *t->n;
    if (few.tokens > HOST_TOKENS)
        few.tokens = HOST_TOKENS;
    uint64_t all = (uint64_t)net_rows(&few) * few.d; /* of the device */
    if (few.batch > HOST_BATCH)
        few.batch = HOST_BATCH;
    uint64_t count = (uint64_t)net_rows(&few) * few.d;
    double *got = zm_calloc(all + count, sizeof(double));
    if (!got)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status = host_output(t, t->options->forms[i], &few, got + all);
    if (status == ZM_OK)
        status = net_run_output(&t->runs[i], few.tokens, got);
    if (status == ZM_OK)
        judge(t, net_difference(got, got + all, count), "the host", &t->rows[i]);
    free(got);
    return status;
}

/* The first form is held against the host, and the others against it, at full size. */
static zm_status check(turns *t, size_t i)
{
    uint64_t count = (uint64_t)net_rows(t->n) * t->n->d;
    bool none = t->options->forms[i]->norm == ZM_BLOCK_NO_NORM;
    if (none || !t->reference) {
        zm_status status = compare_with_host(t, i);
        if (status != ZM_OK || none || t->rows[i].status != ROW_OK)
            return status;
        t->reference = zm_calloc(count, sizeof(double));
        return t->reference ? net_run_output(&t->runs[i], t->n->tokens, t->reference)
                            : ZM_ERROR_OUT_OF_MEMORY;
    }
    double *got = zm_calloc(count, sizeof(double));
    zm_status status =
        got ? net_run_output(&t->runs[i], t->n->tokens, got) : ZM_ERROR_OUT_OF_MEMORY;
    if (status == ZM_OK)
        judge(t, net_difference(got, t->reference, count), "the first form", &t->rows[i]);
    free(got);
    return status;
}

/* ---- setting up ---- */

static zm_status check_memory(const turns *t, char *reason, size_t size)
{
    const net_options *o = t->options;
    const net_form *plain[] = {net_form_at(0)};
    size_t type = zm_dtype_size(o->type ? o->type : t->s->info->real_type);
    double wanted = net_weights_bytes(t->n, o->weight_type, o->forms, o->form_count) +
                    net_weights_bytes(t->n, o->weight_type, plain, 1) +
                    net_state_bytes(t->n, type, o->form_count);
    double there = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (there > (double)t->s->info->limits.memory_bytes)
        there = (double)t->s->info->limits.memory_bytes;
    double most = o->memory > 0 ? o->memory : there * MEMORY_SHARE;
    if (wanted <= most)
        return ZM_OK;
    snprintf(reason, size, "these forms take %.1f GiB of memory, more than %.1f of %.1f",
             wanted / 1073741824.0, most / 1073741824.0, there / 1073741824.0);
    return ZM_ERROR_LIMIT;
}

static zm_status add_run(turns *t, size_t i)
{
    session_forget(t->s);
    zm_status status = net_run_create(&t->weights, t->options->forms[i], &t->s->log, &t->runs[i]);
    t->rows[i].graph.there = true;
    if (status == ZM_OK)
        status = check(t, i);
    if (status == ZM_OK && t->rows[i].status == ROW_OK) {
        t->place[i] = t->count;
        t->things[t->count++] = net_run_timed(&t->runs[i]);
    }
    return status;
}

static void add_ceiling(turns *t, size_t i)
{
    t->place[i] = t->count;
    t->things[t->count++] = ceiling_timed(&t->ceilings[i], 0.01);
}

static zm_status add_ceilings(turns *t)
{
    const result_peak *peak = t->options->peak;
    const peak_fma *fma = &peak->fma[peak->best_fma];
    zm_status status = ZM_OK;
    if (peak->status == ROW_OK) {
        status = ceiling_fma_create(t->s->device, fma->width, fma->chains, &t->ceilings[FMA]);
        if (status == ZM_OK)
            add_ceiling(t, FMA);
    }
    if (status == ZM_OK && (peak->status == ROW_OK || t->options->serve)) {
        status = ceiling_stream_create(t->s->device, t->s->stream, CEILING_READ, READ_BYTES,
                                       &t->ceilings[READ]);
        if (status == ZM_OK)
            add_ceiling(t, READ);
    }
    return status;
}

/* The forms, and a read of memory that no cache holds. */
static zm_cli_exit serve_all(turns *t)
{
    net_seat seats[NET_MAX_FORMS + 1] = {{0}};
    size_t count = t->options->form_count;
    for (size_t i = 0; i <= count; i++) {
        size_t place = t->place[i < count ? i : READ];
        seats[i].thing = place < THINGS ? &t->things[place] : NULL;
        if (i == count)
            continue;
        seats[i].row = &t->rows[i];
        seats[i].run = &t->runs[i];
        seats[i].bytes = weights_bytes(t);
    }
    seats[count].bytes = t->ceilings[READ].bytes;
    return net_serve(t->s, t->n, seats, count + 1);
}

/* ---- results ---- */

static zm_status summarize_ceiling(const turns *t, size_t i, result_row *row)
{
    const timed *run = &t->things[t->place[i]];
    row_ceiling *out = &row->ceiling;
    stats_summary seconds[2], ratio;
    double times[2];
    for (size_t j = 0; j < 2; j++) {
        const ceiling *c = &t->ceilings[FMA + j];
        zm_status status =
            timed_summarize(&t->things[t->place[FMA + j]], t->report.rounds, &seconds[j]);
        if (status != ZM_OK)
            return status;
        times[j] = j ? row->bytes / c->bytes : row->flops / c->flops;
    }
    size_t slow = times[1] * seconds[1].median > times[0] * seconds[0].median;
    zm_status status = timed_ratio(&t->things[t->place[FMA + slow]], run, t->report.rounds, &ratio);
    out->bound = slow ? BOUND_BANDWIDTH : BOUND_FMA;
    out->gflops = t->ceilings[FMA].flops / seconds[0].median * 1e-9;
    out->gbps = t->ceilings[READ].bytes / seconds[1].median * 1e-9;
    out->seconds = times[slow] * seconds[slow].median;
    out->percent = 100 * times[slow] * ratio.median;
    return status;
}

/* The other side is the first form. */
static zm_status summarize_versus(const turns *t, size_t i, row_versus *out)
{
    const result_row *first = &t->rows[0];
    *out = (row_versus){.there = true};
    snprintf(out->op, sizeof(out->op), "%s", first->op);
    snprintf(out->type, sizeof(out->type), "%s", first->type);
    snprintf(out->weight_type, sizeof(out->weight_type), "%s", first->weight_type);
    snprintf(out->kernel, sizeof(out->kernel), "%s", first->kernel);
    zm_status status = measure_time(&t->things[t->place[0]], &t->report, &out->time);
    if (status == ZM_OK)
        status = timed_ratio(&t->things[t->place[0]], &t->things[t->place[i]], t->report.rounds,
                             &out->ratio);
    return status;
}

static zm_status summarize(const turns *t, size_t i, result_row *row)
{
    const zm_executable_info info = zm_executable_get_info(t->runs[i].exe);
    row_graph *graph = &row->graph;
    row->flops = net_flops(t->n);
    row->bytes = weights_bytes(t);
    graph->operations = info.operations;
    graph->launches = info.launches;
    graph->memory_bytes = (double)info.memory_bytes;
    graph->least_bytes = (double)info.least_bytes;
    memcpy(graph->fired, info.fired, sizeof(graph->fired));
    zm_status status = measure_time(&t->things[t->place[i]], &t->report, &row->time);
    if (status == ZM_OK && t->place[FMA] < THINGS)
        status = summarize_ceiling(t, i, row);
    if (status == ZM_OK && i > 0 && t->place[0] < THINGS)
        status = summarize_versus(t, i, &row->versus);
    return status;
}

/* After all are timed: its stream keeps times, which may cost some. */
static void add_profile(turns *t, size_t i)
{
    result_row *row = &t->rows[i];
    session_forget(t->s);
    zm_status status = net_profile_take(&t->runs[i], PROFILE_SHARE * t->options->seconds,
                                        row->time.seconds.median, &row->profile);
    if (status != ZM_OK)
        zm_cli_note("warning: %s: no times of kernels: %s", row->kernel,
                    session_reason(t->s, status));
}

static void measure_all(turns *t)
{
    const net_options *o = t->options;
    const timing_options timing = {.seconds = o->seconds * (double)o->form_count};
    zm_status status = session_check_type(t->s, o->type);
    if (status == ZM_OK)
        status = net_weights_create(t->s->device, t->s->stream, t->n, o->type, o->weight_type,
                                    &t->weights);
    for (size_t i = 0; i < o->form_count; i++) {
        zm_status one = status ? status : add_run(t, i);
        if (one != ZM_OK)
            give_up(t->s, one, &t->rows[i]);
    }
    size_t forms = t->count;
    if (forms)
        status = add_ceilings(t);
    if (o->serve) {
        *o->serve = serve_all(t);
        return;
    }
    if (forms && status == ZM_OK)
        status = timing_run(t->s->stream, t->things, t->count, &timing, &t->report);
    for (size_t i = 0; i < o->form_count; i++) {
        if (t->rows[i].status != ROW_OK)
            continue;
        zm_status one = status ? status : summarize(t, i, &t->rows[i]);
        if (one != ZM_OK)
            give_up(t->s, one, &t->rows[i]);
        else if (o->profile)
            add_profile(t, i);
    }
}

static void finish(turns *t)
{
    for (size_t i = 0; i < THINGS; i++) {
        timed_finish(&t->things[i]);
        ceiling_finish(&t->ceilings[i]);
    }
    for (size_t i = 0; i < NET_MAX_FORMS; i++)
        net_run_destroy(&t->runs[i]);
    net_weights_destroy(&t->weights);
    free(t->reference);
    free(t->rows);
    free(t);
}

zm_status net_measure(session *s, const net *n, const net_options *options, result *out)
{
    char reason[200];
    turns *t = zm_calloc(1, sizeof(*t));
    if (t)
        *t = (turns){.s = s, .n = n, .options = options};
    if (!t || !(t->rows = zm_calloc(options->form_count, sizeof(*t->rows)))) {
        free(t);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    zm_status status = ZM_OK;
    for (size_t i = 0; i < THINGS; i++)
        t->place[i] = THINGS;
    for (size_t i = 0; i < options->form_count; i++)
        describe(s, n, options, options->forms[i]->name, &t->rows[i]);
    if (check_memory(t, reason, sizeof(reason)) != ZM_OK) {
        status = net_skip(s, n, options, reason, out);
    } else {
        measure_all(t);
        for (size_t i = 0; status == ZM_OK && i < options->form_count; i++) {
            result_row *row = result_add(out);
            status = row ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
            if (row)
                *row = t->rows[i];
        }
    }
    finish(t);
    return status;
}
