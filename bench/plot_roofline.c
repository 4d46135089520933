/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "plot.h"

#define WIDTH 900.0
#define HEIGHT 440.0
#define LEFT 70.0
#define RIGHT 880.0
#define TOP 14.0
#define BOTTOM 390.0
#define MAX_LABELS 64

static bool has_point(const result_row *row)
{
    return row->status == ROW_OK && row->flops > 0 && row->bytes > 0;
}

static double intensity(const result_row *row)
{
    return row->flops / row->bytes;
}

typedef struct range {
    double low, high;
} range;

static void widen(range *r, double value)
{
    if (!isfinite(value) || value <= 0)
        return;
    r->low = fmin(r->low, value);
    r->high = fmax(r->high, value);
}

/* A bandwidth of the peak: that of the largest size, or the highest there is. */
static double bandwidth(const result_peak *peak, bool highest)
{
    double best = NAN, size = 0;
    for (size_t i = 0; i < peak->stream_count; i++) {
        const peak_stream *s = &peak->streams[i];
        if (highest ? !(s->gbps <= best) : s->copy && s->bytes >= size) {
            best = s->gbps;
            size = s->bytes;
        }
    }
    return best;
}

/* Of one result; with more, names of lines would lie on each other. */
static void print_roof_names(page *p, const plot_frame *f, double low, double gbps, double gflops,
                             bool highest)
{
    double ridge = gflops / gbps, middle = sqrt(low * ridge);
    double x = plot_at(&f->x, middle), y = plot_at(&f->y, middle * gbps);
    double slope = atan2(plot_at(&f->y, gflops) - y, plot_at(&f->x, ridge) - x) * 180 / M_PI;
    page_format(p,
                "<text class=\"note\" text-anchor=\"middle\" transform=\"translate(%.1f %.1f) "
                "rotate(%.1f)\" dy=\"-6\">%s %.3g GB/s</text>\n",
                x, y, slope, highest ? "cache" : "memory", gbps);
    if (!highest)
        page_format(p,
                    "<text class=\"note\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">multiply-adds "
                    "%.3g GFLOP/s</text>\n",
                    f->x.to - 6, plot_at(&f->y, gflops) - 7, gflops);
}

/* Slanted up to where the multiply-adds bind, then flat. */
static void print_roof(page *p, const plot_frame *f, const result_peak *peak, bool highest,
                       bool names, size_t series)
{
    double gbps = bandwidth(peak, highest), gflops = peak->fma[peak->best_fma].gflops;
    double ridge = gflops / gbps;
    double low = fmax(f->x.low, f->y.low / gbps);
    if (!isfinite(ridge) || low >= ridge)
        return;
    page_format(p, "<polyline class=\"roof s%zu%s\" points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\"/>\n",
                series, highest ? " dashed" : "", plot_at(&f->x, low), plot_at(&f->y, low * gbps),
                plot_at(&f->x, ridge), plot_at(&f->y, gflops), plot_at(&f->x, f->x.high),
                plot_at(&f->y, gflops));
    if (names)
        print_roof_names(p, f, low, gbps, gflops, highest);
}

static void print_roofs(page *p, const plot_frame *f, const result *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (results[i].peak.fma_count == 0)
            continue;
        print_roof(p, f, &results[i].peak, true, count == 1, i);
        print_roof(p, f, &results[i].peak, false, count == 1, i);
    }
}

/* Where names have been written; a name that would run into another one is left out. */
typedef struct labels {
    size_t count;
    double x[MAX_LABELS], y[MAX_LABELS];
    const char *ops[MAX_LABELS];
} labels;

static bool take_label(labels *l, const char *op, double x, double y)
{
    for (size_t i = 0; i < l->count; i++)
        if (strcmp(l->ops[i], op) == 0 || (fabs(l->x[i] - x) < 90 && fabs(l->y[i] - y) < 14))
            return false;
    if (l->count == MAX_LABELS)
        return false;
    l->x[l->count] = x;
    l->y[l->count] = y;
    l->ops[l->count++] = op;
    return true;
}

static void print_points(page *p, const plot_frame *f, const result *r, size_t series, labels *l)
{
    for (size_t i = 0; i < r->row_count; i++) {
        const result_row *row = &r->rows[i];
        if (!has_point(row))
            continue;
        double x = plot_at(&f->x, intensity(row)), y = plot_at(&f->y, row_gflops(row));
        page_format(p, "<circle class=\"point s%zu%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\">", series,
                    row->ceiling.bound == BOUND_LAUNCH ? " hollow" : "", x, y);
        plot_row_title(p, row);
        page_format(p, "</circle>\n");
        bool left = x > f->x.to - 90;
        if (take_label(l, row->op, x, y)) {
            page_format(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">",
                        x + (left ? -8 : 8), y + 4, left ? "end" : "start");
            page_text(p, row->op);
            page_format(p, "</text>\n");
        }
    }
}

void plot_roofline(page *p, const result *results, size_t count)
{
    range x = {0.1, 100}, y = {INFINITY, 0};
    labels l = {.count = 0};
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        const result_peak *peak = &results[i].peak;
        for (size_t j = 0; j < results[i].row_count; j++) {
            const result_row *row = &results[i].rows[j];
            any = any || has_point(row);
            widen(&x, has_point(row) ? intensity(row) : NAN);
            widen(&y, has_point(row) ? row_gflops(row) : NAN);
        }
        widen(&y, peak->fma_count ? peak->fma[peak->best_fma].gflops * 1.2 : NAN);
    }
    if (!any)
        return;
    const plot_frame f = {WIDTH, HEIGHT, plot_decades(x.low, x.high, LEFT, RIGHT),
                          plot_decades(y.low, y.high, BOTTOM, TOP)};
    plot_begin(p, WIDTH, HEIGHT, "Roofline: rate against arithmetic intensity");
    plot_axes(p, &f, "operations per byte", "GFLOP/s");
    print_roofs(p, &f, results, count);
    for (size_t i = 0; i < count; i++)
        print_points(p, &f, &results[i], i, &l);
    plot_end(p);
}
