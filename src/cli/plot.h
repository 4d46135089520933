/* SPDX-License-Identifier: Apache-2.0 */
/* Plots as parts of a page: inline SVG, and bars as boxes of HTML. They are as wide as the page, so
 * x is in percent and y in pixels: on a telephone, marks move together and text keeps its size.
 * Colours are CSS variables of page.css, so that they follow light and dark. */
#ifndef ZM_SRC_CLI_PLOT_H
#define ZM_SRC_CLI_PLOT_H

#include "cli/page.h"

/* As many colours as there are in page.css. */
#define PLOT_SERIES 6

/* Values to pixels or percent. */
typedef struct plot_scale {
    double low, high; /* values */
    double from, to;
    bool logarithmic;
} plot_scale;

double plot_at(const plot_scale *scale, double value);

/* The area between the axes; x grows to the right, y upwards. */
typedef struct plot_frame {
    plot_scale x, y;
} plot_frame;

/* The decades that hold low .. high. */
plot_scale plot_decades(double low, double high, double from, double to);

void plot_begin(page *p, double height, const char *what);
void plot_end(page *p);
/* Lines through the area, up and across, with what stands at their ends: markup. */
void plot_x_line(page *p, const plot_frame *frame, double value);
void plot_x_tick(page *p, const plot_frame *frame, double value, const char *style,
                 const char *name);
void plot_y_line(page *p, const plot_frame *frame, double value, const char *name);
void plot_axis_names(page *p, const plot_frame *frame, const char *x_name, const char *y_name);
/* A line between two points of the area. */
void plot_line(page *p, const plot_frame *frame, double x1, double y1, double x2, double y2);

#endif
