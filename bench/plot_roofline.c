/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots.h"

#define HEIGHT 380.0
#define WIDE 880.0   /* pixels of the area, at least, where page.css shows names of class wide */
#define NARROW 270.0 /* ... and of class narrow: 360 px of a telephone, less the margins */
#define RADIUS 4.5
#define LETTER 6.8 /* pixels that a letter takes at most, roughly */
#define LINE 14.0
#define MAX_LABELS 64
#define MAX_BOXES 1024
#define MAX_ROOFS (2 * PLOT_SERIES)

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

/* ---- roofs ---- */

typedef struct roof {
    double gbps, gflops, ridge, low; /* low: intensity where it enters the area */
} roof;

static bool find_roof(const plot_frame *f, const result_peak *peak, bool highest, roof *out)
{
    if (peak->fma_count == 0)
        return false;
    out->gbps = bandwidth(peak, highest);
    out->gflops = peak->fma[peak->best_fma].gflops;
    out->ridge = out->gflops / out->gbps;
    out->low = fmax(f->x.low, f->y.low / out->gbps);
    return isfinite(out->ridge) && out->low < out->ridge;
}

/* Slanted up to where the multiply-adds bind, then flat. */
static void print_roof(page *p, const plot_frame *f, const roof *r, bool highest, size_t series)
{
    page_format(p, "<g class=\"roof s%zu%s\">", series, highest ? " dashed" : "");
    plot_line(p, f, r->low, r->low * r->gbps, r->ridge, r->gflops);
    plot_line(p, f, r->ridge, r->gflops, f->x.high, r->gflops);
    page_format(p, "</g>\n");
}

/* ---- names, where nothing else is ---- */

typedef struct box {
    double left, right, top, bottom;
} box;

/* What is taken, in an area of one width. */
typedef struct labels {
    double width;
    const char *style;
    const plot_frame *frame;
    size_t box_count, op_count, roof_count;
    box boxes[MAX_BOXES];
    roof roofs[MAX_ROOFS];
    const char *ops[MAX_LABELS];
} labels;

typedef struct label {
    double x, y; /* percent, pixels */
    double dx;
    const char *anchor;
} label;

static box box_of(const labels *l, const label *at, const char *text)
{
    double length = LETTER * (double)strlen(text), x = at->x / 100 * l->width + at->dx;
    double left = at->anchor[0] == 's' ? x : at->anchor[0] == 'e' ? x - length : x - length / 2;
    return (box){left, left + length, at->y - LINE + 3, at->y + 3};
}

/* Pixels from the top; it never falls to the right. */
static double roof_at(const labels *l, const roof *r, double x)
{
    const plot_scale *s = &l->frame->x;
    double value = s->low * pow(s->high / s->low, x / l->width);
    return plot_at(&l->frame->y, fmin(value * r->gbps, r->gflops));
}

static bool is_free(const labels *l, const box *b)
{
    for (size_t i = 0; i < l->roof_count; i++)
        if (roof_at(l, &l->roofs[i], b->right) < b->bottom &&
            roof_at(l, &l->roofs[i], b->left) > b->top)
            return false;
    if (b->left < 0 || b->right > l->width || b->top < 0 || b->bottom > HEIGHT)
        return false;
    for (size_t i = 0; i < l->box_count; i++) {
        const box *other = &l->boxes[i];
        if (b->left < other->right && b->right > other->left && b->top < other->bottom &&
            b->bottom > other->top)
            return false;
    }
    return true;
}

static bool print_label(page *p, labels *l, const label *at, const char *kind, const char *text)
{
    box b = box_of(l, at, text);
    if (!is_free(l, &b))
        return false;
    if (l->box_count < MAX_BOXES)
        l->boxes[l->box_count++] = b;
    page_format(p, "<text class=\"%s%s\" x=\"%.2f%%\" y=\"%.1f\" dx=\"%.0f\" text-anchor=\"%s\">",
                kind, l->style, at->x, at->y, at->dx, at->anchor);
    page_text(p, text);
    page_format(p, "</text>\n");
    return true;
}

static bool has_label(const labels *l, const char *op)
{
    for (size_t i = 0; i < l->op_count; i++)
        if (strcmp(l->ops[i], op) == 0)
            return true;
    return l->op_count == MAX_LABELS;
}

/* One name per op, beside the first of its points that has room; perhaps none. */
static void print_op_label(page *p, const plot_frame *f, const result_row *row, labels *l)
{
    double x = plot_at(&f->x, intensity(row)), y = plot_at(&f->y, row_gflops(row));
    const label places[] = {{x, y + 4, 8, "start"},
                            {x, y + 4, -8, "end"},
                            {x, y - 9, 0, "middle"},
                            {x, y + 18, 0, "middle"}};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && !has_label(l, row->op); i++)
        if (print_label(p, l, &places[i], "label", row->op))
            l->ops[l->op_count++] = row->op;
}

