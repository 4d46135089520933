/* SPDX-License-Identifier: Apache-2.0 */
/* Plots as inline SVG. Colours are CSS variables of report.css, so that they follow light and
 * dark. */
#ifndef ZM_BENCH_PLOT_H
#define ZM_BENCH_PLOT_H

#include "page.h"
#include "result.h"

/* As many colours as there are in report.css. */
#define PLOT_SERIES 6

/* Values to pixels. */
typedef struct plot_scale {
    double low, high; /* values */
    double from, to;  /* pixels */
    bool logarithmic;
} plot_scale;

double plot_at(const plot_scale *scale, double value);

/* The area between the axes; x grows to the right, y upwards. */
typedef struct plot_frame {
    double width, height; /* of the picture */
    plot_scale x, y;
} plot_frame;

void plot_begin(page *p, double width, double height, const char *what);
void plot_end(page *p);
/* Grid lines and numbers at 1, 10, 100, ... of the axes, and what they are of. */
void plot_axes(page *p, const plot_frame *frame, const char *x_name, const char *y_name);

/* The decades that hold low .. high. */
plot_scale plot_decades(double low, double high, double from, double to);

/* "#m=512,..." in words for a person who points at a mark. */
void plot_row_title(page *p, const result_row *row);

/* ---- the plots; one result is one colour ---- */

/* Rate against intensity, under the ceilings. Nothing when there are no rows to show. */
void plot_roofline(page *p, const result *results, size_t count);
/* How much of its ceiling each row of one op reaches. */
void plot_bars(page *p, const result *results, size_t count, const char *op);
/* Ratios of A/B rows with their intervals. */
void plot_versus(page *p, const result *results, size_t count);
/* Bandwidth against size. */
void plot_memory(page *p, const result *results, size_t count);

#endif
