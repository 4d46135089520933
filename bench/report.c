/* SPDX-License-Identifier: Apache-2.0 */
/* clbench report: results as one page that needs nothing else. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clbench.h"
#include "cli/output.h"
#include "common/alloc.h"
#include "match.h"
#include "plots.h"
#include "print.h"

#define CHANGE_THRESHOLD 0.05 /* as compare has it unasked */

typedef struct report {
    size_t count;
    result results[PLOT_SERIES];
    char **paths;
    page page;
} report;

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void print_ceilings(page *p, const result_peak *peak)
{
    char text[120], size[PRINT_DURATION], time[PRINT_DURATION];
    if (peak->status != ROW_OK || peak->fma_count == 0) {
        snprintf(text, sizeof(text), "%s%s%.80s", row_status_name(peak->status),
                 peak->reason[0] ? ": " : "", peak->reason);
        page_field(p, "ceilings", text);
        return;
    }
    const peak_fma *fma = &peak->fma[peak->best_fma];
    snprintf(text, sizeof(text), "%.1f GFLOP/s (float%u, %u chains)", fma->gflops, fma->width,
             fma->chains);
    page_field(p, "multiply-adds", text);
    for (size_t i = peak->stream_count; i-- > 0;) {
        if (!peak->streams[i].copy)
            continue;
        snprintf(text, sizeof(text), "%.1f GB/s (copy, %s)", peak->streams[i].gbps,
                 print_bytes(peak->streams[i].bytes, size));
        page_field(p, "memory", text);
        break;
    }
    if (isfinite(peak->launch_seconds))
        page_field(p, "launch", print_duration(peak->launch_seconds, time));
}

static void print_cards(report *r)
{
    page *p = &r->page;
    char processor[128];
    page_format(p, "<div class=\"cards\">\n");
    for (size_t i = 0; i < r->count; i++) {
        const result *one = &r->results[i];
        page_format(p, "<div class=\"card s%zu\"><b>", i);
        page_text(p, base_name(r->paths[i]));
        page_format(p, "</b><dl>");
        page_field(p, "device", one->device_name);
        page_field(p, "platform", one->device_platform);
        page_field(p, "driver", one->device_driver);
        snprintf(processor, sizeof(processor), "%s, %u in use", one->processor, one->processors);
        page_field(p, "host", processor);
        page_field(p, "date", one->date);
        page_field(p, "zeromean", one->version);
        print_ceilings(p, &one->peak);
        page_format(p, "</dl></div>\n");
    }
    page_format(p, "</div>\n");
}

/* Which colour is which result; one alone needs no telling. */
static void print_legend(report *r)
{
    if (r->count < 2)
        return;
    page_format(&r->page, "<p class=\"legend\">");
    for (size_t i = 0; i < r->count; i++) {
        page_format(&r->page, "<span><i class=\"key s%zu\"></i>", i);
        page_text(&r->page, base_name(r->paths[i]));
        page_format(&r->page, "</span> ");
    }
    page_format(&r->page, "</p>\n");
}

/* Only with its heading where there is something to show. */
static void print_section(report *r, const char *heading, const char *text, const page *body)
{
    r->page.failed = r->page.failed || body->failed;
    if (!body->size)
        return;
    page_format(&r->page, "<section><h2>%s</h2>\n<p>%s</p>\n", heading, text);
    print_legend(r);
    page_format(&r->page, "%s</section>\n", body->text);
}

static void print_roofline(report *r)
{
    page body = {0};
    plot_roofline(&body, r->results, r->count);
    print_section(r, "Roofline",
                  "Each point is a row: how many operations it does per byte that it must move, "
                  "and at what rate. The lines are what the device can do at most: multiply-adds, "
                  "and memory at the largest size (solid) and at the best one (dashed). Hollow "
                  "points have so little to do that a launch is their ceiling. Point at a mark to "
                  "read it.",
                  &body);
    free(body.text);
}

static bool seen_before(const report *r, size_t result_index, size_t row_index, const char *op)
{
    for (size_t i = 0; i <= result_index; i++) {
        size_t count = i < result_index ? r->results[i].row_count : row_index;
        for (size_t j = 0; j < count; j++)
            if (strcmp(r->results[i].rows[j].op, op) == 0)
                return true;
    }
    return false;
}

