/* SPDX-License-Identifier: Apache-2.0 */
#include "norm.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "op_run.h"

extern const op_description op_layer_norm;

/* Which tensors are there, and which are one view. */
typedef struct norm_pattern {
    bool residual, weight, bias, sum;
    uint8_t dst, sum_alias; /* 1 + operand, 0 = its own memory */
} norm_pattern;

static const norm_pattern patterns[] = {
    {false, true, true, false, 0, 0},
    {false, true, true, false, 1 + NORM_X, 0},
    {true, true, true, true, 0, 0},
    {true, true, true, true, 0, 1 + NORM_X},
    {true, true, true, true, 0, 1 + NORM_RESIDUAL},
    {true, true, true, true, 1 + NORM_X, 1 + NORM_RESIDUAL},
    {true, true, true, true, 1 + NORM_RESIDUAL, 1 + NORM_X},
    {true, true, true, true, 1 + NORM_X, 0},
    {true, true, true, true, 1 + NORM_RESIDUAL, 0},
    {true, true, true, false, 0, 0},
    {true, true, true, false, 1 + NORM_X, 0},
    {true, true, true, false, 1 + NORM_RESIDUAL, 0},
    {false, true, false, false, 0, 0},
    {false, false, true, false, 0, 0},
    {false, false, false, false, 0, 0},
    {true, false, false, true, 0, 1 + NORM_RESIDUAL},
};
#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))

static const float epsilons[] = {1e-5f, 1e-6f, 1e-12f, 0.5f, 3e-3f};
#define EPSILONS (sizeof(epsilons) / sizeof(epsilons[0]))

/* i picks offsets, gaps and eps, so that neighbouring cases differ in all of them. */
static op_case *add_case(op_list *list, const norm_pattern *p, uint32_t rows, uint32_t d, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    zm_tensor absent = {0};
    zm_norm_params *params = &c->params.norm;
    params->x = op_matrix(rows, d, i % 4, pad);
    params->residual = p->residual ? op_matrix(rows, d, (i + 1) % 4, pad + 1) : absent;
    params->weight = p->weight ? op_vector(d, (i + 2) % 4) : absent;
    params->bias = p->bias ? op_vector(d, (i + 3) % 4) : absent;
    params->dst = op_matrix(rows, d, (i / 2) % 4, (pad + 3) % 8);
    params->sum = p->sum ? op_matrix(rows, d, (i / 3) % 4, (pad + 5) % 9) : absent;
    params->eps = epsilons[i % EPSILONS];
    c->alias[NORM_DST] = p->dst;
    c->alias[NORM_SUM] = p->sum_alias;
    c->fill[NORM_WEIGHT] = OP_SCALE;
    return c;
}

static bool add_fills(op_list *list)
{
    static const op_fill fills[] = {OP_MEAN_100, OP_MEAN_1000, OP_LARGE, OP_TINY, OP_ZERO,
                                    OP_CONSTANT, OP_OUTLIER,   OP_NAN,   OP_INF};
    static const uint32_t widths[] = {1, 5, 16, 33, 129, 768};
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 6; ++i) {
        for (size_t residual = 0; residual < 2; ++residual) {
            op_case *c = add_case(list, &patterns[residual ? 3 : 0], 7, widths[i % 6], i);
            if (!c) {
                return false;
            }
            c->fill[NORM_X] = fills[i / 6];
            c->small = fills[i / 6] == OP_MEAN_1000 && widths[i % 6] == 129;
        }
    }
    for (size_t i = 0; i < 4; ++i) {
        op_case *c = add_case(list, &patterns[0], 3, 33, i);
        if (!c) {
            return false;
        }
        c->fill[NORM_WEIGHT + i / 2] = i % 2 ? OP_NAN : OP_INF;
    }
    op_case *c = add_case(list, &patterns[0], 3, 20, 0);
    if (c) {
        c->fill[NORM_X] = OP_ZERO;
        c->params.norm.eps = 0; /* 0 / 0 */
    }
    return c != NULL;
}

/* Every pattern with 16-bit activations; 16-bit weights and biases; magnitudes whose squares no
 * half can hold. */
static bool add_types(op_list *list)
{
    static const uint32_t widths[] = {37, 1, 16, 129, 64};
    static const uint32_t large[] = {768, 1025, 2048, 4099, 8192};
    static const uint32_t kept[] = {300, 8201}; /* kernels keep rows in registers, up to a length */
    for (size_t i = 0; i < 2 * PATTERNS; ++i) {
        op_case *c = add_case(list, &patterns[i / 2], (uint32_t)(1 + i % 5), widths[i % 5], i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[1 + i % 2];
        c->small = i % 7 == 5;
    }
    for (size_t i = 0; i < 3; ++i) {
        op_case *c = add_case(list, &patterns[2], 2, i ? 64 : 37, i);
        if (!c) {
            return false;
        }
        zm_norm_params *p = &c->params.norm;
        p->weight.dtype = p->bias.dtype = i < 2 ? ZM_F16 : ZM_BF16;
        c->activation = i ? p->weight.dtype : OP_REAL;
        c->small = true;
        if (i) {
            op_case_align(&op_layer_norm, c);
        }
    }
    for (size_t i = 0; i < sizeof(large) / sizeof(large[0]) * 4; ++i) {
        op_case *c = add_case(list, &patterns[i % 2 ? 2 : 0], 2, large[i / 4], i);
        if (!c) {
            return false;
        }
        c->activation = i % 4 < 2 ? ZM_F16 : OP_REAL;
        c->fill[NORM_X] = OP_LARGE;
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, &patterns[3 + i], 2, kept[i], i);
        if (!c) {
            return false;
        }
        c->small = true;
    }
    return true;
}

