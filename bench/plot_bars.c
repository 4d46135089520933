/* SPDX-License-Identifier: Apache-2.0 */
/* Plots of one line per row: bars of percent, and ratios with their intervals. A line is a name, a
 * track with marks, and numbers; page.css puts them beside or under each other. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots.h"
#include "print.h"

static const plot_scale percents = {0, 125, 0, 100, false};

static bool same_row(const result_row *a, const result_row *b)
{
    return strcmp(a->op, b->op) == 0 && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->type, b->type) == 0 && strcmp(a->weight_type, b->weight_type) == 0 &&
           strcmp(a->kernel, b->kernel) == 0;
}

static bool has_bar(const result_row *row, const char *op)
{
    return row->status == ROW_OK && row->ceiling.bound != BOUND_UNKNOWN &&
           isfinite(row->ceiling.percent) && strcmp(row->op, op) == 0;
}

/* The same row of another result. */
static const result_row *find(const result *r, const result_row *row)
{
    for (size_t i = 0; i < r->row_count; i++)
        if (same_row(&r->rows[i], row) && has_bar(&r->rows[i], row->op))
            return &r->rows[i];
    return NULL;
}

/* Is it the first one of its kind? */
static bool is_first(const result *results, size_t index, const result_row *row)
{
    for (size_t i = 0; i < index; i++)
        if (find(&results[i], row))
            return false;
    return find(&results[index], row) == row;
}

static void print_types(page *p, const char *type, const char *weight_type)
{
    if (strcmp(type, weight_type) != 0) {
        page_text(p, type);
        page_format(p, "/");
    }
    page_text(p, weight_type);
}

/* ---- bars ---- */

/* The rate that was held against the ceiling, and the time. */
static void print_rate(page *p, const result_row *row)
{
    char time[PRINT_DURATION];
    page_format(p, "of %s, ", ceiling_bound_name(row->ceiling.bound));
    if (row->ceiling.bound == BOUND_FMA)
        page_format(p, "%.3g GFLOP/s, ", row_gflops(row));
    else if (row->ceiling.bound == BOUND_BANDWIDTH)
        page_format(p, "%.3g GB/s, ", row_gbps(row));
    page_format(p, "%s%s", print_duration(row->time.seconds.median, time),
                row->time.noisy ? ", noisy" : "");
}

static void print_bar(page *p, const result_row *row, size_t series)
{
    page_format(p, "<div class=\"track s%zu\" title=\"", series);
    plot_row_title(p, row);
    page_format(p,
                "\"><i class=\"bar\" style=\"width:%.2f%%\"></i></div>"
                "<div class=\"value\"><b>%.0f %%</b> ",
                plot_at(&percents, row->ceiling.percent), row->ceiling.percent);
    print_rate(p, row);
    page_format(p, "</div>\n");
}

static void print_bars_of(page *p, const result *results, size_t count, const result_row *row)
{
    page_format(p, "<div class=\"row\"><div class=\"name\">");
    page_list(p, row->shape);
    page_format(p, " <span>");
    print_types(p, row->type, row->weight_type);
    page_format(p, " ");
    page_text(p, row->kernel);
    page_format(p, "</span></div>\n<div class=\"marks\">");
    for (size_t i = 0; i < count; i++) {
        const result_row *other = find(&results[i], row);
        if (other)
            print_bar(p, other, i);
    }
    page_format(p, "</div></div>\n");
}

static void print_tick(page *p, const plot_scale *x, double value, const char *unit)
{
    page_format(p, "<span style=\"left:%.2f%%\">%.3g%s</span>", plot_at(x, value), value, unit);
}

static void begin_ticks(page *p)
{
    page_format(p, "<div class=\"row ticks\"><div class=\"name\"></div><div class=\"marks\">"
                   "<div class=\"track\">");
}

static void end_ticks(page *p)
{
    page_format(p, "</div></div></div>\n");
}

