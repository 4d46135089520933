/* SPDX-License-Identifier: Apache-2.0 */
/* Two runs side by side: what the first one showed is kept until the second one shows it. */
#ifndef ZM_SRC_CHECK_COMPARE_H
#define ZM_SRC_CHECK_COMPARE_H

#include <zeromean/check.h>
#include <zeromean/session.h>

/* Sums over everything that was seen under one name and layer. */
typedef struct zm_comparison {
    char what[32];
    uint32_t layer;
    bool branch;    /* compared without the mean of each row */
    double error;   /* sum of |a - b|^2 */
    double norm;    /* sum of |a|^2 */
    double max_abs; /* of a - b */
    double worst;   /* the largest |a - b|^2 of one observation */
    uint32_t seen;  /* observations */
    double *kept;   /* the observation of a that waits for b's; NULL = none */
    uint32_t rows, cols;
    double *errors;              /* [cols]: sum of |a - b|^2 of each column */
    double means[2], squares[2]; /* of a and b: of the rows' means, of all values */
    uint64_t row_count;
} zm_comparison;

typedef struct zm_compare {
    bool over;        /* what is shown from now on is not looked at */
    bool mean_counts; /* the models read the mean of their main branch: it is compared as well */
    zm_norm norm_a, norm_b; /* those of d - 1 elements are shown with a zero behind them */
    zm_comparison *items;
    size_t count, capacity;
    zm_status status; /* the first error */
} zm_compare;

/* Observers of a and of b; user is the zm_compare. b must show what a showed, in any order. */
void zm_compare_keep(void *user, const zm_observation *observation);
void zm_compare_match(void *user, const zm_observation *observation);
void zm_compare_finish(zm_compare *compare);

/* |a - b| / |a| from the sums; infinity where it cannot be formed. */
double zm_relative_l2(double error, double norm);
/* The largest |a - b| against the root mean square of |a|: the common level of logits is free, so
 * that one step's norm may be small by chance and would make its error look large. */
double zm_comparison_worst(const zm_comparison *item);
/* The column that differs most. */
uint32_t zm_comparison_channel(const zm_comparison *item);
/* NULL when nothing was seen under that name. */
const zm_comparison *zm_compare_find(const zm_compare *compare, const char *what, uint32_t layer);

#endif
