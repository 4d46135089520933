/* SPDX-License-Identifier: Apache-2.0 */
/* A product that writes the statistics of its rows, and a second that makes a norm of them in its
 * epilogue: together they must be what product, norm, product are. The norm's weight is applied by
 * the first, in what the second reads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "matmul.h"
#include "ref/ref.h"
#include "statistics.h"

extern const op_description op_deferred_norm;

enum {
    X,
    WEIGHT,
    BIAS,
    RESIDUAL,
    HIDDEN,
    STATISTICS,
    NORM_WEIGHT,
    WEIGHTED,
    SECOND_WEIGHT,
    COLUMN_SUMS,
    SECOND_BIAS,
    DST,
    OPERANDS
};

static op_case *add_case(op_list *list, uint32_t m, uint32_t k, uint32_t d, uint32_t n, size_t i)
{
    static const float epsilons[] = {1e-5f, 1e-6f, 1e-12f, 0.5f, 3e-3f};
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_matmul_params *first = &c->params.deferred_norm.first;
    zm_matmul_params *second = &c->params.deferred_norm.second;
    first->x = op_matrix(m, k, i % 4, (uint32_t)(i % 3));
    first->weight = op_weight(d, k, i % 2 ? ZM_F16 : ZM_F32, 0);
    first->bias = op_vector(d, i % 3);
    first->dst = op_matrix(m, d, (i + 1) % 4, (uint32_t)(i % 4));
    first->statistics = op_statistics(m, i % 2);
    if (i % 2) {
        first->residual = op_matrix(m, d, (i + 2) % 4, (uint32_t)(i % 5));
        c->alias[HIDDEN] = 1 + RESIDUAL;
    }
    if (i / 3 % 2) {
        first->norm_weight = op_vector(d, (i + 2) % 3);
        first->weighted = op_matrix(m, d, i % 3, (uint32_t)(i % 2));
    }
    second->weight = op_weight(n, d, i / 2 % 2 ? ZM_F16 : ZM_F32, 0);
    second->scale.kind = (zm_row_scale_kind)(1 + i % 3);
    second->scale.eps = epsilons[i % 5];
    if (second->scale.kind == ZM_ROW_SCALE_LAYER) {
        second->scale.column_sums = op_vector(n, 0);
    }
    second->bias = op_vector(n, (i + 1) % 3);
    second->dst = op_matrix(m, n, 0, (uint32_t)(i % 2));
    c->fill[WEIGHT] = c->fill[SECOND_WEIGHT] = OP_WEIGHT;
    c->fill[NORM_WEIGHT] = OP_SCALE;
    c->fill[BIAS] = i % 4 < 2 ? OP_SCALE : OP_NORMAL; /* OP_SCALE: the mean isn't 0 */
    c->small = i % 12 == 1 || i % 12 == 6;
    return c;
}

static bool cases(op_list *list)
{
    static const uint32_t shapes[][4] = {
        {1, 64, 96, 70}, {5, 20, 33, 40}, {13, 50, 64, 130}, {2, 30, 200, 9}, {17, 33, 129, 65}};
    for (size_t i = 0; i < 30; ++i) {
        const uint32_t *s = shapes[i / 6];
        if (!add_case(list, s[0], s[1], s[2], s[3], i)) {
            return false;
        }
    }
    return true;
}

static zm_status prepare(const zm_device *device, op_params *params)
{
    zm_matmul_params *first = &params->deferred_norm.first;
    op_statistics_prepare(device, op_cols(&first->dst), &first->statistics);
    return ZM_OK;
}

static double norm_weight(const op_run *r, size_t i)
{
    const double *weight = op_run_input(r, NORM_WEIGHT);
    return weight ? weight[i] : 1;
}

/* Column sums, which are those of what the norm's weight would be folded into. */
static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    const zm_matmul_params *second = &r->reference.deferred_norm.second;
    const double *weight = op_run_input(r, SECOND_WEIGHT);
    size_t n = op_rows(&second->weight), d = op_cols(&second->weight);
    (void)how, (void)random;
    for (size_t o = 0; operand == COLUMN_SUMS && o < n; ++o) {
        values[o] = 0;
        for (size_t i = 0; i < d; ++i) {
            values[o] += weight[o * d + i] * norm_weight(r, i);
        }
    }
    return operand == COLUMN_SUMS;
}

