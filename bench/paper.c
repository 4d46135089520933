/* SPDX-License-Identifier: Apache-2.0 */
/* clbench paper: the models of the paper on this device, next to the paper's own figures. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "common/clock.h"
#include "net_measure.h"
#include "peak.h"
#include "print.h"

#define PEAK_SECONDS 0.4
#define FORMS                                                                      \
    "ln,ln-fused,ln-deferred,rms,rms-fused,rms-deferred,crms,crms-deferred,ortho," \
    "ortho-deferred,none"

/* Jiang, Gu, Zhu, Pan: Pre-RMSNorm and Pre-CRMSNorm Transformers: Equivalent and Efficient Pre-LN
 * Transformers. arXiv 2305.14858 (2023). Inference times, those of Pre-LN being 1; of ViT the mean
 * over six sizes and six batches. */
static const struct {
    const char *models, *machine;
    double rms, crms, none;
} cited[] = {
    {"ViT", "A100, mixed precision", 0.970, 0.978, 0.857},
    {"ViT", "A100, float32", 0.985, 0.995, 0.935},
    {"ViT", "EPYC 7742, 16 threads", 0.901, 0.886, 0.870},
    {"GPT-3 Small", "batch 1, 512 tokens", 0.90, 0.89, 0.86},
};
#define CITED_COUNT (sizeof(cited) / sizeof(cited[0]))

static const char *const models[] = {"vit-ti",     "vit-s",       "vit-b",     "vit-l",
                                     "gpt3-small", "gpt3-medium", "gpt3-large"};
#define MODEL_COUNT (sizeof(models) / sizeof(models[0]))

/* Sequences of a run; of GPT-3 only the first. */
static const uint32_t default_batches[] = {1, 4, 16, 64, 256, 1024};
#define DEFAULT_BATCHES (sizeof(default_batches) / sizeof(default_batches[0]))
#define MAX_BATCHES 16

typedef struct options {
    const char *device, *models, *batch;
    double seconds, budget, memory; /* memory: GiB; 0 = a share */
    uint32_t layers, tokens;
    bool json, csv;
    uint32_t batches[MAX_BATCHES];
    size_t batch_count;
} options;

/* ---- one model ---- */

/* The fastest of each kind; NULL = none of them was timed. */
typedef struct summary {
    const char *shape;
    const char *reason; /* why there is nothing */
    const result_row *ln, *rms, *crms, *ortho, *none;
    const result_row *plain_ln, *plain_rms; /* of those with norms of their own, as the paper's */
} summary;

/* How often it is as fast as the first form. */
static double speed(const result_row *row)
{
    return row->versus.there ? row->versus.ratio.median : 1;
}

/* The time of a where that of b is 1. */
static double time_ratio(const result_row *a, const result_row *b)
{
    return a && b ? speed(b) / speed(a) : (double)NAN;
}

static void take_best(const result_row *row, const result_row **best)
{
    if (!*best || speed(row) > speed(*best))
        *best = row;
}

static summary summarize(const result *r, size_t first)
{
    summary out = {.shape = r->rows[first].shape, .reason = r->rows[first].reason};
    if (r->rows[first].status != ROW_OK) /* what the others are held against */
        return out;
    for (size_t i = first; i < r->row_count && strcmp(r->rows[i].shape, out.shape) == 0; i++) {
        const result_row *row = &r->rows[i];
        bool deferred = strstr(row->kernel, "-deferred");
        if (row->status != ROW_OK)
            continue;
        if (strncmp(row->kernel, "ln", 2) == 0) {
            take_best(row, &out.ln);
            if (!deferred)
                take_best(row, &out.plain_ln);
        } else if (strncmp(row->kernel, "rms", 3) == 0) {
            take_best(row, &out.rms);
            if (!deferred)
                take_best(row, &out.plain_rms);
        } else {
            take_best(row, strcmp(row->kernel, "none") == 0       ? &out.none
                           : strncmp(row->kernel, "crms", 4) == 0 ? &out.crms
                                                                  : &out.ortho);
        }
    }
    return out;
}

