/* SPDX-License-Identifier: Apache-2.0 */
/* A block of weights, OUTPUTS wide and DEPTH deep, is turned into doubles [k][output]; then each of
 * up to ROWS rows of x runs over it with one sum per output, so that the inner loop is as wide as
 * the machine likes while every sum still adds its products in the order of k. */
#include "ref/linear.h"

#include <math.h>
#include <string.h>

#include "common/compiler.h"
#include "common/half.h"
#include "ref/ref.h"

#define OUTPUTS ZM_REF_OUTPUTS
#define DEPTH 64
#define ROWS 32

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Elements k0 .. k0+depth-1 of the outputs o0 .. o0+outputs-1. */
static void load_rows(const linear *l, size_t o0, size_t outputs, size_t k0, size_t depth,
                      double block[][OUTPUTS])
{
    const char *weight = l->weight;
    double line[DEPTH];
    for (size_t o = 0; o < outputs; ++o) {
        size_t first = l->weight_offset + (o0 + o) * l->k + k0;
        zm_convert_reals(line, ZM_F64, weight + first * zm_dtype_size(l->weight_type),
                         l->weight_type, depth);
        for (size_t k = 0; k < depth; ++k) {
            block[k][o] = line[k];
        }
    }
}

static void load_panels(const linear *l, size_t o0, size_t outputs, size_t k0, size_t depth,
                        double block[][OUTPUTS])
{
    for (size_t o = 0; o < outputs; ++o) {
        size_t panel = (o0 + o) / l->panel, lane = (o0 + o) % l->panel;
        for (size_t k = 0; k < depth; ++k) {
            size_t place = (panel * l->k + k0 + k) * l->panel + lane;
            block[k][o] = zm_load_real(l->weight, l->weight_type, l->weight_offset + place);
        }
    }
}

ZM_VECTORISED
static void add_products(double *restrict sums, const REAL *restrict x, size_t depth,
                         double block[restrict][OUTPUTS])
{
    double sum[OUTPUTS];
    memcpy(sum, sums, sizeof(sum));
    for (size_t k = 0; k < depth; ++k) {
        double value = x[k];
        for (size_t o = 0; o < OUTPUTS; ++o) {
            sum[o] += value * block[k][o];
        }
    }
    memcpy(sums, sum, sizeof(sum));
}

/* The part of k0 .. k0+depth-1 where row's window is inside x. */
static void add_row(const linear *l, size_t row, size_t k0, size_t depth, double *sums,
                    double block[][OUTPUTS])
{
    int64_t first = (int64_t)row * l->step - l->padding + (int64_t)k0;
    int64_t begin = first < 0 ? -first : 0;
    int64_t end = l->size - first < (int64_t)depth ? l->size - first : (int64_t)depth;
    if (begin < end) {
        add_products(sums, l->x + first + begin, (size_t)(end - begin), block + begin);
    }
}

/* Hendrycks and Gimpel 2016, exact; erfc keeps the digits of the negative tail. */
static double gelu(double x)
{
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}

static void write_row(const linear *l, size_t row, size_t o0, size_t outputs, const double *sums)
{
    for (size_t o = 0; o < outputs; ++o) {
        double value = sums[o];
        if (l->bias) {
            value += l->bias[o0 + o];
        }
        if (l->gelu) {
            value = gelu(value);
        }
        if (l->residual) {
            value += l->residual[row * l->residual_stride + o0 + o];
        }
        l->dst[row * l->dst_stride + o0 + o] = (REAL)value;
    }
}

/* Rows row0 .. row0+rows-1 of the outputs from o0 on. */
static void tile(const linear *l, size_t row0, size_t rows, size_t o0)
{
    double block[DEPTH][OUTPUTS] = {{0}};
    double sums[ROWS][OUTPUTS] = {{0}};
    size_t outputs = min_size(OUTPUTS, l->n - o0);
    for (size_t k0 = 0; k0 < l->k; k0 += DEPTH) {
        size_t depth = min_size(DEPTH, l->k - k0);
        (l->panel ? load_panels : load_rows)(l, o0, outputs, k0, depth, block);
        for (size_t r = 0; r < rows; ++r) {
            add_row(l, row0 + r, k0, depth, sums[r], block);
        }
    }
    for (size_t r = 0; r < rows; ++r) {
        write_row(l, row0 + r, o0, outputs, sums[r]);
    }
}

void ZM_REF(linear)(const linear *l, size_t begin, size_t end)
{
    while (begin < end) {
        size_t row = begin % l->rows;
        size_t rows = min_size(min_size(ROWS, l->rows - row), end - begin);
        tile(l, row, rows, begin / l->rows * OUTPUTS);
        begin += rows;
    }
}
