/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>

#include "op_run.h"

extern const op_description op_activate;

enum { X, BIAS, Y, DST, OPERANDS };

/* Which tensors are there, and which are one view. */
static const struct {
    bool bias, y;
    uint8_t dst; /* 1 + operand, 0 = its own memory */
} patterns[] = {
    {true, true, 0},       {false, true, 1 + X}, {true, false, 0},     {true, true, 1 + Y},
    {false, false, 1 + X}, {true, true, 1 + X},  {false, true, 1 + Y}, {false, false, 0},
};
#define PATTERNS (sizeof(patterns) / sizeof(patterns[0]))
#define ACTIVATIONS (ZM_ACTIVATION_QUICK_GELU + 1)

/* i picks the pattern, the activation, offsets and gaps. */
static op_case *add_case(op_list *list, uint32_t rows, uint32_t d, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c)
        return NULL;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    zm_activate_params *p = &c->params.activate;
    p->x = op_matrix(rows, d, i % 4, pad);
    if (patterns[i % PATTERNS].bias)
        p->bias = op_vector(d, (i + 2) % 4);
    if (patterns[i % PATTERNS].y)
        p->y = op_matrix(rows, d, (i + 1) % 4, pad + 2);
    p->dst = op_matrix(rows, d, (i + 3) % 4, (pad + 3) % 8);
    p->activation = (zm_activation)((i / PATTERNS + i % PATTERNS) % ACTIVATIONS);
    c->alias[DST] = patterns[i % PATTERNS].dst;
    return c;
}

/* Each pattern with each activation, in each type of activations. */
static bool add_types(op_list *list)
{
    for (size_t i = 0; i < 3 * PATTERNS * ACTIVATIONS; ++i) {
        op_case *c = add_case(list, (uint32_t)(1 + i % 5), i % 2 ? 16 : 37, i);
        if (!c)
            return false;
        c->activation = op_activations[i / (PATTERNS * ACTIVATIONS)];
        c->small = i < PATTERNS * ACTIVATIONS && i % 5 == 3; /* one kernel, each activation */
    }
    return true;
}

/* Parameters of 16 bits; whole vectors at multiples of four elements. */
static bool add_aligned(op_list *list)
{
    for (size_t i = 0; i < 6; ++i) {
        op_case *c = add_case(list, 2, i < 3 ? 37 : 64, 3);
        if (!c)
            return false;
        c->params.activate.bias.dtype = i % 3 == 2 ? ZM_BF16 : ZM_F16;
        c->activation = op_activations[i % 3];
        c->small = i == 1 || i == 5;
        if (i >= 3)
            op_case_align(&op_activate, c);
    }
    return true;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_MEAN_100, OP_LARGE, OP_TINY, OP_ZERO, OP_NAN, OP_INF};
    for (size_t i = 0; i < op_size_count; ++i)
        if (!add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], i))
            return false;
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * ACTIVATIONS; ++i) {
        op_case *c = add_case(list, 5, i % 2 ? 37 : 16, i);
        if (!c)
            return false;
        c->fill[X] = fills[i / ACTIVATIONS];
        c->params.activate.activation = (zm_activation)(i % ACTIVATIONS);
        c->small = i % 11 == 4;
    }
    for (size_t i = 0; i < 4; ++i) { /* the first pattern has both */
        op_case *c = add_case(list, 3, 37, 0);
        if (!c)
            return false;
        c->fill[i / 2 ? Y : BIAS] = i % 2 ? OP_NAN : OP_INF;
    }
    return add_types(list) && add_aligned(list);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_activate(stream, &params->activate);
}

static void args(const op_run *r, op_args *out)
{
    const zm_activate_params *p = &r->reference.activate;
    out->activate = (struct zm_activate_args){
        .rows = op_rows(&p->x),
        .d = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .bias_offset = (uint32_t)p->bias.offset,
        .param_type = ZM_F64,
        .y_offset = (uint32_t)p->y.offset,
        .y_stride = (uint32_t)op_stride(&p->y),
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->bias.rank ? ZM_FLAG_BIAS : 0) | (p->y.rank ? ZM_FLAG_FACTOR : 0),
        .activation = p->activation,
    };
}

/* (|x| + |bias|) |y|: no activation makes an error in its argument much larger. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_activate_params *p = &r->reference.activate;
    const double *x = op_run_input(r, X), *bias = op_run_input(r, BIAS), *y = op_run_input(r, Y);
    double squares = 0;
    (void)operand;
    for (size_t i = 0; i < op_cols(&p->x); ++i) {
        double value = fabs(x[row * op_stride(&p->x) + i]) + (bias ? fabs(bias[i]) : 0);
        value *= y ? fabs(y[row * op_stride(&p->y) + i]) : 1;
        squares += isfinite(value) ? value * value : 0;
    }
    return sqrt(squares);
}

/* As a sum, a product and one operation for the activation. */
static double flops(const op_params *params)
{
    return 3.0 * op_rows(&params->activate.x) * op_cols(&params->activate.x);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_activate_params *p = &params->activate;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->bias, real_size) +
           op_tensor_bytes(&p->y, real_size) + op_tensor_bytes(&p->dst, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    snprintf(text, size, " activation=%d", (int)params->activate.activation);
}

const op_description op_activate = {
    .name = "activate",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_activate_params, x), OP_INPUT},
                 {"bias", offsetof(zm_activate_params, bias), OP_INPUT},
                 {"y", offsetof(zm_activate_params, y), OP_INPUT},
                 {"dst", offsetof(zm_activate_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .tolerance_f32 = 2e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