/* Seconds that it takes: a call of each form so often, the reference, and making the weights. */
static double estimate(const net *n, const net_options *how)
{
    const result_peak *peak = how->peak;
    double rate = peak->status == ROW_OK ? 0.6e9 * peak->fma[peak->best_fma].gflops : 1e9;
    double rounds = 12 * (double)how->form_count * net_flops(n) / rate;
    double least = how->seconds * (double)how->form_count,
           weights = n->layers * net_layer_weights(n);
    return (rounds > least ? rounds : least) + 1.5e-7 * weights;
}

static zm_status measure_model(session *s, const options *o, const char *name, uint32_t batch,
                               double left, net_options *how, result *r)
{
    net n;
    shape_reason reason;
    char words[160];
    zm_status status = net_read(name, &n, &reason);
    if (status != ZM_OK)
        return status;
    n.layers = o->layers ? o->layers : n.layers;
    n.tokens = o->tokens ? o->tokens : n.tokens;
    if (net_set_batch(&n, batch, &reason) != ZM_OK)
        return net_skip(s, &n, how, reason.text, r);
    double seconds = estimate(&n, how);
    if (seconds <= left)
        return net_measure(s, &n, how, r);
    snprintf(words, sizeof(words), "it takes about %.0f s, and %.0f s are left of --budget",
             seconds, left > 0 ? left : 0);
    return net_skip(s, &n, how, words, r);
}

/* ---- output ---- */

static void print_head(void)
{
    printf("%-40s %-12s %9s  %-22s %-22s %-22s %6s  %s\n", "model", "best Pre-LN", "time",
           "best Pre-RMSNorm", "best Pre-CRMSNorm", "best orthogonal", "none",
           "own norms: Pre-RMSNorm");
}

static void print_kind(const result_row *row, const result_row *ln)
{
    char text[40] = "-";
    if (row && ln)
        snprintf(text, sizeof(text), "%.3f %s", time_ratio(row, ln), row->kernel);
    printf("  %-21s", text);
}

static void print_summary(const summary *m)
{
    char time[PRINT_DURATION];
    if (!m->ln) {
        printf("%-40s %s\n", m->shape, m->reason);
        return;
    }
    printf("%-40s %-12s %9s", m->shape, m->ln->kernel,
           print_duration(m->ln->time.seconds.median, time));
    print_kind(m->rms, m->ln);
    print_kind(m->crms, m->ln);
    print_kind(m->ortho, m->ln);
    printf("  %5.3f  %.3f%s\n", time_ratio(m->none, m->ln), time_ratio(m->plain_rms, m->plain_ln),
           m->ln->time.noisy ? "  (noisy)" : "");
}

/* Over what was timed of ViT, as the paper has it. */
static void print_mean(const result *r, size_t forms)
{
    double rms = 0, crms = 0, ortho = 0, none = 0, own = 0, count = 0;
    for (size_t i = 0; i < r->row_count; i += forms) {
        const summary m = summarize(r, i);
        if (strncmp(m.shape, "vit", 3) || !m.rms || !m.crms || !m.ortho || !m.none ||
            !m.plain_rms || !m.plain_ln)
            continue;
        rms += time_ratio(m.rms, m.ln);
        crms += time_ratio(m.crms, m.ln);
        ortho += time_ratio(m.ortho, m.ln);
        none += time_ratio(m.none, m.ln);
        own += time_ratio(m.plain_rms, m.plain_ln);
        count++;
    }
    if (count > 1)
        printf(
            "\nMean of %.0f of ViT: Pre-RMSNorm %.3f, Pre-CRMSNorm %.3f, orthogonal %.3f, no norm "
            "%.3f; own norms: Pre-RMSNorm %.3f\n",
            count, rms / count, crms / count, ortho / count, none / count, own / count);
}

