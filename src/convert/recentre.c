/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/recentre.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/compiler.h"
#include "common/quant.h"

enum { PIECE = 4096, LANES = 64 };

static void load(const zm_recentring *recentring, uint64_t first, uint64_t count, double *out)
{
    zm_quant_load(out, recentring->data, recentring->dtype, first, count);
}

/* sum[i] += value[i], with what rounding loses kept in carry[i] (Knuth's exact two-sum). */
ZM_VECTORISED
static void add_exactly(double *restrict sum, double *restrict carry, const double *restrict value,
                        uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double total = sum[i] + value[i];
        double part = total - sum[i];
        carry[i] += (sum[i] - (total - part)) + (value[i] - part);
        sum[i] = total;
    }
}

/* The same for one sum, in lanes that become vector code. */
static void add_all_exactly(double *sum, double *carry, const double *value, uint64_t count)
{
    double sums[LANES] = {0}, carries[LANES] = {0};
    for (uint64_t i = 0; i < count; i += LANES)
        add_exactly(sums, carries, value + i, count - i < LANES ? count - i : LANES);
    for (uint64_t i = 0; i < LANES; i++) {
        add_exactly(sum, carry, &sums[i], 1);
        *carry += carries[i];
    }
}

static uint64_t vector_count(const zm_recentring *recentring)
{
    return recentring->axis == ZM_RECENTRE_OUTPUTS ? recentring->cols : recentring->rows;
}

static uint64_t vector_length(const zm_recentring *recentring)
{
    return recentring->axis == ZM_RECENTRE_OUTPUTS ? recentring->rows : recentring->cols;
}

/* By the gains of these elements of a row. */
static void scale(const zm_recentring *recentring, uint64_t row, uint64_t col, uint64_t count,
                  double *values)
{
    const double *gain = recentring->gain;
    const bool outputs = recentring->axis == ZM_RECENTRE_OUTPUTS;
    for (uint64_t i = 0; gain && i < count; i++)
        values[i] *= gain[outputs ? row : col + i];
}

/* Sums of all vectors, and their last elements. */
static void sum_elements(const zm_recentring *recentring, double *sum, double *carry, double *last)
{
    double piece[PIECE];
    uint64_t cols = recentring->cols, length = vector_length(recentring);
    bool outputs = recentring->axis == ZM_RECENTRE_OUTPUTS;
    for (uint64_t row = 0; row < recentring->rows; row++) {
        for (uint64_t col = 0; col < cols; col += PIECE) {
            uint64_t count = cols - col < PIECE ? cols - col : PIECE;
            load(recentring, row * cols + col, count, piece);
            scale(recentring, row, col, count, piece);
            if (outputs)
                add_exactly(sum + col, carry + col, piece, count);
            else
                add_all_exactly(sum + row, carry + row, piece, count);
            if (outputs && row == length - 1)
                memcpy(last + col, piece, count * sizeof(double));
            else if (!outputs && col + count == length)
                last[row] = piece[count - 1];
        }
    }
}

