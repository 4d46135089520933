/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "op_run.h"
#include "statistics.h"

extern const op_description op_row_statistics;

enum { X, STATISTICS, NORM_WEIGHT, WEIGHTED, OPERANDS };

static op_case *add_case(op_list *list, uint32_t rows, uint32_t d, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_row_statistics_params *p = &c->params.row_statistics;
    p->x = op_matrix(rows, d, i % 4, i % 3 ? (uint32_t)(i % 7) : 0);
    if (i % 6 != 5) {
        p->statistics = op_statistics(rows, (i + 1) % 4);
    }
    if (i % 2) {
        p->weight = op_vector(d, (i + 2) % 4);
        p->weight.dtype = i % 4 == 1 ? OP_REAL : i % 8 == 3 ? ZM_F16 : ZM_BF16;
        p->weighted = op_matrix(rows, d, (i + 3) % 4, i / 2 % 2 ? (uint32_t)(i % 5) : 0);
    }
    return c;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_MEAN_1000, OP_LARGE, OP_TINY, OP_ZERO, OP_NAN, OP_INF};
    static const uint32_t widths[] = {1, 31, 64, 129, 1000};
    for (size_t i = 0; i < op_size_count; ++i) {
        if (!add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], i)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 10; ++i) {
        op_case *c = add_case(list, 4, widths[i % 5], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 10];
        c->activation = op_activations[i % 3];
        c->small = i % 7 == 1;
    }
    for (size_t i = 0; i < 4; ++i) { /* whole vectors */
        op_case *c = add_case(list, 3, 52 + (uint32_t)i * 33, 2 * i + 1);
        if (!c) {
            return false;
        }
        c->small = i == 1;
        op_case_align(&op_row_statistics, c);
    }
    return true;
}

static zm_status prepare(const zm_device *device, op_params *params)
{
    zm_row_statistics_params *p = &params->row_statistics;
    op_statistics_prepare(device, op_cols(&p->x), &p->statistics);
    return ZM_OK;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_row_statistics(stream, &params->row_statistics);
}

static void args(const op_run *r, op_args *out)
{
    out->row_statistics = op_statistics_args(&r->reference.row_statistics, r->group);
}

/* The squares, and the sum over absolute values, of each group; of what is weighted itself. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_row_statistics_params *p = &r->reference.row_statistics;
    const double *x = op_run_input(r, X) + row * op_stride(&p->x);
    double scale = 0;
    if (operand == WEIGHTED) {
        return 0;
    }
    for (size_t first = 0; first < op_cols(&p->x); first += r->group) {
        double squares = 0, sum = 0;
        for (size_t i = first; i < first + r->group && i < op_cols(&p->x); ++i) {
            squares += x[i] * x[i];
            sum += fabs(x[i]);
        }
        scale += squares * squares + sum * sum;
    }
    return sqrt(scale);
}

static double flops(const op_params *params)
{
    return 3.0 * op_rows(&params->row_statistics.x) * op_cols(&params->row_statistics.x);
}

static double bytes(const op_params *params, size_t real_size)
{
    double bytes = 0;
    for (size_t i = 0; i < OPERANDS; ++i) {
        bytes += op_tensor_bytes(op_view(&op_row_statistics, params, i), real_size);
    }
    return bytes;
}

const op_description op_row_statistics = {
    .name = "row_statistics",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_row_statistics_params, x), OP_INPUT},
                 {"statistics", offsetof(zm_row_statistics_params, statistics), OP_OUTPUT},
                 {"weight", offsetof(zm_row_statistics_params, weight), OP_INPUT},
                 {"weighted", offsetof(zm_row_statistics_params, weighted), OP_OUTPUT}},
    .cases = cases,
    .prepare = prepare,
    .run = run,
    .args = args,
    .tolerance_f32 = 5e-7,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
};
