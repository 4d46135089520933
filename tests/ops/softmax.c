/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "op_run.h"

extern const op_description op_softmax;

enum { X, DST, OPERANDS };

static double scale_of(const zm_softmax_params *p)
{
    return p->scale != 0 ? (double)p->scale : 1;
}

static op_case *add_case(op_list *list, uint32_t rows, uint32_t n, size_t i)
{
    static const float scales[] = {0, 1, 0.125f, -2, 0.3f};
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    c->params.softmax.x = op_matrix(rows, n, i % 4, pad);
    c->params.softmax.dst = op_matrix(rows, n, (i + 1) % 4, (pad + 3) % 8);
    c->params.softmax.scale = scales[i % 5];
    c->alias[DST] = i % 4 == 1 ? 1 + X : 0;
    return c;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_MEAN_100, OP_MEAN_1000, OP_LARGE, OP_TINY, OP_ZERO,
                                    OP_CONSTANT, OP_OUTLIER,   OP_NAN,   OP_INF,  OP_ALL_NAN};
    static const uint32_t widths[] = {1, 16, 37, 130, 1025, 5000};
    static const uint32_t kept[] = {300, 8201}; /* kernels keep rows in registers, up to a length */
    for (size_t i = 0; i < op_size_count; ++i) {
        op_case *c = add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[i / 2 % 3];
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 12; ++i) {
        op_case *c = add_case(list, 4, widths[i % 6], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 12];
        c->activation = op_activations[i / 6 % 2 * (1 + i % 2)];
        c->small = widths[i % 6] < 1000 && (i % 8 == 1 || i == 6);
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, 2, kept[i], i);
        if (!c) {
            return false;
        }
        c->small = true;
    }
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_softmax(stream, &params->softmax);
}

static void args(const op_run *r, op_args *out)
{
    const zm_softmax_params *p = &r->reference.softmax;
    out->softmax = (struct zm_softmax_args){
        .rows = op_rows(&p->x),
        .n = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .scale = (float)scale_of(p),
    };
}

/* The exponents are known to a part of themselves only. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_softmax_params *p = &r->reference.softmax;
    const double *x = op_run_input(r, X) + row * op_stride(&p->x);
    const double *dst = op_run_result(r, operand) + row * op_stride(&p->dst);
    double largest = 0, squares = 0;
    for (size_t i = 0; i < op_cols(&p->x); ++i) {
        largest = fmax(largest, fabs(scale_of(p) * x[i]));
        squares += dst[i] * dst[i];
    }
    return (1 + largest) * sqrt(squares);
}

static double flops(const op_params *params)
{
    return 5.0 * op_rows(&params->softmax.x) * op_cols(&params->softmax.x);
}

static double bytes(const op_params *params, size_t real_size)
{
    return op_tensor_bytes(&params->softmax.x, real_size) +
           op_tensor_bytes(&params->softmax.dst, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    snprintf(text, size, " scale=%g", scale_of(&params->softmax));
}

const op_description op_softmax = {
    .name = "softmax",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_softmax_params, x), OP_INPUT},
                 {"dst", offsetof(zm_softmax_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .tolerance_f32 = 1e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
