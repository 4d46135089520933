/* SPDX-License-Identifier: Apache-2.0 */
/* clbench op: how fast the ops are, next to what the device can do. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "measure.h"
#include "peak.h"
#include "plan.h"
#include "print.h"
#include "serve.h"

#define DEFAULT_SECONDS 1.0
#define PEAK_SECONDS 0.4

typedef struct options {
    plan_options plan;
    const char *device, *versus;
    double seconds;
    bool json, csv, no_peak, list, serve;
} options;

static void list_shapes(const char *glob)
{
    for (size_t i = 0; i < op_description_count; i++) {
        const char *op = op_descriptions[i]->name, *keys = shape_keys(op);
        const char *const *texts;
        if (fnmatch(glob, op, 0) != 0)
            continue;
        printf("%s (%s)\n", op, keys ? keys : "no shapes are known");
        size_t count = shape_list(op, &texts);
        for (size_t j = 0; j < count; j++)
            printf("  %s\n", texts[j]);
    }
}

static void show(const options *o, const result_row *row, size_t done, size_t total)
{
    zm_cli_progress_hide();
    if (o->csv)
        print_csv_row(row);
    else if (!o->json)
        print_table_row(row);
    fflush(stdout);
    if (o->json || o->csv)
        zm_cli_progress(NULL, "rows", done, total);
}

static zm_cli_exit finish(const options *o, const session *s, const result *r)
{
    size_t failed = 0;
    zm_cli_progress_hide();
    for (size_t i = 0; i < r->row_count; i++)
        failed += r->rows[i].status == ROW_FAILED;
    zm_cli_exit code = o->json ? zm_cli_json_print(result_to_json(r, s->info)) : ZM_CLI_OK;
    if (zm_cli_interrupted())
        zm_cli_error("interrupted");
    else if (failed)
        zm_cli_error("%zu of %zu rows failed", failed, r->row_count);
    return failed || zm_cli_interrupted() ? ZM_CLI_FAILED : code;
}

static zm_cli_exit measure_rows(const options *o, session *s, const plan *p)
{
    result r;
    result_init(&r, "op", s->info);
    zm_cli_exit code = ZM_CLI_OK;
    const peak_options quick = {.seconds = PEAK_SECONDS, .first = 20, .last = 28, .step = 4};
    if (!o->no_peak && peak_measure(s, &quick, &r.peak) != ZM_OK)
        zm_cli_note("warning: no ceilings: %s", r.peak.reason);
    const measure_options how = {.seconds = o->seconds, .peak = &r.peak};
    if (o->csv)
        print_csv_head();
    else if (!o->json)
        print_table_head();
    for (size_t i = 0; i < p->count && !zm_cli_interrupted(); i++) {
        result_row *row = result_add(&r);
        if (!row) {
            code = zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
            break;
        }
        measure_row(s, &p->variants[i], o->versus ? &p->versus[i] : NULL, &how, row);
        show(o, row, i + 1, p->count);
    }
    if (code == ZM_CLI_OK)
        code = finish(o, s, &r);
    result_finish(&r);
    return code;
}

static zm_cli_exit measure_all(const options *o)
{
    plan p;
    session s;
    zm_cli_exit code = plan_make(&o->plan, o->versus, &p);
    if (code == ZM_CLI_OK)
        code = session_open(&s, o->device);
    if (code == ZM_CLI_OK) {
        zm_cli_progress_start();
        code = o->serve ? serve(&s, &p) : measure_rows(o, &s, &p);
        session_close(&s);
    }
    plan_finish(&p);
    return code;
}

static zm_cli_exit run(int argc, char **argv)
{
    options o = {.seconds = DEFAULT_SECONDS};
    const zm_cli_option table[] = {
        {"shape", 's', "SHAPE", "KEY=NUMBER and flags, as --list shows them", ZM_CLI_TEXT,
         &o.plan.shape},
        {"type", 0, "TYPES", "of activations: f32,f16,bf16; default: the device's", ZM_CLI_TEXT,
         &o.plan.types},
        {"weight-type", 'w', "TYPES", "of weights: f32,f16,bf16,q4_k,...; default f32", ZM_CLI_TEXT,
         &o.plan.weight_types},
        {"kernel", 'k', "[OP=]GLOB", "these kernels, of that op; else the one that is chosen",
         ZM_CLI_TEXT, &o.plan.kernel},
        {"vs", 0, "OTHER", "time in turns: a kernel, or KEY=VALUE of op, kernel, type, weight-type",
         ZM_CLI_TEXT, &o.versus},
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &o.device},
        {"time", 't', "SECONDS", "for each row; default 1", ZM_CLI_REAL, &o.seconds},
        {"no-peak", 0, NULL, "don't measure ceilings", ZM_CLI_FLAG, &o.no_peak},
        {"list", 0, NULL, "list the shapes and what they are made of; time nothing", ZM_CLI_FLAG,
         &o.list},
        {"serve", 0, NULL, "set up, then time on request (docs/clbench.md)", ZM_CLI_FLAG, &o.serve},
        {"csv", 0, NULL, "print CSV", ZM_CLI_FLAG, &o.csv},
        {"json", 0, NULL, "print JSON (schema " RESULT_SCHEMA ")", ZM_CLI_FLAG, &o.json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_op, table, sizeof(table) / sizeof(table[0]), argc, argv, &arguments,
                      &code))
        return code;
    if (o.csv + o.json + o.serve > 1) {
        zm_cli_error("op: --csv, --json and --serve exclude each other (see 'clbench op --help')");
        return ZM_CLI_USAGE;
    }
    o.plan.op = arguments.count ? arguments.values[0] : "*";
    if (o.list) {
        list_shapes(o.plan.op);
        return ZM_CLI_OK;
    }
    return measure_all(&o);
}

const zm_cli_command clbench_op = {
    .name = "op",
    .synopsis = "[GLOB]",
    .summary = "Time ops against the ceilings of the device",
    .details =
        "Each row is one op, shape, pair of types and kernel, timed in turns with kernels that "
        "only\n"
        "multiply and add, and that only move as much memory. What would take longer is the\n"
        "ceiling; the row says which part of it the op reaches. Rounds during which other\n"
        "processes worked are dropped.\n\n" ZM_CLI_DEVICE_HELP,
    .max_arguments = 1,
    .run = run,
};