/* The second product reads what the first wrote. */
static zm_matmul_params second_of(const op_params *params)
{
    zm_matmul_params second = params->deferred_norm.second;
    const zm_matmul_params *first = &params->deferred_norm.first;
    second.x = first->weighted.rank ? first->weighted : first->dst;
    second.scale.statistics = first->statistics;
    return second;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    zm_matmul_params second = second_of(params);
    zm_status status = zm_matmul(stream, &params->deferred_norm.first);
    return status == ZM_OK ? zm_matmul(stream, &second) : status;
}

static void call(const char *op, const void *args, void *const *buffers)
{
    const zm_ref_op *ref = zm_ref_find(op);
    ref->f64(args, buffers, 0, ref->items(args));
}

/* The norm itself, in between. */
static void reference(const op_run *r, void *const *buffers)
{
    static const char *const norms[] = {"", "rms_norm", "layer_norm", "crms_norm"};
    const zm_matmul_params *first = &r->reference.deferred_norm.first;
    zm_matmul_params second = second_of(&r->reference);
    zm_row_scale_kind kind = second.scale.kind;
    uint32_t rows = op_rows(&first->dst), d = op_cols(&first->dst);
    double *normalised = calloc((size_t)rows * d, sizeof(double));
    struct zm_matmul_args args = matmul_args(first);
    call("matmul", &args, buffers);
    const zm_row_statistics_params hidden = {first->dst, first->statistics, first->norm_weight,
                                             first->weighted};
    struct zm_row_statistics_args of_hidden = op_statistics_args(&hidden, r->group);
    call("row_statistics", &of_hidden,
         (void *[]){buffers[HIDDEN], buffers[STATISTICS], buffers[NORM_WEIGHT], buffers[WEIGHTED]});
    struct zm_norm_args norm = {.rows = rows,
                                .d = d,
                                .x_offset = (uint32_t)first->dst.offset,
                                .x_stride = (uint32_t)op_stride(&first->dst),
                                .weight_offset = (uint32_t)first->norm_weight.offset,
                                .param_type = ZM_F64,
                                .flags = first->norm_weight.rank ? ZM_FLAG_WEIGHT : 0,
                                .dst_stride = d,
                                .eps = second.scale.eps,
                                .true_d = d + 1};
    second.x = zm_tensor_2d(NULL, ZM_F64, rows, d);
    second.scale = (zm_row_scale){.kind = ZM_ROW_SCALE_NONE};
    args = matmul_args(&second);
    if (normalised) {
        call(norms[kind], &norm,
             (void *[]){buffers[HIDDEN], NULL, buffers[NORM_WEIGHT], NULL, normalised, NULL});
        call("matmul", &args,
             (void *[]){normalised, buffers[SECOND_WEIGHT], buffers[SECOND_BIAS], NULL,
                        buffers[DST], NULL, NULL, NULL});
    }
    free(normalised);
}

/* Of a row of the hidden matrix: the sums over absolute values, L2. */
static double hidden_scale(const op_run *r, size_t row)
{
    const zm_matmul_params *p = &r->reference.deferred_norm.first;
    const double *x = op_run_input(r, X) + row * op_stride(&p->x);
    const double *weight = op_run_input(r, WEIGHT), *bias = op_run_input(r, BIAS);
    const double *residual = op_run_input(r, RESIDUAL);
    double squares = 0;
    for (size_t o = 0; o < op_cols(&p->dst); ++o) {
        double sum = fabs(bias[o]);
        sum += residual ? fabs(residual[row * op_stride(&p->residual) + o]) : 0;
        for (size_t i = 0; i < op_cols(&p->x); ++i) {
            sum += fabs(x[i] * weight[o * op_cols(&p->x) + i]);
        }
        squares += sum * sum;
    }
    return sqrt(squares);
}

static double row_length(const op_run *r, size_t row)
{
    const zm_matmul_params *p = &r->reference.deferred_norm.first;
    const double *hidden = op_run_result(r, HIDDEN) + row * op_stride(&p->dst);
    double squares = 0;
    for (size_t o = 0; o < op_cols(&p->dst); ++o) {
        squares += hidden[o] * hidden[o];
    }
    return sqrt(squares);
}

