/* SPDX-License-Identifier: Apache-2.0 */
#include "check/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"

double zm_relative_l2(double error, double norm)
{
    if (error == 0 && isfinite(norm))
        return 0;
    double relative = sqrt(error) / sqrt(norm);
    return isfinite(relative) ? relative : INFINITY;
}

double zm_comparison_worst(const zm_comparison *item)
{
    return zm_relative_l2(item->worst, item->norm / item->seen);
}

uint32_t zm_comparison_channel(const zm_comparison *item)
{
    uint32_t worst = 0;
    for (uint32_t i = 1; i < item->cols; i++)
        if (item->errors[i] > item->errors[worst])
            worst = i;
    return worst;
}

static zm_comparison *find(const zm_compare *compare, const char *what, uint32_t layer)
{
    for (size_t i = 0; i < compare->count; i++) {
        zm_comparison *item = &compare->items[i];
        if (item->layer == layer && strcmp(item->what, what) == 0)
            return item;
    }
    return NULL;
}

const zm_comparison *zm_compare_find(const zm_compare *compare, const char *what, uint32_t layer)
{
    return find(compare, what, layer);
}

/* Only norms read the main branch, and its mean is what a conversion takes out. */
static bool is_branch(const char *what)
{
    return strcmp(what, "encoder.output") != 0 && strcmp(what, "logits") != 0;
}

static zm_comparison *add(zm_compare *compare, const zm_observation *observation)
{
    void *items = compare->items;
    if (!zm_array_reserve(&items, &compare->capacity, compare->count + 1, sizeof(zm_comparison)))
        return NULL;
    compare->items = items;
    zm_comparison *item = &compare->items[compare->count++];
    *item = (zm_comparison){.layer = observation->layer,
                            .branch = is_branch(observation->what),
                            .cols = observation->cols,
                            .errors = zm_calloc(observation->cols, sizeof(double))};
    snprintf(item->what, sizeof(item->what), "%s", observation->what);
    return item;
}

/* The vector of mean zero that the d - 1 elements of a row stand for. */
static void widen_row(zm_norm norm, double *row, uint32_t d)
{
    double sum = 0, root = sqrt(d);
    for (uint32_t i = 0; i + 1 < d; i++)
        sum += row[i];
    for (uint32_t i = 0; i + 1 < d && norm == ZM_NORM_ORTHO; i++)
        row[i] -= sum / (d - root);
    row[d - 1] = norm == ZM_NORM_ORTHO ? sum / root : -sum;
}

static void widen(zm_norm norm, const zm_comparison *item, double *rows)
{
    if (!item->branch || (norm != ZM_NORM_CRMS && norm != ZM_NORM_ORTHO))
        return;
    for (uint32_t row = 0; row < item->rows; row++)
        widen_row(norm, rows + (size_t)row * item->cols, item->cols);
}

void zm_compare_keep(void *user, const zm_observation *observation)
{
    zm_compare *compare = user;
    if (compare->over || compare->status != ZM_OK)
        return;
    zm_comparison *item = find(compare, observation->what, observation->layer);
    if (!item)
        item = add(compare, observation);
    size_t count = (size_t)observation->rows * observation->cols;
    if (item && item->cols != observation->cols) {
        compare->status = ZM_ERROR_INVALID_ARGUMENT;
        return;
    }
    double *kept =
        item && item->errors ? realloc(item->kept, (count ? count : 1) * sizeof(double)) : NULL;
    if (!kept) {
        compare->status = ZM_ERROR_OUT_OF_MEMORY;
        return;
    }
    memcpy(kept, observation->data, count * sizeof(double));
    item->kept = kept;
    item->rows = observation->rows;
    widen(compare->norm_a, item, item->kept);
}

static double mean(const double *row, uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += row[i];
    return count ? sum / count : 0;
}

static void compare_row(zm_comparison *item, bool centred, const double *a, const double *b,
                        double *error, double *norm)
{
    uint32_t cols = item->cols;
    double means[] = {mean(a, cols), mean(b, cols)};
    double a_mean = centred ? means[0] : 0, b_mean = centred ? means[1] : 0;
    item->means[0] += means[0] * means[0];
    item->means[1] += means[1] * means[1];
    item->row_count++;
    for (uint32_t i = 0; i < cols; i++) {
        double value = a[i] - a_mean, difference = value - (b[i] - b_mean);
        item->squares[0] += a[i] * a[i];
        item->squares[1] += b[i] * b[i];
        *error += difference * difference;
        item->errors[i] += isnan(difference) ? INFINITY : difference * difference;
        *norm += value * value;
        if (!(fabs(difference) <= item->max_abs)) /* NaN counts as the largest */
            item->max_abs = isfinite(difference) ? fabs(difference) : INFINITY;
    }
}

void zm_compare_match(void *user, const zm_observation *observation)
{
    zm_compare *compare = user;
    if (compare->over || compare->status != ZM_OK)
        return;
    zm_comparison *item = find(compare, observation->what, observation->layer);
    if (!item || !item->kept || item->rows != observation->rows ||
        item->cols != observation->cols) {
        compare->status = ZM_ERROR_INVALID_ARGUMENT;
        return;
    }
    size_t count = (size_t)item->rows * item->cols;
    double error = 0, norm = 0, *shown = malloc((count ? count : 1) * sizeof(double));
    if (!shown) {
        compare->status = ZM_ERROR_OUT_OF_MEMORY;
        return;
    }
    memcpy(shown, observation->data, count * sizeof(double));
    widen(compare->norm_b, item, shown);
    for (uint32_t row = 0; row < item->rows; row++) {
        size_t first = (size_t)row * item->cols;
        compare_row(item, item->branch && !compare->mean_counts, item->kept + first, shown + first,
                    &error, &norm);
    }
    free(shown);
    item->error += error;
    item->norm += norm;
    item->seen++;
    if (!(error <= item->worst))
        item->worst = isnan(error) ? INFINITY : error;
    free(item->kept);
    item->kept = NULL;
}

void zm_compare_finish(zm_compare *compare)
{
    for (size_t i = 0; i < compare->count; i++) {
        free(compare->items[i].kept);
        free(compare->items[i].errors);
    }
    free(compare->items);
    *compare = (zm_compare){0};
}
