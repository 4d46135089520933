/* SPDX-License-Identifier: Apache-2.0 */
/* Plots of one line per row: bars of percent, and ratios with their intervals. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plot.h"
#include "print.h"

#define WIDTH 900.0
#define LABEL_RIGHT 410.0
#define BAR_LEFT 420.0
#define BAR_RIGHT 660.0
#define TOP 8.0
#define BAR 18.0  /* one bar with its gap */
#define GAP 8.0   /* between rows */
#define FOOT 26.0 /* numbers of the axis */
#define MOST_PERCENT 120.0

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
        if (same_row(&r->rows[i], row))
            return &r->rows[i];
    return NULL;
}

/* Is it the first result that has this row? */
static bool is_first(const result *results, size_t index, const result_row *row)
{
    for (size_t i = 0; i < index; i++)
        if (find(&results[i], row))
            return false;
    return true;
}

static void print_label(page *p, const result_row *row, double y)
{
    page_format(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LABEL_RIGHT,
                y);
    page_text(p, row->shape);
    page_format(p, "<tspan class=\"note\"> ");
    if (strcmp(row->type, row->weight_type) != 0) {
        page_text(p, row->type);
        page_format(p, "/");
    }
    page_text(p, row->weight_type);
    page_format(p, " ");
    page_text(p, row->kernel);
    page_format(p, "</tspan></text>\n");
}

/* The rate that was held against the ceiling, and the time. */
static void print_rate(page *p, const result_row *row)
{
    char time[PRINT_DURATION];
    page_format(p, "of %s, ", ceiling_bound_name(row->ceiling.bound));
    if (row->ceiling.bound == BOUND_FMA)
        page_format(p, "%.3g GFLOP/s, ", row_gflops(row));
    else if (row->ceiling.bound == BOUND_BANDWIDTH)
        page_format(p, "%.3g GB/s, ", row_gbps(row));
    page_format(p, "%s", print_duration(row->time.seconds.median, time));
}

static void print_bar(page *p, const plot_scale *x, const result_row *row, double y, size_t series)
{
    double end = plot_at(x, row->ceiling.percent);
    page_format(p, "<rect class=\"bar s%zu\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\">",
                series, x->from, y, end - x->from, BAR - 4);
    plot_row_title(p, row);
    page_format(p,
                "</rect><text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.0f %% "
                "<tspan class=\"note\">",
                end + 6, y + BAR - 7, row->ceiling.percent);
    print_rate(p, row);
    page_format(p, "</tspan></text>\n");
}

static void print_grid(page *p, const plot_scale *x, double bottom)
{
    for (int percent = 0; percent <= 100; percent += 25) {
        double at = plot_at(x, percent);
        page_format(p, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                    percent == 100 ? "limit" : "grid", at, at, TOP, bottom);
        page_format(p,
                    "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d %%"
                    "</text>\n",
                    at, bottom + 16, percent);
    }
}

/* How high the rows are together. */
static double rows_height(const result *results, size_t count, const char *op)
{
    double height = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].row_count; j++) {
            const result_row *row = &results[i].rows[j];
            if (!has_bar(row, op) || !is_first(results, i, row))
                continue;
            height += GAP;
            for (size_t k = i; k < count; k++)
                height += find(&results[k], row) ? BAR : 0;
        }
    }
    return height;
}

void plot_bars(page *p, const result *results, size_t count, const char *op)
{
    const plot_scale x = {0, MOST_PERCENT, BAR_LEFT, BAR_RIGHT, false};
    double height = rows_height(results, count, op), y = TOP + GAP / 2;
    char what[80];
    if (height <= 0)
        return;
    snprintf(what, sizeof(what), "%s: percent of the ceiling", op);
    plot_begin(p, WIDTH, TOP + height + FOOT, what);
    print_grid(p, &x, TOP + height);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].row_count; j++) {
            const result_row *row = &results[i].rows[j];
            if (!has_bar(row, op) || !is_first(results, i, row))
                continue;
            print_label(p, row, y + BAR - 7);
            for (size_t k = i; k < count; k++) {
                const result_row *other = find(&results[k], row);
                if (other && has_bar(other, op))
                    print_bar(p, &x, other, y, k);
                y += other ? BAR : 0;
            }
            y += GAP;
        }
    }
    plot_end(p);
}

/* ---- A/B ---- */

#define VERSUS_ROW 28.0

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
    return (plot_scale){1 / most, most, BAR_LEFT, BAR_RIGHT, true};
}

static void print_versus_grid(page *p, const plot_scale *x, double bottom)
{
    static const double marks[] = {0.1, 0.2, 0.5, 0.8, 0.9, 1, 1.1, 1.25, 2, 5, 10};
    bool narrow = x->high < 1.6;
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        bool fine = marks[i] > 0.75 && marks[i] < 1.3 && marks[i] != 1;
        if (marks[i] < x->low || marks[i] > x->high || (fine && !narrow))
            continue;
        double at = plot_at(x, marks[i]);
        page_format(p, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                    marks[i] == 1 ? "limit" : "grid", at, at, TOP, bottom);
        page_format(
            p, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%gx</text>\n", at,
            bottom + 16, marks[i]);
    }
}

/* What differs between the two, or all of it. */
static void print_versus_name(page *p, const result_row *row, double y)
{
    const row_versus *v = &row->versus;
    page_format(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", LABEL_RIGHT,
                y);
    page_text(p, row->op);
    page_format(p, " ");
    page_text(p, row->shape);
    page_format(p, "</text><text class=\"note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                LABEL_RIGHT, y + 13);
    page_text(p, row->kernel);
    page_format(p, " ");
    page_text(p, row->weight_type);
    page_format(p, " against ");
    if (strcmp(row->op, v->op) != 0) {
        page_text(p, v->op);
        page_format(p, " ");
    }
    page_text(p, v->kernel);
    page_format(p, " ");
    page_text(p, v->weight_type);
    page_format(p, "</text>\n");
}

static void print_versus_row(page *p, const plot_scale *x, const result_row *row, double y)
{
    const stats_summary *r = &row->versus.ratio;
    const char *verdict = r->low > 1 ? "faster" : r->high < 1 ? "slower" : "even";
    double low = plot_at(x, r->low), high = plot_at(x, r->high), middle = plot_at(x, r->median);
    print_versus_name(p, row, y + 8);
    page_format(p, "<g class=\"versus %s\"><title>", verdict);
    page_text(p, row->op);
    page_format(p, ": %.3f times as fast, 95 %% confidence %.3f to %.3f</title>", r->median, r->low,
                r->high);
    page_format(p, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", low, high, y + 8,
                y + 8);
    page_format(p, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/></g>", middle, y + 8);
    page_format(p,
                "<text class=\"value\" x=\"%.1f\" y=\"%.1f\">%.2fx <tspan class=\"note\">[%.3g, "
                "%.3g] %s</tspan></text>\n",
                BAR_RIGHT + 14, y + 12, r->median, r->low, r->high, verdict);
}

void plot_versus(page *p, const result *results, size_t count)
{
    size_t rows;
    const plot_scale x = versus_scale(results, count, &rows);
    double height = (double)rows * (VERSUS_ROW + GAP), y = TOP + GAP / 2;
    if (rows == 0)
        return;
    plot_begin(p, WIDTH, TOP + height + FOOT, "How many times as fast the first is as the second");
    print_versus_grid(p, &x, TOP + height);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < results[i].row_count; j++) {
            if (!has_versus(&results[i].rows[j]))
                continue;
            print_versus_row(p, &x, &results[i].rows[j], y);
            y += VERSUS_ROW + GAP;
        }
    }
    plot_end(p);
}
