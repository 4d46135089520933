/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "plot.h"
#include "print.h"

#define WIDTH 900.0
#define HEIGHT 320.0
#define LEFT 70.0
#define RIGHT 850.0
#define TOP 14.0
#define BOTTOM 270.0
#define LEAST_POINTS 4 /* fewer are no curve */

static size_t count_points(const result_peak *peak, bool copy)
{
    size_t count = 0;
    for (size_t i = 0; i < peak->stream_count; i++)
        count += peak->streams[i].copy == copy;
    return count;
}

static void print_curve(page *p, const plot_frame *f, const result_peak *peak, bool copy,
                        size_t series)
{
    bool named = false;
    char size[PRINT_DURATION];
    page_format(p, "<polyline class=\"curve s%zu%s\" points=\"", series, copy ? "" : " dashed");
    for (size_t i = 0; i < peak->stream_count; i++) {
        const peak_stream *s = &peak->streams[i];
        if (s->copy != copy)
            continue;
        page_format(p, "%.1f,%.1f ", plot_at(&f->x, s->bytes), plot_at(&f->y, s->gbps));
    }
    page_format(p, "\"/>\n");
    for (size_t i = 0; i < peak->stream_count; i++) {
        const peak_stream *s = &peak->streams[i];
        double x = plot_at(&f->x, s->bytes), y = plot_at(&f->y, s->gbps);
        if (s->copy != copy)
            continue;
        page_format(p,
                    "<circle class=\"point s%zu\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"><title>%s "
                    "%s: %.3g GB/s</title></circle>\n",
                    series, x, y, copy ? "copy" : "read", print_bytes(s->bytes, size), s->gbps);
        if (!named)
            page_format(p, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", x + 8, y - 8,
                        copy ? "copy" : "read");
        named = true;
    }
}

static void print_sizes(page *p, const plot_frame *f)
{
    char size[PRINT_DURATION];
    for (double bytes = f->x.low; bytes <= f->x.high * 1.001; bytes *= 4) {
        double x = plot_at(&f->x, bytes);
        page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x,
                    x, f->y.from, f->y.to);
        page_format(p,
                    "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                    x, f->y.from + 18, print_bytes(bytes, size));
    }
}

static void print_rates(page *p, const plot_frame *f)
{
    double step = f->y.high / 4;
    for (int i = 0; i <= 4; i++) {
        double y = plot_at(&f->y, i * step);
        page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                    f->x.from, f->x.to, y, y);
        page_format(p, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
                    f->x.from - 8, y + 4, i * step);
    }
    page_format(p,
                "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(16 %.1f) "
                "rotate(-90)\">GB/s</text>\n",
                (f->y.from + f->y.to) / 2);
}

/* Four steps that are round numbers. */
static double round_up(double value)
{
    double unit = pow(10, floor(log10(value))) / 5;
    return ceil(value / unit / 4) * unit * 4;
}

void plot_memory(page *p, const result *results, size_t count)
{
    double low = INFINITY, high = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        const result_peak *peak = &results[i].peak;
        for (size_t j = 0; j < peak->stream_count; j++) {
            low = fmin(low, peak->streams[j].bytes);
            high = fmax(high, peak->streams[j].bytes);
            most = fmax(most, peak->streams[j].gbps);
        }
    }
    if (!(high > low) || !(most > 0))
        return;
    const plot_frame f = {
        WIDTH, HEIGHT, {low, high, LEFT, RIGHT, true}, {0, round_up(most), BOTTOM, TOP, false}};
    plot_begin(p, WIDTH, HEIGHT, "Bandwidth against size");
    print_sizes(p, &f);
    print_rates(p, &f);
    page_format(p,
                "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">bytes of all "
                "buffers</text>\n",
                (LEFT + RIGHT) / 2, BOTTOM + 38);
    for (size_t i = 0; i < count; i++)
        for (int copy = 0; copy < 2; copy++)
            if (count_points(&results[i].peak, copy) >= LEAST_POINTS)
                print_curve(p, &f, &results[i].peak, copy, i);
    plot_end(p);
}
