/* SPDX-License-Identifier: Apache-2.0 */
/* clbench compare: what became slower from one result to another. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clbench.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "match.h"
#include "print.h"

#define COMPARE_SCHEMA "clbench.compare/1"
#define DEFAULT_PERCENT 5.0
#define CEILING_CHANGE 0.05 /* from here on the machine itself was another one */

typedef struct comparison {
    result a, b;
    match *matches;
    size_t count;
    size_t kinds[MATCH_KIND_COUNT];
} comparison;

static zm_cli_exit compare(const char *a, const char *b, double threshold, comparison *c)
{
    zm_status status = result_read(a, zm_cli_log(), &c->a);
    if (status == ZM_OK)
        status = result_read(b, zm_cli_log(), &c->b);
    if (status != ZM_OK)
        return zm_cli_result(status);
    c->matches = zm_calloc(c->a.row_count + c->b.row_count + 1, sizeof(match));
    if (!c->matches)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    c->count = match_rows(&c->a, &c->b, threshold, c->matches);
    for (size_t i = 0; i < c->count; i++)
        c->kinds[c->matches[i].kind]++;
    return ZM_CLI_OK;
}

static void comparison_finish(comparison *c)
{
    result_finish(&c->a);
    result_finish(&c->b);
    free(c->matches);
}

static double best_gflops(const result *r)
{
    return r->peak.fma_count ? r->peak.fma[r->peak.best_fma].gflops : NAN;
}

/* Results of two machines, or of one that slowed down, say little about the code. */
static void warn(const comparison *c)
{
    double ratio = best_gflops(&c->b) / best_gflops(&c->a);
    if (strcmp(c->a.device_name, c->b.device_name) != 0 ||
        strcmp(c->a.processor, c->b.processor) != 0)
        zm_cli_note("warning: these are two devices: %s and %s", c->a.device_name,
                    c->b.device_name);
    else if (strcmp(c->a.device_driver, c->b.device_driver) != 0)
        zm_cli_note("note: the drivers differ: %s and %s", c->a.device_driver, c->b.device_driver);
    if (ratio < 1 - CEILING_CHANGE || ratio > 1 + CEILING_CHANGE)
        zm_cli_note("warning: the ceiling itself changed by %+.1f %%: the machine, not the code",
                    100 * (ratio - 1));
}

static void print_match(const match *m)
{
    const result_row *row = m->a ? m->a : m->b;
    char types[20], a[PRINT_DURATION] = "-", b[PRINT_DURATION] = "-";
    snprintf(types, sizeof(types), "%s/%s", row->type, row->weight_type);
    if (m->a && m->a->status == ROW_OK)
        print_duration(m->a->time.seconds.median, a);
    if (m->b && m->b->status == ROW_OK)
        print_duration(m->b->time.seconds.median, b);
    printf("%-8s %-12s %-36s %-9s %9s -> %9s", match_kind_name(m->kind), row->op, row->shape, types,
           a, b);
    if (isfinite(m->ratio))
        printf("  %+6.1f %%", 100 * (m->ratio - 1));
    if (m->a && m->b && strcmp(m->a->kernel, m->b->kernel) != 0)
        printf("  %s -> %s", m->a->kernel, m->b->kernel);
    if (m->kind == MATCH_BROKEN)
        printf("  %s: %s", row_status_name(m->b->status), m->b->reason);
    putchar('\n');
}

static void print_comparison(const comparison *c, bool all)
{
    for (size_t i = 0; i < c->count; i++)
        if (all || (c->matches[i].kind != MATCH_SAME && c->matches[i].kind != MATCH_NEITHER))
            print_match(&c->matches[i]);
    const char *space = "";
    for (int kind = 0; kind < MATCH_KIND_COUNT; kind++) {
        if (c->kinds[kind]) {
            printf("%s%zu %s", space, c->kinds[kind], match_kind_name((match_kind)kind));
            space = ", ";
        }
    }
    printf("%s\n", *space ? "" : "no rows");
}

