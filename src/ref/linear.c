/* SPDX-License-Identifier: Apache-2.0 */
/* A block of weights, OUTPUTS wide and DEPTH deep, is turned into doubles [k][output]; then each of
 * up to ROWS rows of x runs over it with one sum per output, so that the inner loop is as wide as
 * the machine likes while every sum still adds its products in the order of k. */
#include "ref/linear.h"

#include <math.h>
#include <string.h>

#include "common/compiler.h"
#include "common/half.h"
#include "common/quant.h"
#include "ref/activation.h"
#include "ref/ref.h"

#define OUTPUTS ZM_REF_OUTPUTS
#define DEPTH 64
#define ROWS 32

typedef enum part { GATE = 0, UP } part; /* what is not gated has GATE rows only */

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where the weights of an output are. Gated: the first half of a panel is gate rows, the second
 * half the up rows of the same outputs; without panels they alternate. */
static size_t weight_row(const linear *l, size_t output, part p)
{
    size_t half = l->panel ? l->panel / 2 : 1;
    return l->gated ? output / half * 2 * half + p * half + output % half : output;
}

/* And where its bias and its column sum are: in the same order, but the last panel has no pads. */
static size_t bias_place(const linear *l, size_t output, part p)
{
    size_t half = l->panel ? l->panel / 2 : 1, first = output / half * half;
    size_t gates = min_size(half, l->n - first);
    return l->gated ? 2 * first + p * gates + output % half : output;
}

/* Elements k0 .. k0+depth-1 of a row of weights. */
static void load_weights(const linear *l, size_t row, size_t k0, size_t depth, double *line)
{
    if (l->panel == 0) {
        size_t first = l->weight_offset + row * l->weight_stride + k0;
        zm_quant_load(line, l->weight, l->weight_type, first, depth);
        return;
    }
    size_t panel = row / l->panel, lane = row % l->panel;
    for (size_t k = 0; k < depth; ++k) {
        size_t place = (panel * l->k + k0 + k) * l->panel + lane;
        line[k] = zm_load_real(l->weight, l->weight_type, l->weight_offset + place);
    }
}

static void load_block(const linear *l, part p, size_t o0, size_t outputs, size_t k0, size_t depth,
                       double block[][OUTPUTS])
{
    double line[DEPTH];
    for (size_t o = 0; o < outputs; ++o) {
        load_weights(l, weight_row(l, o0 + o, p), k0, depth, line);
        for (size_t k = 0; k < depth; ++k) {
            block[k][o] = line[k];
        }
    }
}

ZM_VECTORISED
static void add_products(double *restrict sums, const double *restrict x, size_t depth,
                         double block[restrict][OUTPUTS])
{
    double sum[OUTPUTS];
    memcpy(sum, sums, sizeof(sum));
    for (size_t k = 0; k < depth; ++k) {
        for (size_t o = 0; o < OUTPUTS; ++o) {
            sum[o] += x[k] * block[k][o];
        }
    }
    memcpy(sums, sum, sizeof(sum));
}

/* sums = windows of rows row0 .. row0+rows-1 times the outputs from o0 on. */
static void multiply(const linear *l, part p, size_t row0, size_t rows, size_t o0,
                     double sums[][OUTPUTS])
{
    double block[DEPTH][OUTPUTS] = {{0}}, window[DEPTH];
    size_t outputs = min_size(OUTPUTS, l->n - o0);
    memset(sums, 0, rows * sizeof(sums[0]));
    for (size_t k0 = 0; k0 < l->k; k0 += DEPTH) {
        size_t depth = min_size(DEPTH, l->k - k0);
        load_block(l, p, o0, outputs, k0, depth, block);
        for (size_t r = 0; r < rows; ++r) {
            l->window(l->args, l->x, row0 + r, k0, depth, window);
            add_products(sums[r], window, depth, block);
        }
    }
}

/* The norm of a row of x, as far as it is left for the product. */
typedef struct row_norm {
    double scale, mean;
} row_norm;

static row_norm read_norm(const linear_scale *s, size_t row)
{
    double squares = 0, sum = 0, power = 0, mean = 0;
    if (s->kind == 0) {
        return (row_norm){1, 0};
    }
    for (size_t group = 0; group < s->groups; ++group) {
        squares += s->statistics[row * s->stride + 2 * group];
        sum += s->statistics[row * s->stride + 2 * group + 1];
    }
    if (s->kind == ZM_ARG_SCALE_RMS) {
        power = squares / s->d;
    } else if (s->kind == ZM_ARG_SCALE_CRMS) {
        power = (squares + sum * sum) / s->d;
    } else {
        mean = sum / s->d;
        power = squares / s->d - mean * mean;
        power = power < 0 ? 0 : power;
    }
    return (row_norm){1 / sqrt(power + s->eps), mean};
}

/* scale(sum) + bias of one output. */
static double linear_value(const linear *l, const row_norm *norm, size_t output, part p, double sum)
{
    size_t place = bias_place(l, output, p);
    if (l->scale.kind == ZM_ARG_SCALE_LAYER) {
        sum -= norm->mean * l->scale.column_sums[place];
    }
    return norm->scale * sum +
           (l->bias ? zm_load_real(l->bias, l->param_type, l->bias_offset + place) : 0);
}

/* The outputs from o0 on of one row; up: the sums of the up rows, where it is gated. */
static void write_row(const linear *l, size_t row, size_t o0, const double *sums, const double *up)
{
    row_norm norm = read_norm(&l->scale, row);
    size_t outputs = min_size(OUTPUTS, l->n - o0);
    ACT *dst = l->dst + row * l->dst_stride + o0;
    double squares = 0, sum = 0;
    for (size_t o = 0; o < outputs; ++o) {
        double value = activate(l->activation, linear_value(l, &norm, o0 + o, GATE, sums[o]));
        if (l->gated) {
            value *= linear_value(l, &norm, o0 + o, UP, up[o]);
        }
        if (l->residual) {
            value += act_get(l->residual, row * l->residual_stride + o0 + o);
        }
        if (l->factor) {
            value *= act_get(l->factor, row * l->residual_stride + o0 + o);
        }
        if (l->position) {
            value += zm_load_real(l->position, l->param_type,
                                  l->position_offset + row * l->position_stride + o0 + o);
        }
        act_set(dst, o, value);
        value = act_get(dst, o);
        if (l->weighted) {
            act_set(l->weighted, row * l->weighted_stride + o0 + o,
                    value * zm_load_real(l->norm_weight, l->param_type,
                                         l->norm_weight_offset + o0 + o));
        }
        squares += value * value;
        sum += value;
    }
    if (l->statistics) {
        REAL *statistics = l->statistics + row * l->statistics_stride + o0 / OUTPUTS * 2;
        statistics[0] = (REAL)squares;
        statistics[1] = (REAL)sum;
    }
}

/* Rows row0 .. row0+rows-1 of the outputs from o0 on. */
static void tile(const linear *l, size_t row0, size_t rows, size_t o0)
{
    double sums[ROWS][OUTPUTS], up[ROWS][OUTPUTS];
    multiply(l, GATE, row0, rows, o0, sums);
    if (l->gated) {
        multiply(l, UP, row0, rows, o0, up);
    }
    for (size_t r = 0; r < rows; ++r) {
        write_row(l, row0 + r, o0, sums[r], up[r]);
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