void plot_bars(page *p, const result *results, size_t count, const char *op)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].row_count; j++) {
            const result_row *row = &results[i].rows[j];
            if (!has_bar(row, op) || !is_first(results, i, row))
                continue;
            if (!any)
                page_format(p, "<div class=\"bars percent\">\n");
            any = true;
            print_bars_of(p, results, count, row);
        }
    }
    if (!any)
        return;
    begin_ticks(p);
    for (int percent = 0; percent <= 100; percent += 50)
        print_tick(p, &percents, percent, " %");
    end_ticks(p);
    page_format(p, "</div>\n");
}

/* ---- A/B ---- */

static bool has_versus(const result_row *row)
{
    const stats_summary *ratio = &row->versus.ratio;
    return row->status == ROW_OK && row->versus.there && ratio->low > 0 &&
           ratio->median >= ratio->low && ratio->high >= ratio->median;
}

/* 1 is in the middle. */
static plot_scale versus_scale(const result *results, size_t count, size_t *rows)
{
    double most = 1.25;
    *rows = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].row_count; j++) {
            const result_row *row = &results[i].rows[j];
            if (!has_versus(row))
                continue;
            ++*rows;
            most = fmax(most, fmax(row->versus.ratio.high, 1 / row->versus.ratio.low) * 1.05);
        }
    }
    return (plot_scale){1 / most, most, 0, 100, true};
}

/* A few that have room beside each other. */
static size_t versus_marks(const plot_scale *x, double out[3])
{
    static const double steps[] = {100, 10, 5, 2, 1.25, 1.1};
    size_t i = 0;
    while (i < sizeof(steps) / sizeof(steps[0]) - 1 && steps[i] > x->high)
        i++;
    out[0] = 1 / steps[i];
    out[1] = 1;
    out[2] = steps[i];
    return 3;
}

/* What differs between the two, or all of it. */
static void print_versus_name(page *p, const result_row *row, size_t series)
{
    const row_versus *v = &row->versus;
    page_format(p, "<div class=\"name\"><i class=\"key s%zu\"></i>", series);
    page_text(p, row->op);
    page_format(p, " ");
    page_list(p, row->shape);
    page_format(p, " <span>");
    page_text(p, row->kernel);
    page_format(p, " ");
    print_types(p, row->type, row->weight_type);
    page_format(p, " against ");
    if (strcmp(row->op, v->op) != 0) {
        page_text(p, v->op);
        page_format(p, " ");
    }
    page_text(p, v->kernel);
    page_format(p, " ");
    print_types(p, v->type, v->weight_type);
    page_format(p, "</span></div>\n");
}

static void print_versus_row(page *p, const plot_scale *x, const result_row *row, size_t series)
{
    const stats_summary *r = &row->versus.ratio;
    const char *verdict = r->low > 1 ? "faster" : r->high < 1 ? "slower" : "even";
    double marks[3], low = plot_at(x, r->low), high = plot_at(x, r->high);
    page_format(p, "<div class=\"row\">");
    print_versus_name(p, row, series);
    page_format(p, "<div class=\"marks\"><div class=\"track %s\">", verdict);
    for (size_t i = 0; i < versus_marks(x, marks); i++)
        page_format(p, "<i class=\"mark%s\" style=\"left:%.2f%%\"></i>", i == 1 ? " one" : "",
                    plot_at(x, marks[i]));
    page_format(p,
                "<i class=\"interval\" style=\"left:%.2f%%;width:%.2f%%\"></i>"
                "<i class=\"dot\" style=\"left:%.2f%%\"></i></div>"
                "<div class=\"value\"><b>%.2fx</b> [%.2f, %.2f] %s%s</div></div></div>\n",
                low, high - low, plot_at(x, r->median), r->median, r->low, r->high, verdict,
                row->time.noisy ? ", noisy" : "");
}

void plot_versus(page *p, const result *results, size_t count)
{
    size_t rows;
    double marks[3];
    const plot_scale x = versus_scale(results, count, &rows);
    if (rows == 0)
        return;
    page_format(p, "<div class=\"bars versus\">\n");
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < results[i].row_count; j++)
            if (has_versus(&results[i].rows[j]))
                print_versus_row(p, &x, &results[i].rows[j], i);
    begin_ticks(p);
    for (size_t i = 0; i < versus_marks(&x, marks); i++)
        print_tick(p, &x, marks[i], "x");
    end_ticks(p);
    page_format(p, "</div>\n");
}
