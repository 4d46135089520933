/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "plots.h"
#include "print.h"

#define HEIGHT 260.0
#define LEAST_POINTS 4 /* fewer are no curve */
#define STEPS 4        /* of the axis of rates */

/* The next stream of one kind at or after index; NULL = there is none. */
static const peak_stream *next_stream(const result_peak *peak, bool copy, size_t *index)
{
    while (*index < peak->stream_count) {
        const peak_stream *s = &peak->streams[(*index)++];
        if (s->copy == copy)
            return s;
    }
    return NULL;
}

static size_t count_points(const result_peak *peak, bool copy)
{
    size_t count = 0, index = 0;
    while (next_stream(peak, copy, &index))
        count++;
    return count;
}

static void print_points(page *p, const plot_frame *f, const result_peak *peak, bool copy,
                         size_t series)
{
    const peak_stream *s;
    char size[PRINT_DURATION];
    size_t index = 0;
    while ((s = next_stream(peak, copy, &index)) != NULL)
        page_format(p,
                    "<circle class=\"point s%zu\" cx=\"%.2f%%\" cy=\"%.1f\" r=\"3.5\"><title>%s "
                    "%s: %.3g GB/s</title></circle>\n",
                    series, plot_at(&f->x, s->bytes), plot_at(&f->y, s->gbps),
                    copy ? "copy" : "read", print_bytes(s->bytes, size), s->gbps);
}

static void print_curve(page *p, const plot_frame *f, const result_peak *peak, bool copy,
                        size_t series)
{
    size_t index = 0;
    const peak_stream *from = next_stream(peak, copy, &index), *to;
    page_format(p, "<g class=\"curve s%zu%s\">", series, copy ? "" : " dashed");
    while ((to = next_stream(peak, copy, &index)) != NULL) {
        plot_line(p, f, from->bytes, from->gbps, to->bytes, to->gbps);
        from = to;
    }
    page_format(p, "</g>\n");
    print_points(p, f, peak, copy, series);
}

static void print_axes(page *p, const plot_frame *f)
{
    char text[PRINT_DURATION];
    int i = 0;
    for (double bytes = f->x.low; bytes <= f->x.high * 1.001; bytes *= 4, i++) {
        plot_x_line(p, f, bytes);
        plot_x_tick(p, f, bytes, i % 2 ? " wide" : "", print_bytes(bytes, text));
    }
    for (i = 0; i <= STEPS; i++) {
        snprintf(text, sizeof(text), "%g", i * f->y.high / STEPS);
        plot_y_line(p, f, i * f->y.high / STEPS, text);
    }
    plot_axis_names(p, f, "bytes of all buffers", "GB/s");
}

/* The steps are round numbers. */
static double round_up(double value)
{
    double unit = pow(10, floor(log10(value))) / 5;
    return ceil(value / unit / STEPS) * unit * STEPS;
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
    if (!(high > low && low > 0) || !(most > 0))
        return;
    const plot_frame f = {{low, high, 0, 100, true}, {0, round_up(most), HEIGHT, 0, false}};
    plot_begin(p, HEIGHT, "Bandwidth against size");
    print_axes(p, &f);
    for (size_t i = 0; i < count; i++)
        for (int copy = 0; copy < 2; copy++)
            if (count_points(&results[i].peak, copy) >= LEAST_POINTS)
                print_curve(p, &f, &results[i].peak, copy, i);
    plot_end(p);
}
