/* SPDX-License-Identifier: Apache-2.0 */
#include "plot.h"

#include <math.h>
#include <stdio.h>

#include "print.h"

#define MOST_DECADES 12

double plot_at(const plot_scale *scale, double value)
{
    double part = scale->logarithmic ? log(value / scale->low) / log(scale->high / scale->low)
                                     : (value - scale->low) / (scale->high - scale->low);
    part = part < 0 ? 0 : part > 1 ? 1 : part;
    return scale->from + part * (scale->to - scale->from);
}

plot_scale plot_decades(double low, double high, double from, double to)
{
    double first = floor(log10(low)), last = ceil(log10(high));
    if (last <= first)
        last = first + 1;
    if (first < last - MOST_DECADES) /* outliers go to the edge */
        first = last - MOST_DECADES;
    return (plot_scale){pow(10, first), pow(10, last), from, to, true};
}

void plot_begin(page *p, double width, double height, const char *what)
{
    page_format(p, "<div class=\"plot\"><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
                width, height);
    page_text(p, what);
    page_format(p, "\">\n");
}

void plot_end(page *p)
{
    page_format(p, "</svg></div>\n");
}

/* "0.1", "1000": powers of ten as people write them. */
static void print_power(page *p, double value)
{
    if (value >= 1e6)
        page_format(p, "10<tspan dy=\"-5\" font-size=\"9\">%.0f</tspan>", log10(value));
    else
        page_format(p, "%g", value);
}

static void print_x_axis(page *p, const plot_frame *f, const char *name)
{
    for (double value = f->x.low; value <= f->x.high * 1.001; value *= 10) {
        double x = plot_at(&f->x, value);
        page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x,
                    x, f->y.from, f->y.to);
        page_format(p, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">", x,
                    f->y.from + 18);
        print_power(p, value);
        page_format(p, "</text>\n");
    }
    page_format(p, "<text class=\"axis\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                (f->x.from + f->x.to) / 2, f->y.from + 38, name);
}

static void print_y_axis(page *p, const plot_frame *f, const char *name)
{
    for (double value = f->y.low; value <= f->y.high * 1.001; value *= 10) {
        double y = plot_at(&f->y, value);
        page_format(p, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>",
                    f->x.from, f->x.to, y, y);
        page_format(p, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">",
                    f->x.from - 8, y + 4);
        print_power(p, value);
        page_format(p, "</text>\n");
    }
    page_format(p,
                "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(16 %.1f) "
                "rotate(-90)\">%s</text>\n",
                (f->y.from + f->y.to) / 2, name);
}

void plot_axes(page *p, const plot_frame *frame, const char *x_name, const char *y_name)
{
    print_x_axis(p, frame, x_name);
    print_y_axis(p, frame, y_name);
}

void plot_row_title(page *p, const result_row *row)
{
    char time[PRINT_DURATION];
    page_format(p, "<title>");
    page_text(p, row->op);
    page_format(p, " ");
    page_text(p, row->shape);
    page_format(p, ", ");
    page_text(p, row->type);
    page_format(p, "/");
    page_text(p, row->weight_type);
    page_format(p, ", ");
    page_text(p, row->kernel);
    page_format(p, ": %s, %.3g GFLOP/s, %.3g GB/s", print_duration(row->time.seconds.median, time),
                row_gflops(row), row_gbps(row));
    if (row->ceiling.bound != BOUND_UNKNOWN)
        page_format(p, ", %.1f %% of the ceiling (%s)", row->ceiling.percent,
                    ceiling_bound_name(row->ceiling.bound));
    page_format(p, "</title>");
}