bool norm_cases(op_list *list)
{
    for (size_t i = 0; i < op_size_count; ++i) {
        if (!add_case(list, &patterns[i % PATTERNS], (uint32_t)(1 + i % 17), op_sizes[i], i)) {
            return false;
        }
    }
    for (size_t i = 0; i < 2 * PATTERNS; ++i) {
        op_case *c =
            add_case(list, &patterns[i % PATTERNS], (uint32_t)(1 + i % 17), i % 2 ? 64 : 83, i);
        if (!c) {
            return false;
        }
        c->small = i % 3 == 0;
    }
    return add_fills(list) && add_types(list);
}

static uint32_t true_d(const zm_norm_params *p)
{
    return p->true_d ? p->true_d : op_cols(&p->x) + 1;
}

void norm_args(const op_run *run, op_args *args)
{
    const zm_norm_params *p = &run->reference.norm;
    args->norm = (struct zm_norm_args){
        .rows = op_rows(&p->x),
        .d = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .residual_offset = (uint32_t)p->residual.offset,
        .residual_stride = (uint32_t)op_stride(&p->residual),
        .weight_offset = (uint32_t)p->weight.offset,
        .bias_offset = (uint32_t)p->bias.offset,
        .param_type = ZM_F64,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .sum_offset = (uint32_t)p->sum.offset,
        .sum_stride = (uint32_t)op_stride(&p->sum),
        .flags = (p->residual.rank ? ZM_FLAG_RESIDUAL : 0) | (p->weight.rank ? ZM_FLAG_WEIGHT : 0) |
                 (p->bias.rank ? ZM_FLAG_BIAS : 0) | (p->sum.rank ? ZM_FLAG_SUM : 0),
        .eps = p->eps,
        .true_d = true_d(p),
    };
}

/* What the row is divided by, squared; and how much larger than its own rounding its error is. */
typedef struct norm_row {
    double mean, power, error;
} norm_row;

static double value_at(const op_run *run, size_t row, size_t i)
{
    const zm_norm_params *p = &run->reference.norm;
    const double *x = op_run_input(run, NORM_X), *residual = op_run_input(run, NORM_RESIDUAL);
    return x[row * op_stride(&p->x) + i] +
           (residual ? residual[row * op_stride(&p->residual) + i] : 0);
}

static norm_row norm_row_of(const op_run *run, size_t row, norm_kind kind)
{
    const zm_norm_params *p = &run->reference.norm;
    size_t d = op_cols(&p->x);
    double sum = 0, magnitudes = 0, squares = 0;
    for (size_t i = 0; i < d; ++i) {
        sum += value_at(run, row, i);
        magnitudes += fabs(value_at(run, row, i));
    }
    norm_row r = {.mean = kind == NORM_LAYER ? sum / (double)d : 0, .error = 1};
    for (size_t i = 0; i < d; ++i) {
        double value = value_at(run, row, i) - r.mean;
        squares += value * value;
    }
    r.power = squares / (double)d;
    if (kind == NORM_CRMS) {
        r.power = (squares + sum * sum) / true_d(p);
        r.error = 1 + fabs(sum) * magnitudes / (squares + sum * sum);
    }
    return r;
}

double norm_difference(double value, double mean, bool is_sum, double tolerance)
{
    const double unit = 0x1p-24;
    return fabs(value - mean) + unit * fabs(mean) + (is_sum ? unit * fabs(value) / tolerance : 0);
}

double norm_scale(const op_run *run, size_t operand, size_t row, norm_kind kind)
{
    const zm_norm_params *p = &run->reference.norm;
    const double *weight = op_run_input(run, NORM_WEIGHT), *bias = op_run_input(run, NORM_BIAS);
    double scale = 0;
    if (operand == NORM_SUM) {
        return 0;
    }
    norm_row r = norm_row_of(run, row, kind);
    for (size_t i = 0; i < op_cols(&p->x); ++i) {
        double magnitude = norm_difference(value_at(run, row, i), r.mean, p->residual.rank != 0,
                                           run->op->tolerance_f32);
        double y = r.error * magnitude / sqrt(r.power + (double)p->eps);
        y = y * (weight ? fabs(weight[i]) : 1) + (bias ? fabs(bias[i]) : 0);
        scale += y * y;
    }
    return sqrt(scale);
}

double norm_bytes(const op_params *params, size_t real_size)
{
    const zm_norm_params *p = &params->norm;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->residual, real_size) +
           op_tensor_bytes(&p->weight, real_size) + op_tensor_bytes(&p->bias, real_size) +
           op_tensor_bytes(&p->dst, real_size) + op_tensor_bytes(&p->sum, real_size);
}

void norm_describe(const op_params *params, char *text, size_t size)
{
    snprintf(text, size, " eps=%g true_d=%" PRIu32, (double)params->norm.eps, params->norm.true_d);
}