static void print_cited(void)
{
    printf("\nThe paper (arXiv 2305.14858), its own Pre-LN being 1:\n");
    for (size_t i = 0; i < CITED_COUNT; i++)
        printf("%-12s %-22s Pre-RMSNorm %.3f, Pre-CRMSNorm %.3f, no norm %.3f\n", cited[i].models,
               cited[i].machine, cited[i].rms, cited[i].crms, cited[i].none);
}

static json_t *form_json(const result_row *row, const result_row *ln)
{
    return row && ln ? json_pack("{ss so}", "form", row->kernel, "ratio",
                                 zm_cli_json_real(time_ratio(row, ln)))
                     : json_null();
}

static json_t *summary_json(const summary *m)
{
    return json_pack("{ss so so so so so so}", "shape", m->shape, "ln", form_json(m->ln, m->ln),
                     "rms", form_json(m->rms, m->ln), "crms", form_json(m->crms, m->ln), "ortho",
                     form_json(m->ortho, m->ln), "none", form_json(m->none, m->ln), "own_rms",
                     form_json(m->plain_rms, m->plain_ln));
}

static zm_cli_exit print_json(const session *s, const result *r, size_t forms)
{
    json_t *root = result_to_json(r, s->info), *list = json_array(), *own = json_array();
    for (size_t i = 0; i < r->row_count; i += forms) {
        const summary m = summarize(r, i);
        json_array_append_new(own, summary_json(&m));
    }
    for (size_t i = 0; i < CITED_COUNT; i++)
        json_array_append_new(list, json_pack("{ss ss sf sf sf}", "models", cited[i].models,
                                              "machine", cited[i].machine, "rms", cited[i].rms,
                                              "crms", cited[i].crms, "none", cited[i].none));
    json_object_set_new(root, "paper", json_pack("{so so}", "models", own, "cited", list));
    return zm_cli_json_print(root);
}

/* ---- all ---- */

static void show(const options *o, const result *r, size_t first)
{
    if (o->csv) {
        for (size_t i = first; i < r->row_count; i++)
            print_csv_row(&r->rows[i]);
    } else if (!o->json) {
        const summary m = summarize(r, first);
        print_summary(&m);
    }
    fflush(stdout);
}

static bool is_wanted(const options *o, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = o->models; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncmp(at, name, length) == 0 && (at[length] == ',' || !at[length]))
            return true;
    return !o->models;
}

static zm_cli_exit finish(const options *o, const session *s, const result *r, size_t forms)
{
    zm_cli_exit code = o->json ? print_json(s, r, forms) : ZM_CLI_OK;
    if (!o->json && !o->csv) {
        print_mean(r, forms);
        print_cited();
    }
    return print_outcome(r) ? code : ZM_CLI_FAILED;
}

static zm_cli_exit measure(const options *o, session *s)
{
    result r;
    uint64_t start = zm_clock_ns();
    const peak_options quick = {.seconds = PEAK_SECONDS, .first = 28, .last = 28, .step = 4};
    net_options how = {.what = "paper", .seconds = o->seconds, .memory = o->memory * 1073741824.0};
    how.form_count = net_forms_read(FORMS, how.forms);
    result_init(&r, "paper", s->info);
    if (peak_measure(s, &quick, &r.peak) != ZM_OK)
        zm_cli_note("warning: no ceilings: %s", r.peak.reason);
    how.peak = &r.peak;
    if (o->csv)
        print_csv_head();
    else if (!o->json)
        print_head();
    zm_status status = ZM_OK;
    /* All models at a batch, then at the next: the budget is for the small ones first. */
    for (size_t i = 0; status == ZM_OK && i < o->batch_count * MODEL_COUNT; i++) {
        const char *model = models[i % MODEL_COUNT];
        size_t first = r.row_count, batch = i / MODEL_COUNT;
        if (!is_wanted(o, model) || (!o->batch && batch > 0 && !strncmp(model, "gpt", 3)))
            continue;
        status = measure_model(s, o, model, o->batches[batch], o->budget - zm_clock_since(start),
                               &how, &r);
        if (status == ZM_OK)
            show(o, &r, first);
    }
    zm_cli_exit code = status == ZM_OK ? finish(o, s, &r, how.form_count) : zm_cli_result(status);
    result_finish(&r);
    return code;
}

