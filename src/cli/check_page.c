/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/check_page.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/plot.h"

#define HEIGHT 260.0
#define MOST_TICKS 12
#define SMALLEST 1e-18 /* of what is drawn: less is on the edge */

const char *zm_cli_verdict(const zm_check_report *report, char out[ZM_CLI_VERDICT])
{
    const double final = report->final_relative_l2;
    switch (report->verdict) {
    case ZM_VERDICT_F64:
        snprintf(out, ZM_CLI_VERDICT,
                 "the same function, up to the rounding of float64: %.1e of at most %.0e", final,
                 ZM_CHECK_F64_BUDGET);
        break;
    case ZM_VERDICT_F32:
        snprintf(out, ZM_CLI_VERDICT,
                 "the same function, up to the rounding of float32: %.1e of at most %.0e (%.3g %%)",
                 final, ZM_CHECK_F32_BUDGET, 100 * final / ZM_CHECK_F32_BUDGET);
        break;
    case ZM_VERDICT_TOLERATED:
        snprintf(out, ZM_CLI_VERDICT,
                 "not the same function: %.1e is over the budget of float32 (%.0e), but within the "
                 "tolerance (%.0e)",
                 final, ZM_CHECK_F32_BUDGET, report->tolerance);
        break;
    default:
        snprintf(out, ZM_CLI_VERDICT,
                 "not the same function: %.1e (tolerance %.0e), %u of %u tokens equal", final,
                 report->tolerance, report->tokens_equal, report->tokens);
    }
    return out;
}

const char *zm_cli_check_row_name(const zm_check_row *row, char out[ZM_CLI_ROW_NAME])
{
    const bool layer = strstr(row->what, ".layer") != NULL;
    snprintf(out, ZM_CLI_ROW_NAME, layer ? "%s %u" : "%s", row->what, row->layer);
    return out;
}

/* ---- cards ---- */

static void print_card(page *p, const char *name, const zm_cli_check_side *side, int series)
{
    page_format(p, "<div class=\"card s%d\"><b>%s: ", series, name);
    page_text(p, side->model->path);
    page_format(p, "</b><dl>");
    page_field(p, "architecture", side->model->architecture_name);
    page_field(p, "norm", zm_norm_name(side->model->norm));
    page_field(p, "device", side->device->spec);
    page_field(p, "arithmetic", zm_dtype_name(side->device->real_type));
    page_format(p, "</dl></div>\n");
}

ZM_PRINTF(3, 4)
static void print_number(page *p, const char *name, const char *format, ...)
{
    char text[120];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    page_field(p, name, text);
}

static void print_verdict(page *p, const zm_check_report *report)
{
    char text[ZM_CLI_VERDICT];
    page_format(p, "<div class=\"card %s\"><b>", report->equal ? "faster" : "slower");
    page_text(p, zm_cli_verdict(report, text));
    page_format(p, "</b><dl>");
    print_number(p, "outputs", "relative L2 %.3e", report->final_relative_l2);
    print_number(p, "tokens", "%u of %u greedy ones equal", report->tokens_equal, report->tokens);
    print_number(p, "top tokens", "%.1f %% of the %u most probable ones",
                 100 * report->top_agreement, report->top);
    if (report->perplexity_a > 0)
        print_number(p, "perplexity", "A %.6g, B %.6g (-log p: %+.2e)", report->perplexity_a,
                     report->perplexity_b, report->perplexity_change);
    page_format(p, "</dl></div>\n");
}

/* ---- plots: a row is a place on the x axis ---- */

typedef struct curve {
    size_t offset; /* of a double in zm_check_row */
    int series;
    bool hollow;
    const char *name;
} curve;

static double value_of(const zm_check_row *row, const curve *c)
{
    double value;
    memcpy(&value, (const char *)row + c->offset, sizeof(value));
    return value < SMALLEST ? SMALLEST : value;
}

static plot_frame frame_of(const zm_check_report *report, const curve *curves, size_t count,
                           double limit)
{
    double low = INFINITY, high = 0;
    if (limit > 0)
        low = high = limit;
    for (size_t i = 0; i < report->row_count * count; i++) {
        double value = value_of(&report->rows[i / count], &curves[i % count]);
        low = value < low ? value : low;
        high = isfinite(value) && value > high ? value : high;
    }
    if (!(high > 0))
        low = high = 1;
    const double last = report->row_count > 1 ? (double)report->row_count - 1 : 1;
    return (plot_frame){{0, last, 1, 99, false}, plot_decades(low, high, HEIGHT, 8)};
}

static void print_axes(page *p, const zm_check_report *report, const plot_frame *f)
{
    char name[ZM_CLI_ROW_NAME];
    const int decades = (int)lround(log10(f->y.high / f->y.low)), step = decades > 6 ? 2 : 1;
    for (int i = 0; i <= decades; i += step) {
        snprintf(name, sizeof(name), "%.0e", f->y.low * pow(10, i));
        plot_y_line(p, f, f->y.low * pow(10, i), name);
    }
    const size_t every = report->row_count / MOST_TICKS + 1;
    for (size_t i = 0; i < report->row_count; i += every) {
        snprintf(name, sizeof(name), "%zu", i + 1);
        plot_x_tick(p, f, (double)i, i / every % 2 ? " wide" : "", name);
    }
    plot_axis_names(p, f, "row of the table", "");
}

