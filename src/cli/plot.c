/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plot.h"

#include <math.h>

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

void plot_begin(page *p, double height, const char *what)
{
    page_format(p, "<svg height=\"%.0f\" role=\"img\" aria-label=\"", height);
    page_text(p, what);
    page_format(p, "\">\n");
}

void plot_end(page *p)
{
    page_format(p, "</svg>\n");
}

void plot_line(page *p, const plot_frame *f, double x1, double y1, double x2, double y2)
{
    page_format(p, "<line x1=\"%.2f%%\" y1=\"%.1f\" x2=\"%.2f%%\" y2=\"%.1f\"/>",
                plot_at(&f->x, x1), plot_at(&f->y, y1), plot_at(&f->x, x2), plot_at(&f->y, y2));
}

void plot_x_line(page *p, const plot_frame *f, double value)
{
    page_format(p, "<g class=\"grid\">");
    plot_line(p, f, value, f->y.low, value, f->y.high);
    page_format(p, "</g>\n");
}

void plot_x_tick(page *p, const plot_frame *f, double value, const char *style, const char *name)
{
    page_format(p,
                "<text class=\"tick%s\" x=\"%.2f%%\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                style, plot_at(&f->x, value), f->y.from + 18, name);
}

void plot_y_line(page *p, const plot_frame *f, double value, const char *name)
{
    page_format(p, "<g class=\"grid\">");
    plot_line(p, f, f->x.low, value, f->x.high, value);
    page_format(p, "</g><text class=\"tick\" x=\"-8\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                plot_at(&f->y, value) + 4, name);
}

void plot_axis_names(page *p, const plot_frame *f, const char *x_name, const char *y_name)
{
    page_format(p, "<text class=\"axis\" x=\"50%%\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n",
                f->y.from + 40, x_name);
    page_format(p,
                "<text class=\"axis\" text-anchor=\"middle\" transform=\"translate(-44 %.1f) "
                "rotate(-90)\">%s</text>\n",
                (f->y.from + f->y.to) / 2, y_name);
}
