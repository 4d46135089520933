/* SPDX-License-Identifier: Apache-2.0 */
/* The plots of results; one result is one colour. */
#ifndef ZM_BENCH_PLOTS_H
#define ZM_BENCH_PLOTS_H

#include "cli/plot.h"
#include "result.h"

/* "matmul m=512,..., 8 ms, ..." for a person who points at a mark. */
void plot_row_title(page *p, const result_row *row);

/* Rate against intensity, under the ceilings. Nothing when there are no rows to show. */
void plot_roofline(page *p, const result *results, size_t count);
/* How much of its ceiling each row of one op reaches. */
void plot_bars(page *p, const result *results, size_t count, const char *op);
/* Ratios of A/B rows with their intervals. */
void plot_versus(page *p, const result *results, size_t count);
/* Bandwidth against size. */
void plot_memory(page *p, const result *results, size_t count);

#endif
