/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

#define TAIL 0.025 /* on each side */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two neighbours where position is no whole number. */
static double quantile(const double *sorted, size_t count, double part)
{
    double position = part * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

size_t stats_rank(size_t count)
{
    /* P(fewer than r of count fair coins) <= TAIL, for the largest r; in logarithms, since
     * 2^-count is 0 soon. */
    double log_term = -(double)count * log(2), tail = 0;
    size_t rank = 0;
    while (rank < count / 2) {
        tail += exp(log_term);
        if (tail > TAIL)
            break;
        rank++;
        log_term += log((double)(count - rank + 1) / (double)rank);
    }
    return rank ? rank : 1;
}

stats_summary stats_summarize(double *values, size_t count)
{
    if (count == 0)
        return (stats_summary){0, NAN, NAN, NAN, NAN, NAN};
    qsort(values, count, sizeof(*values), ascending);
    size_t rank = stats_rank(count);
    double median = quantile(values, count, 0.5);
    return (stats_summary){
        .count = count,
        .median = median,
        .low = values[rank - 1],
        .high = values[count - rank],
        .least = values[0],
        .spread = (quantile(values, count, 0.75) - quantile(values, count, 0.25)) / median,
    };
}

stats_summary stats_ratio(const double *x, const double *y, size_t count, double *scratch)
{
    for (size_t i = 0; i < count; i++)
        scratch[i] = x[i] / y[i];
    return stats_summarize(scratch, count);
}

stats_change stats_compare(const stats_summary *a, const stats_summary *b, double threshold)
{
    if (b->low > a->high && b->median > a->median * (1 + threshold))
        return STATS_SLOWER;
    if (b->high < a->low && a->median > b->median * (1 + threshold))
        return STATS_FASTER;
    return STATS_SAME;
}