static json_t *match_json(const match *m)
{
    const result_row *row = m->a ? m->a : m->b;
    bool a = m->a && m->a->status == ROW_OK, b = m->b && m->b->status == ROW_OK;
    return json_pack("{ss so so so so so so so so so}", "kind", match_kind_name(m->kind), "op",
                     zm_cli_json_text(row->op), "shape", zm_cli_json_text(row->shape), "type",
                     zm_cli_json_text(row->type), "weight_type", zm_cli_json_text(row->weight_type),
                     "kernel_a", m->a ? zm_cli_json_text(m->a->kernel) : json_null(), "kernel_b",
                     m->b ? zm_cli_json_text(m->b->kernel) : json_null(), "seconds_a",
                     a ? zm_cli_json_real(m->a->time.seconds.median) : json_null(), "seconds_b",
                     b ? zm_cli_json_real(m->b->time.seconds.median) : json_null(), "ratio",
                     zm_cli_json_real(m->ratio));
}

static json_t *comparison_json(const comparison *c, const char *a, const char *b, double threshold)
{
    json_t *rows = json_array(), *counts = json_object();
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(rows, match_json(&c->matches[i]));
    for (int kind = 0; kind < MATCH_KIND_COUNT; kind++)
        json_object_set_new(counts, match_kind_name((match_kind)kind),
                            json_integer((json_int_t)c->kinds[kind]));
    return json_pack("{ss ss so so so so so so}", "schema", COMPARE_SCHEMA, "version", zm_version(),
                     "a", zm_cli_json_text(a), "b", zm_cli_json_text(b), "threshold",
                     zm_cli_json_real(threshold), "ceiling_ratio",
                     zm_cli_json_real(best_gflops(&c->b) / best_gflops(&c->a)), "counts", counts,
                     "rows", rows);
}

/* Where nothing could be compared, nothing was found to be as fast as before. */
static zm_cli_exit judge(const comparison *c, zm_cli_exit code)
{
    size_t worse = c->kinds[MATCH_SLOWER] + c->kinds[MATCH_BROKEN];
    bool gone = c->a.row_count && c->kinds[MATCH_GONE] == c->a.row_count;
    if (worse)
        zm_cli_error("%zu of %zu rows are slower or don't work any more", worse, c->count);
    else if (gone)
        zm_cli_error("no row of the first file was timed in the second one");
    return worse || gone ? ZM_CLI_FAILED : code;
}

static zm_cli_exit run(int argc, char **argv)
{
    bool json = false, all = false;
    double percent = DEFAULT_PERCENT;
    const zm_cli_option options[] = {
        {"threshold", 0, "PERCENT", "what differs less is the same; default 5", ZM_CLI_REAL,
         &percent},
        {"all", 0, NULL, "list what is the same, too", ZM_CLI_FLAG, &all},
        {"json", 0, NULL, "print JSON (schema " COMPARE_SCHEMA ")", ZM_CLI_FLAG, &json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_compare, options, 3, argc, argv, &arguments, &code))
        return code;
    comparison c = {.count = 0};
    const char *a = arguments.values[0], *b = arguments.values[1];
    code = compare(a, b, percent / 100, &c);
    if (code == ZM_CLI_OK) {
        warn(&c);
        if (json)
            code = zm_cli_json_print(comparison_json(&c, a, b, percent / 100));
        else
            print_comparison(&c, all);
        code = judge(&c, code);
    }
    comparison_finish(&c);
    return code;
}

const zm_cli_command clbench_compare = {
    .name = "compare",
    .synopsis = "A.json B.json",
    .summary = "Say what became slower from A to B, beyond the noise",
    .details =
        "A and B are what 'clbench op --json' printed. A row is slower when the 95 % confidence\n"
        "intervals of its medians don't touch and the medians differ by more than the threshold,\n"
        "which stands for what differs from run to run. Exits with 1 when one is, when one that\n"
        "worked doesn't any more, or when none of A was timed in B.\n",
    .min_arguments = 2,
    .max_arguments = 2,
    .run = run,
};