/* "1,4,16" */
static bool read_batches(options *o)
{
    const char *at = o->batch;
    if (!at) {
        memcpy(o->batches, default_batches, sizeof(default_batches));
        o->batch_count = DEFAULT_BATCHES;
        return true;
    }
    for (; o->batch_count < MAX_BATCHES; at++) {
        char *end;
        unsigned long number = *at >= '0' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (number == 0 || number > UINT32_MAX)
            return false;
        o->batches[o->batch_count++] = (uint32_t)number;
        at = end;
        if (*at != ',')
            return !*at;
    }
    return false;
}

static zm_cli_exit check(options *o)
{
    const char *what = NULL;
    bool wanted = false;
    for (size_t i = 0; i < MODEL_COUNT; i++)
        wanted |= is_wanted(o, models[i]);
    if (!wanted)
        what = "--models: none of them is known";
    else if (!read_batches(o))
        what = "--batch wants numbers from 1 with commas between them, 16 at most";
    else if (o->csv && o->json)
        what = "--csv and --json exclude each other";
    if (!what)
        return ZM_CLI_OK;
    zm_cli_error("paper: %s (see '%s paper --help')", what, zm_cli_program());
    return ZM_CLI_USAGE;
}

static zm_cli_exit run(int argc, char **argv)
{
    options o = {.seconds = 1, .budget = 600};
    const zm_cli_option table[] = {
        {"models", 0, "LIST", "of vit-{ti,s,b,l} and gpt3-{small,medium,large}; default: all",
         ZM_CLI_TEXT, &o.models},
        {"batch", 'b', "LIST", "sequences of a run; default: ViT 1,4,16,64,256,1024, GPT-3 1",
         ZM_CLI_TEXT, &o.batch},
        {"budget", 0, "SECONDS", "for all of them; what doesn't fit is skipped; default 600",
         ZM_CLI_REAL, &o.budget},
        {"memory", 0, "GIB", "for one of them, likewise; default: 60 % of what there are",
         ZM_CLI_REAL, &o.memory},
        {"layers", 0, "N", "so many blocks of each, instead of all", ZM_CLI_COUNT, &o.layers},
        {"tokens", 0, "N", "so many, instead of 197 and 512", ZM_CLI_COUNT, &o.tokens},
        {"time", 't', "SECONDS", "for each form, at least; default 1", ZM_CLI_REAL, &o.seconds},
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o.device},
        {"csv", 0, NULL, "print CSV", ZM_CLI_FLAG, &o.csv},
        {"json", 0, NULL, "print JSON (schema " RESULT_SCHEMA ")", ZM_CLI_FLAG, &o.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    session s;
    if (!zm_cli_parse(&clbench_paper, table, sizeof(table) / sizeof(table[0]), argc, argv,
                      &arguments, &code))
        return code;
    code = check(&o);
    if (code == ZM_CLI_OK)
        code = session_open(&s, o.device);
    if (code != ZM_CLI_OK)
        return code;
    code = measure(&o, &s);
    session_close(&s);
    return code;
}

const zm_cli_command clbench_paper = {
    .name = "paper",
    .synopsis = "",
    .summary = "Time the models of the paper with each kind of norm",
    .details =
        "ViT and GPT-3, in batches. Times of the best Pre-RMSNorm, Pre-CRMSNorm and orthogonal\n"
        "compression (a turned main branch of one element less), and without norms, where that of\n"
        "our own best Pre-LN is 1; the last column compares only those whose norms are operations\n"
        "of their own, as the paper's are.\n\n" ZM_CLI_DEVICE_HELP,
    .run = run,
};