static void print_bars(report *r)
{
    page body = {0};
    for (size_t i = 0; i < r->count; i++) {
        for (size_t j = 0; j < r->results[i].row_count; j++) {
            const char *op = r->results[i].rows[j].op;
            page bars = {0};
            if (seen_before(r, i, j, op))
                continue;
            plot_bars(&bars, r->results, r->count, op);
            body.failed = body.failed || bars.failed;
            if (bars.size) {
                page_format(&body, "<h3>");
                page_text(&body, op);
                page_format(&body, "</h3>\n%s", bars.text);
            }
            free(bars.text);
        }
    }
    print_section(r, "Ops against their ceilings",
                  "The ceiling of a row is what would take longest at the speed that kernels "
                  "reach which do nothing else: its multiply-adds, moving its bytes, or one "
                  "launch. Both were timed in turns with the row.",
                  &body);
    free(body.text);
}

static void print_versus(report *r)
{
    page body = {0};
    plot_versus(&body, r->results, r->count);
    print_section(r, "A against B",
                  "How many times as fast the first is as the second, timed in turns: median and "
                  "95 % confidence interval. An interval that holds 1 shows no difference.",
                  &body);
    free(body.text);
}

static void print_memory(report *r)
{
    page body = {0};
    bool curve = false;
    for (size_t i = 0; i < r->count; i++)
        curve = curve || r->results[i].peak.stream_count >= 8;
    if (curve)
        plot_memory(&body, r->results, r->count);
    print_section(r, "Memory",
                  "Copying (solid; what is read and what is written both count) and reading "
                  "(dashed), by the size of all buffers together.",
                  &body);
    free(body.text);
}

static const char *print_median(const result_row *row, char out[PRINT_DURATION])
{
    return row && row->status == ROW_OK ? print_duration(row->time.seconds.median, out) : "-";
}

static void print_change(page *p, const match *m)
{
    const result_row *row = m->a ? m->a : m->b;
    char text[PRINT_DURATION] = "";
    bool worse = m->kind == MATCH_SLOWER || m->kind == MATCH_BROKEN;
    bool better = m->kind == MATCH_FASTER || m->kind == MATCH_MENDED;
    page_format(p, "<tr>");
    page_cell(p, "first", "", row->op);
    page_cell(p, "first", "", row->shape);
    page_cell(p, "", "weights", row->weight_type);
    page_cell(p, "n", "before", print_median(m->a, text));
    page_cell(p, "n", "after", print_median(m->b, text));
    snprintf(text, sizeof(text), "-");
    if (isfinite(m->ratio))
        snprintf(text, sizeof(text), "%+.1f %%", 100 * (m->ratio - 1));
    page_cell(p, "n", "time", text);
    page_cell(p, worse ? "bad" : better ? "good" : "", "", match_kind_name(m->kind));
    page_format(p, "</tr>\n");
}

static void print_change_table(report *r, const match *matches, size_t count)
{
    page *p = &r->page;
    page_format(p, "<section><h2>Changes</h2>\n<p>From ");
    page_text(p, base_name(r->paths[0]));
    page_format(p, " to ");
    page_text(p, base_name(r->paths[r->count - 1]));
    page_format(p,
                ". A row is slower or faster when the confidence intervals of its medians don't "
                "touch and the medians differ by over %.0f %%.</p>\n"
                "<table><thead><tr><th>op</th><th>shape</th><th>weights</th><th class=\"n\">"
                "before</th><th class=\"n\">after</th><th class=\"n\">time</th><th>verdict</th>"
                "</tr></thead><tbody>\n",
                100 * CHANGE_THRESHOLD);
    for (size_t i = 0; i < count; i++)
        print_change(p, &matches[i]);
    page_format(p, "</tbody></table></section>\n");
}

/* Of the first and the last result. */
static void print_changes(report *r)
{
    const result *a = &r->results[0], *b = &r->results[r->count - 1];
    page *p = &r->page;
    if (r->count < 2)
        return;
    match *matches = zm_calloc(a->row_count + b->row_count + 1, sizeof(match));
    if (!matches) {
        p->failed = true;
        return;
    }
    size_t count = match_rows(a, b, CHANGE_THRESHOLD, matches), both = 0;
    for (size_t i = 0; i < count; i++)
        both += matches[i].a && matches[i].b;
    if (both > 0)
        print_change_table(r, matches, count);
    free(matches);
}