/* Under the slant, near its foot; and over the left end of what is flat. */
static void print_roof_names(page *p, const plot_frame *f, const roof *r, bool highest, labels *l)
{
    char text[48];
    double foot = r->low;
    while (plot_at(&f->y, foot * r->gbps) > HEIGHT - 28)
        foot *= 1.05;
    const label at = {plot_at(&f->x, foot), plot_at(&f->y, foot * r->gbps) + 16, 8, "start"};
    snprintf(text, sizeof(text), "%s %.3g GB/s", highest ? "cache" : "memory", r->gbps);
    print_label(p, l, &at, "note", text);
    if (!highest)
        return;
    double ridge = plot_at(&f->x, r->ridge);
    const label flat = {ridge, plot_at(&f->y, r->gflops) - 8, 0, ridge > 50 ? "end" : "start"};
    snprintf(text, sizeof(text), "multiply-adds %.3g GFLOP/s", r->gflops);
    print_label(p, l, &flat, "note", text);
}

static void print_roofs(page *p, const plot_frame *f, const result *results, size_t count)
{
    roof r;
    for (size_t i = 0; i < count; i++)
        for (int highest = 1; highest >= 0; highest--)
            if (find_roof(f, &results[i].peak, highest, &r))
                print_roof(p, f, &r, highest, i);
}

/* ---- all of it ---- */

static void print_points(page *p, const plot_frame *f, const result *r, size_t series)
{
    for (size_t i = 0; i < r->row_count; i++) {
        const result_row *row = &r->rows[i];
        if (!has_point(row))
            continue;
        page_format(p,
                    "<circle class=\"point s%zu%s\" cx=\"%.2f%%\" cy=\"%.1f\" r=\"%.1f\"><title>",
                    series, row->ceiling.bound == BOUND_LAUNCH ? " hollow" : "",
                    plot_at(&f->x, intensity(row)), plot_at(&f->y, row_gflops(row)), RADIUS);
        plot_row_title(p, row);
        page_format(p, "</title></circle>\n");
    }
}

static void take_points(const plot_frame *f, const result *r, labels *l)
{
    for (size_t i = 0; i < r->row_count; i++) {
        const result_row *row = &r->rows[i];
        if (!has_point(row))
            continue;
        double x = plot_at(&f->x, intensity(row)) / 100 * l->width;
        double y = plot_at(&f->y, row_gflops(row));
        if (l->box_count < MAX_BOXES)
            l->boxes[l->box_count++] = (box){x - RADIUS, x + RADIUS, y - RADIUS, y + RADIUS};
    }
}

/* Ceilings have names when there is only one result: more would lie on each other. */
static void print_labels(page *p, const plot_frame *f, const result *results, size_t count,
                         double width, const char *style)
{
    labels l = {.width = width, .style = style, .frame = f};
    for (size_t i = 0; i < count; i++) {
        take_points(f, &results[i], &l);
        for (int highest = 0; highest < 2; highest++)
            l.roof_count += find_roof(f, &results[i].peak, highest, &l.roofs[l.roof_count]);
    }
    for (size_t i = 0; i < l.roof_count && count == 1; i++)
        print_roof_names(p, f, &l.roofs[i], i > 0, &l);
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < results[i].row_count; j++)
            if (has_point(&results[i].rows[j]))
                print_op_label(p, f, &results[i].rows[j], &l);
}

static void print_axes(page *p, const plot_frame *f)
{
    char text[80];
    for (double value = f->x.low; value <= f->x.high * 1.001; value *= 10) {
        snprintf(text, sizeof(text), "%g", value);
        plot_x_line(p, f, value);
        plot_x_tick(p, f, value, "", text);
    }
    for (double value = f->y.low; value <= f->y.high * 1.001; value *= 10) {
        snprintf(text, sizeof(text), "%g", value);
        plot_y_line(p, f, value, text);
    }
    plot_axis_names(p, f, "operations per byte", "GFLOP/s");
}

void plot_roofline(page *p, const result *results, size_t count)
{
    range x = {0.1, 100}, y = {INFINITY, 0};
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
    const plot_frame f = {plot_decades(x.low, x.high, 0, 100),
                          plot_decades(y.low, y.high, HEIGHT, 0)};
    plot_begin(p, HEIGHT, "Roofline: rate against arithmetic intensity");
    print_axes(p, &f);
    print_roofs(p, &f, results, count);
    for (size_t i = 0; i < count; i++)
        print_points(p, &f, &results[i], i);
    print_labels(p, &f, results, count, WIDE, " wide");
    print_labels(p, &f, results, count, NARROW, " narrow");
    plot_end(p);
}