/* The same with what storing the row narrower takes away. */
static double hidden_error(const op_run *r, size_t row)
{
    const zm_matmul_params *p = &r->params.deferred_norm.first;
    return hidden_scale(r, row) +
           op_narrow_error(r->op, p->dst.dtype, p->statistics.dtype, row_length(r, row));
}

/* An error of the hidden row goes through the norm and the second product. */
static double dst_scale(const op_run *r, size_t row)
{
    zm_matmul_params p = second_of(&r->reference);
    const double *hidden = op_run_result(r, HIDDEN);
    const double *weight = op_run_input(r, SECOND_WEIGHT), *bias = op_run_input(r, SECOND_BIAS);
    const double *sums = op_run_input(r, COLUMN_SUMS);
    size_t d = op_cols(&p.x);
    op_deferred norm = op_deferred_of(&p.scale, op_run_result(r, STATISTICS), row, (uint32_t)d);
    hidden += row * op_stride(&r->reference.deferred_norm.first.dst);
    double squares = 0;
    double error = norm.error * (1 + hidden_error(r, row) / row_length(r, row));
    for (size_t o = 0; o < op_cols(&p.dst); ++o) {
        double sum = sums ? fabs(norm.mean * sums[o]) : 0;
        for (size_t i = 0; i < d; ++i) {
            sum += fabs(hidden[i] * weight[o * d + i] * norm_weight(r, i));
        }
        sum = sum * norm.scale * error + fabs(bias[o]);
        squares += sum * sum;
    }
    return sqrt(squares);
}

static double largest_weight(const op_run *r, size_t d)
{
    double most = 0;
    for (size_t i = 0; i < d; ++i) {
        most = fmax(most, fabs(norm_weight(r, i)));
    }
    return most;
}

static double scale(const op_run *r, size_t operand, size_t row)
{
    size_t d = op_cols(&r->reference.deferred_norm.first.dst);
    double length = row_length(r, row);
    switch (operand) {
    case DST: return dst_scale(r, row);
    case STATISTICS: return hidden_error(r, row) * (2 * length + sqrt(d)) + length * length;
    case WEIGHTED: return hidden_error(r, row) * largest_weight(r, d);
    default: return hidden_scale(r, row);
    }
}

static double flops(const op_params *params)
{
    const zm_matmul_params *first = &params->deferred_norm.first;
    const zm_matmul_params *second = &params->deferred_norm.second;
    return 2.0 * op_rows(&first->x) * op_rows(&first->weight) * op_cols(&first->weight) +
           2.0 * op_rows(&first->x) * op_rows(&second->weight) * op_cols(&second->weight);
}

static double bytes(const op_params *params, size_t real_size)
{
    double bytes = 0;
    for (size_t i = 0; i < OPERANDS; ++i) {
        bytes += op_tensor_bytes(op_view(&op_deferred_norm, params, i), real_size);
    }
    return bytes;
}

static void describe(const op_params *params, char *text, size_t size)
{
    static const char *const kinds[] = {"none", "rms", "layer", "crms"};
    const zm_row_scale *scale = &params->deferred_norm.second.scale;
    snprintf(text, size, " scale=%s eps=%g", kinds[scale->kind], (double)scale->eps);
}

#define FIRST(field) offsetof(deferred_norm_params, first.field)
#define SECOND(field) offsetof(deferred_norm_params, second.field)
const op_description op_deferred_norm = {
    .name = "deferred_norm",
    .op = "matmul",
    .operand_count = OPERANDS,
    .operands = {{"x", FIRST(x), OP_INPUT},
                 {"weight", FIRST(weight), OP_INPUT},
                 {"bias", FIRST(bias), OP_INPUT},
                 {"residual", FIRST(residual), OP_INPUT},
                 {"hidden", FIRST(dst), OP_OUTPUT},
                 {"statistics", FIRST(statistics), OP_OUTPUT},
                 {"norm_weight", FIRST(norm_weight), OP_INPUT},
                 {"weighted", FIRST(weighted), OP_OUTPUT},
                 {"second.weight", SECOND(weight), OP_INPUT},
                 {"column_sums", SECOND(scale.column_sums), OP_INPUT},
                 {"second.bias", SECOND(bias), OP_INPUT},
                 {"dst", SECOND(dst), OP_OUTPUT}},
    .cases = cases,
    .prepare = prepare,
    .fill = fill,
    .run = run,
    .reference = reference,
    .tolerance_f32 = 2e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