static void print_points(page *p, const zm_check_report *report, const plot_frame *f,
                         const curve *c)
{
    char name[ZM_CLI_ROW_NAME];
    page_format(p, "<g class=\"curve s%d%s\">", c->series, c->hollow ? " dashed" : "");
    for (size_t i = 1; i < report->row_count; i++)
        plot_line(p, f, (double)i - 1, value_of(&report->rows[i - 1], c), (double)i,
                  value_of(&report->rows[i], c));
    page_format(p, "</g>\n");
    for (size_t i = 0; i < report->row_count; i++) {
        const double value = value_of(&report->rows[i], c);
        page_format(p, "<circle class=\"%s s%d\" cx=\"%.2f%%\" cy=\"%.1f\" r=\"4\"><title>",
                    c->hollow ? "hollow" : "point", c->series, plot_at(&f->x, (double)i),
                    plot_at(&f->y, value));
        page_text(p, zm_cli_check_row_name(&report->rows[i], name));
        page_format(p, ": %s %.3e</title></circle>\n", c->name, value);
    }
}

static void print_plot(page *p, const zm_check_report *report, const char *what,
                       const curve *curves, size_t count, double limit)
{
    const plot_frame f = frame_of(report, curves, count, limit);
    page_format(p, "<p class=\"legend\">");
    for (size_t i = 0; i < count; i++)
        page_format(p, "<span><i class=\"key s%d\"></i>%s%s</span> ", curves[i].series,
                    curves[i].name, curves[i].hollow ? " (hollow)" : "");
    page_format(p, "</p>\n");
    plot_begin(p, HEIGHT, what);
    print_axes(p, report, &f);
    if (limit > 0) {
        page_format(p, "<g class=\"curve dashed slower\">");
        plot_line(p, &f, f.x.low, limit, f.x.high, limit);
        page_format(p, "</g>\n");
    }
    for (size_t i = 0; i < count; i++)
        print_points(p, report, &f, &curves[i]);
    plot_end(p);
}

static void print_plots(page *p, const zm_check_report *report)
{
    static const curve errors[] = {{offsetof(zm_check_row, relative_l2), 0, false, "relative L2"}};
    static const curve levels[] = {{offsetof(zm_check_row, rms_a), 0, false, "rms of A"},
                                   {offsetof(zm_check_row, mean_a), 0, true, "mean of A"},
                                   {offsetof(zm_check_row, rms_b), 1, false, "rms of B"},
                                   {offsetof(zm_check_row, mean_b), 1, true, "mean of B"}};
    zm_check_report branch = *report; /* without the outputs, which are last */
    while (branch.row_count && !strstr(report->rows[branch.row_count - 1].what, ".layer"))
        branch.row_count--;
    page_format(p,
                "<section><h2>Difference</h2>\n<p>Of the main branch after each layer, up to its "
                "mean where no norm reads it, and of the outputs. The dashed line is the "
                "tolerance of the outputs.</p>\n");
    print_plot(p, report, "difference after each layer", errors, 1, report->tolerance);
    page_format(p,
                "</section>\n<section><h2>Main branch</h2>\n<p>What a conversion takes out is the "
                "mean, here the root mean square of the means of all rows.</p>\n");
    print_plot(p, &branch, "rms and mean of the main branch after each layer", levels, 4, 0);
    page_format(p, "</section>\n");
}

/* ---- the table ---- */

static void print_cell(page *p, const char *name, double value)
{
    char text[32];
    snprintf(text, sizeof(text), "%.3e", value);
    page_cell(p, "n", name, text);
}

static void print_table(page *p, const zm_check_report *report)
{
    char text[ZM_CLI_ROW_NAME + 16], name[ZM_CLI_ROW_NAME];
    page_format(p,
                "<section><h2>All rows</h2>\n<table><thead><tr><th class=\"n\">row</th><th>what"
                "</th><th class=\"n\">relative L2</th><th class=\"n\">max abs</th>"
                "<th class=\"n\">mean A</th><th class=\"n\">mean B</th><th class=\"n\">rms A</th>"
                "<th class=\"n\">rms B</th><th class=\"n\">worst channel</th></tr></thead>"
                "<tbody>\n");
    for (size_t i = 0; i < report->row_count; i++) {
        const zm_check_row *row = &report->rows[i];
        page_format(p, "<tr>");
        snprintf(text, sizeof(text), "%zu", i + 1);
        page_cell(p, "n", "row", text);
        page_cell(p, "first", "", zm_cli_check_row_name(row, name));
        print_cell(p, "relative L2", row->relative_l2);
        print_cell(p, "max abs", row->max_abs);
        print_cell(p, "mean A", row->mean_a);
        print_cell(p, "mean B", row->mean_b);
        print_cell(p, "rms A", row->rms_a);
        print_cell(p, "rms B", row->rms_b);
        snprintf(text, sizeof(text), "%u (%.1e)", row->channel, row->channel_rms);
        page_cell(p, "n", "worst channel", text);
        page_format(p, "</tr>\n");
    }
    page_format(p, "</tbody></table>\n</section>\n");
}

zm_status zm_cli_check_page(const zm_check_report *report, const zm_cli_check_side sides[2],
                            const char *path, const zm_log *log)
{
    page p = {0};
    page_begin(&p, "zeromean check");
    page_format(&p, "<p>Are two models the same function? A is taken as the truth.</p>\n"
                    "<div class=\"cards\">\n");
    print_verdict(&p, report);
    print_card(&p, "A", &sides[0], 0);
    print_card(&p, "B", &sides[1], 1);
    page_format(&p, "</div>\n");
    print_plots(&p, report);
    print_table(&p, report);
    page_end(&p);
    zm_status status = page_write(&p, path, log);
    free(p.text);
    return status;
}