static void print_row_numbers(page *p, const result_row *row)
{
    char text[64];
    if (row->status != ROW_OK) {
        page_format(p, "<td colspan=\"6\" class=\"reason\"><span class=\"bad\">%s</span>: ",
                    row_status_name(row->status));
        page_text(p, row->reason);
        page_format(p, "</td>");
        return;
    }
    page_cell(p, "n", "median", print_duration(row->time.seconds.median, text));
    snprintf(text, sizeof(text), "\u00b1%.1f %%", row->time.seconds.spread * 50);
    page_cell(p, "n", "spread", text);
    snprintf(text, sizeof(text), "%.1f", row_gflops(row));
    page_cell(p, "n", "GFLOP/s", text);
    snprintf(text, sizeof(text), "%.1f", row_gbps(row));
    page_cell(p, "n", "GB/s", text);
    snprintf(text, sizeof(text), "unknown");
    if (row->ceiling.bound != BOUND_UNKNOWN)
        snprintf(text, sizeof(text), "%.1f %% of %s", row->ceiling.percent,
                 ceiling_bound_name(row->ceiling.bound));
    page_cell(p, "n", "ceiling", text);
    snprintf(text, sizeof(text), "%zu%s", row->time.seconds.count, row->time.noisy ? " noisy" : "");
    page_cell(p, "n", "samples", text);
}

static void print_row(page *p, const result_row *row)
{
    page_format(p, "<tr>");
    page_cell(p, "first", "", row->op);
    page_cell(p, "first", "", row->shape);
    page_cell(p, "", "type", row->type);
    page_cell(p, "", "weights", row->weight_type);
    page_cell(p, "", "kernel", row->kernel);
    print_row_numbers(p, row);
    page_format(p, "</tr>\n");
}

static void print_table(report *r, size_t index)
{
    const result *one = &r->results[index];
    page *p = &r->page;
    if (one->row_count == 0)
        return;
    page_format(p, "<table><caption><i class=\"key s%zu\"></i>", index);
    page_text(p, base_name(r->paths[index]));
    page_format(p, "</caption><thead><tr><th>op</th><th>shape</th><th>type</th><th>weights</th>"
                   "<th>kernel</th><th class=\"n\">median</th><th class=\"n\">spread</th>"
                   "<th class=\"n\">GFLOP/s</th><th class=\"n\">GB/s</th><th class=\"n\">ceiling"
                   "</th><th class=\"n\">samples</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < one->row_count; i++)
        print_row(p, &one->rows[i]);
    page_format(p, "</tbody></table>\n");
}

static void print_tables(report *r)
{
    size_t rows = 0;
    for (size_t i = 0; i < r->count; i++)
        rows += r->results[i].row_count;
    if (rows == 0)
        return;
    page_format(&r->page, "<section><h2>All rows</h2>\n");
    for (size_t i = 0; i < r->count; i++)
        print_table(r, i);
    page_format(&r->page, "</section>\n");
}

static void print_page(report *r)
{
    page *p = &r->page;
    page_begin(p, "clbench report");
    page_format(p, "<p>What the ops of Zeromean reach of what their devices can do.</p>\n");
    print_cards(r);
    print_roofline(r);
    print_bars(r);
    print_versus(r);
    print_memory(r);
    print_changes(r);
    print_tables(r);
    page_end(p);
}

static zm_cli_exit make(report *r, const char *output)
{
    zm_status status = ZM_OK;
    size_t read = 0;
    for (; read < r->count && status == ZM_OK; read++)
        status = result_read(r->paths[read], zm_cli_log(), &r->results[read]);
    if (status == ZM_OK) {
        print_page(r);
        status = page_write(&r->page, output, zm_cli_log());
    }
    for (size_t i = 0; i < read; i++)
        result_finish(&r->results[i]);
    free(r->page.text);
    return zm_cli_result(status);
}

static zm_cli_exit run(int argc, char **argv)
{
    const char *output = NULL;
    const zm_cli_option options[] = {
        {"output", 'o', "FILE", "the page; it replaces a file of that name", ZM_CLI_TEXT, &output},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_report, options, 1, argc, argv, &arguments, &code))
        return code;
    if (!output) {
        zm_cli_error("report: option --output is missing (see 'clbench report --help')");
        return ZM_CLI_USAGE;
    }
    report *r = zm_calloc(1, sizeof(*r));
    if (!r)
        return zm_cli_result(ZM_ERROR_OUT_OF_MEMORY);
    r->count = arguments.count;
    r->paths = arguments.values;
    code = make(r, output);
    free(r);
    return code;
}

const zm_cli_command clbench_report = {
    .name = "report",
    .synopsis = "RESULT.json... -o REPORT.html",
    .summary = "Draw results as one page with plots",
    .details = "The results are what 'clbench op --json' and 'clbench peak --json' printed, up to\n"
               "six. The page needs no other file and no network, and follows the light or dark\n"
               "colours of the reader.\n",
    .min_arguments = 1,
    .max_arguments = PLOT_SERIES,
    .run = run,
};
