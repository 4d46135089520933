/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/recentre.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/quant.h"

enum { PIECE = 4096 };

static void load(const zm_recentring *recentring, uint64_t first, uint64_t count, double *out)
{
    zm_quant_load(out, recentring->data, recentring->dtype, first, count);
}

/* sum += value, with what rounding loses kept in *carry (Knuth's exact two-sum). */
static void add_exactly(double *sum, double *carry, double value)
{
    double total = *sum + value;
    double part = total - *sum;
    *carry += (*sum - (total - part)) + (value - part);
    *sum = total;
}

/* Adds element i of every row to sum[i], or every element of row i to sum[i]. */
static void sum_elements(const zm_recentring *recentring, double *sum, double *carry)
{
    double piece[PIECE];
    uint64_t cols = recentring->cols;
    bool outputs = recentring->axis == ZM_RECENTRE_OUTPUTS;
    for (uint64_t row = 0; row < recentring->rows; row++) {
        for (uint64_t col = 0; col < cols; col += PIECE) {
            uint64_t count = cols - col < PIECE ? cols - col : PIECE;
            uint64_t slot = outputs ? col : row, step = outputs ? 1 : 0;
            load(recentring, row * cols + col, count, piece);
            for (uint64_t i = 0; i < count; i++)
                add_exactly(&sum[slot + i * step], &carry[slot + i * step], piece[i]);
        }
    }
}

static zm_status compute_means(zm_recentring *recentring)
{
    bool outputs = recentring->axis == ZM_RECENTRE_OUTPUTS;
    uint64_t means = outputs ? recentring->cols : recentring->rows;
    uint64_t terms = outputs ? recentring->rows : recentring->cols;
    if (means > SIZE_MAX / sizeof(double))
        return ZM_ERROR_OUT_OF_MEMORY;
    recentring->mean = zm_calloc((size_t)means, sizeof(double));
    double *carry = zm_calloc((size_t)means, sizeof(double));
    if (!recentring->mean || !carry) {
        free(carry);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    sum_elements(recentring, recentring->mean, carry);
    for (uint64_t i = 0; i < means; i++)
        recentring->mean[i] = (recentring->mean[i] + carry[i]) / (double)terms;
    free(carry);
    return ZM_OK;
}

zm_status zm_recentring_init(zm_recentring *out, const zm_model_tensor *tensor,
                             zm_recentre_axis axis)
{
    *out = (zm_recentring){.data = tensor->data, .dtype = tensor->dtype, .axis = axis};
    if (!zm_quant_can_decode(tensor->dtype))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (axis == ZM_RECENTRE_NONE || tensor->elements == 0)
        return ZM_OK;
    if (tensor->rank == 0)
        return ZM_ERROR_INVALID_ARGUMENT;
    if (axis == ZM_RECENTRE_OUTPUTS) {
        out->rows = tensor->shape[0];
        out->cols = tensor->elements / out->rows;
    } else {
        out->cols = tensor->shape[tensor->rank - 1];
        out->rows = tensor->elements / out->cols;
    }
    zm_status status = compute_means(out);
    if (status)
        zm_recentring_finish(out);
    return status;
}

void zm_recentring_finish(zm_recentring *recentring)
{
    free(recentring->mean);
    recentring->mean = NULL;
}

void zm_recentring_read(const zm_recentring *recentring, uint64_t first, uint64_t count,
                        double *out)
{
    load(recentring, first, count, out);
    if (!recentring->mean)
        return;
    uint64_t row = first / recentring->cols, col = first % recentring->cols;
    for (uint64_t i = 0; i < count; i++) {
        out[i] -= recentring->mean[recentring->axis == ZM_RECENTRE_OUTPUTS ? col : row];
        if (++col == recentring->cols) {
            col = 0;
            row++;
        }
    }
}
