/* SPDX-License-Identifier: Apache-2.0 */
#include "plots.h"

#include "print.h"

void plot_row_title(page *p, const result_row *row)
{
    char time[PRINT_DURATION];
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
    if (row->time.noisy)
        page_format(p, ", noisy");
}
