/* SPDX-License-Identifier: Apache-2.0 */
/* Medians of repeated timings and how sure they are, without assumptions about how timings are
 * spread: order statistics. */
#ifndef ZM_BENCH_STATS_H
#define ZM_BENCH_STATS_H

#include <stddef.h>

typedef struct stats_summary {
    size_t count; /* 0: the rest is NaN */
    double median;
    double low, high; /* of the median, 95 % confidence; with under 6 values all of them */
    double least;
    double spread; /* (third - first quartile) / median */
} stats_summary;

/* Sorts the values. */
stats_summary stats_summarize(double *values, size_t count);

/* How often x[i] / y[i]: pairs that were taken under the same conditions. scratch: count values. */
stats_summary stats_ratio(const double *x, const double *y, size_t count, double *scratch);

/* Rank r >= 1 so that the r-th smallest and the r-th largest of count values enclose the median
 * with 95 % confidence (binomial distribution); 1 when there are too few for that. */
size_t stats_rank(size_t count);

typedef enum stats_change { STATS_SAME = 0, STATS_FASTER, STATS_SLOWER } stats_change;

/* Is b, in seconds, another time than a? Only when the intervals don't touch, and the medians
 * differ by more than threshold (0.05 = 5 %), which stands for what differs between two runs. */
stats_change stats_compare(const stats_summary *a, const stats_summary *b, double threshold);

#endif