static zm_status compute_means(zm_recentring *recentring)
{
    uint64_t count = vector_count(recentring), length = vector_length(recentring);
    const zm_vector_change *change = &recentring->change;
    if (count > SIZE_MAX / sizeof(double))
        return ZM_ERROR_OUT_OF_MEMORY;
    recentring->mean = zm_calloc((size_t)count, sizeof(double));
    recentring->offset = zm_calloc((size_t)count, sizeof(double));
    double *carry = zm_calloc((size_t)count, sizeof(double));
    if (!recentring->mean || !recentring->offset || !carry) {
        free(carry);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    sum_elements(recentring, recentring->mean, carry, recentring->offset);
    for (uint64_t i = 0; i < count; i++) {
        recentring->mean[i] = (recentring->mean[i] + carry[i]) / (double)length;
        recentring->offset[i] = change->mean * recentring->mean[i] +
                                (change->last != 0 ? change->last * recentring->offset[i] : 0);
    }
    free(carry);
    return ZM_OK;
}

static zm_status take_gain(zm_recentring *recentring, const zm_model_tensor *gain)
{
    if (!gain)
        return ZM_OK;
    if (gain->elements != vector_length(recentring) || !zm_quant_can_decode(gain->dtype))
        return ZM_ERROR_INVALID_ARGUMENT;
    recentring->gain = zm_calloc((size_t)gain->elements, sizeof(double));
    if (!recentring->gain)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_quant_load(recentring->gain, gain->data, gain->dtype, 0, gain->elements);
    return ZM_OK;
}

zm_status zm_recentring_init(zm_recentring *out, const zm_model_tensor *tensor,
                             zm_recentre_axis axis, const zm_vector_change *change,
                             const zm_model_tensor *gain)
{
    *out = (zm_recentring){.data = tensor->data, .dtype = tensor->dtype, .axis = axis};
    if (!zm_quant_can_decode(tensor->dtype))
        return ZM_ERROR_INVALID_ARGUMENT;
    if (axis == ZM_RECENTRE_NONE || tensor->elements == 0)
        return ZM_OK;
    if (tensor->rank == 0)
        return ZM_ERROR_INVALID_ARGUMENT;
    out->change = *change;
    if (axis == ZM_RECENTRE_OUTPUTS) {
        out->rows = tensor->shape[0];
        out->cols = tensor->elements / out->rows;
    } else {
        out->cols = tensor->shape[tensor->rank - 1];
        out->rows = tensor->elements / out->cols;
    }
    zm_status status = take_gain(out, gain);
    if (status == ZM_OK)
        status = compute_means(out);
    if (status)
        zm_recentring_finish(out);
    return status;
}

void zm_recentring_finish(zm_recentring *recentring)
{
    free(recentring->gain);
    free(recentring->mean);
    free(recentring->offset);
    recentring->gain = recentring->mean = recentring->offset = NULL;
}

static void add(double *restrict values, const double *restrict offsets, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] += offsets[i];
}

/* Elements of one row of the result, which are in the tensor. */
static void read_part(const zm_recentring *recentring, uint64_t row, uint64_t col, uint64_t count,
                      double *out)
{
    load(recentring, row * recentring->cols + col, count, out);
    scale(recentring, row, col, count, out);
    if (recentring->axis == ZM_RECENTRE_OUTPUTS)
        add(out, recentring->offset + col, count);
    else
        for (uint64_t i = 0; i < count; i++)
            out[i] += recentring->offset[row];
}

void zm_recentring_read(const zm_recentring *recentring, uint64_t first, uint64_t count,
                        double *out)
{
    if (!recentring->mean) {
        load(recentring, first, count, out);
        return;
    }
    const bool outputs = recentring->axis == ZM_RECENTRE_OUTPUTS;
    const uint64_t cols = recentring->cols + (uint64_t)(outputs ? 0 : recentring->change.more);
    while (count > 0) {
        uint64_t row = first / cols, col = first % cols, part = cols - col;
        bool appended = outputs ? row == recentring->rows : col == recentring->cols;
        if (!outputs && !appended && col + part > recentring->cols)
            part = recentring->cols - col; /* the appended one comes by itself */
        part = part < count ? part : count;
        for (uint64_t i = 0; appended && i < part; i++)
            out[i] = recentring->change.appended * recentring->mean[outputs ? col + i : row];
        if (!appended)
            read_part(recentring, row, col, part, out);
        first += part;
        out += part;
        count -= part;
    }
}

void zm_matrix_times(const zm_model_tensor *matrix, bool transposed, const double *vector,
                     double *sums)
{
    double piece[PIECE];
    const uint64_t cols = matrix->shape[matrix->rank - 1], rows = matrix->elements / cols;
    for (uint64_t row = 0; row < rows; row++) {
        for (uint64_t col = 0; col < cols; col += PIECE) {
            uint64_t count = cols - col < PIECE ? cols - col : PIECE;
            zm_quant_load(piece, matrix->data, matrix->dtype, row * cols + col, count);
            for (uint64_t i = 0; i < count; i++) {
                if (transposed)
                    sums[col + i] += vector[row] * piece[i];
                else
                    sums[row] += vector[col + i] * piece[i];
            }
        }
    }
}
