/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "fill.h"
#include "op_run.h"

extern const op_description op_rope;

enum { X, POSITIONS, FACTORS, DST, OPERANDS };

typedef struct rope_shape {
    uint32_t rows, heads, head_dim, rotary_dim; /* rotary_dim 0 = head_dim */
} rope_shape;

static uint32_t rotary_of(const zm_rope_params *p)
{
    return p->rotary_dim ? p->rotary_dim : p->head_dim;
}

/* The bits of i switch the options. */
static op_case *add_case(op_list *list, rope_shape s, size_t i)
{
    static const float bases[] = {0, 500000, 100, 10000}, scales[] = {0, 0.25f, 1};
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_rope_params *p = &c->params.rope;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    p->x = op_matrix(s.rows, s.heads * s.head_dim, i % 4, pad);
    p->positions = op_typed(op_vector(s.rows, (i + 1) % 4), ZM_I32);
    p->dst = op_matrix(s.rows, s.heads * s.head_dim, (i + 3) % 4, (pad + 2) % 8);
    p->head_dim = s.head_dim;
    p->rotary_dim = s.rotary_dim;
    p->layout = i % 2 ? ZM_ROPE_PAIRS : ZM_ROPE_HALVES;
    if (i / 2 % 2) {
        p->factors = op_vector(rotary_of(p) / 2, (i + 2) % 4);
    }
    p->base = bases[i % 4];
    p->frequency_scale = scales[i % 3];
    p->magnitude = i % 5 == 2 ? 1.19f : 0;
    c->alias[DST] = i % 3 == 1 ? 1 + X : 0;
    c->fill[FACTORS] = OP_SCALE;
    c->fill[POSITIONS] = i % 7 == 3 ? OP_FAR : OP_NORMAL;
    return c;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_LARGE, OP_ZERO, OP_NAN, OP_INF};
    static const rope_shape shapes[] = {{5, 2, 64, 0},  {1, 3, 64, 32}, {17, 1, 2, 0},
                                        {9, 4, 32, 0},  {3, 2, 80, 20}, {2, 1, 128, 0},
                                        {4, 3, 6, 4},   {1, 1, 256, 0}, {33, 2, 10, 2},
                                        {7, 5, 96, 96}, {6, 2, 7, 6}};
    static const size_t count = sizeof(shapes) / sizeof(shapes[0]);
    for (size_t i = 0; i < count * 12; ++i) {
        op_case *c = add_case(list, shapes[i % count], i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[i / count % 3];
        c->small = i % 11 == i / 11 || i == 3; /* which is far away */
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 6; ++i) {
        op_case *c = add_case(list, shapes[i % 6], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 6];
    }
    return true;
}

static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    const zm_rope_params *p = &r->params.rope;
    if (operand != POSITIONS) {
        return false;
    }
    for (size_t i = 0; i < op_cols(&p->positions); ++i) {
        values[i] = (double)op_random_below(random, how == OP_FAR ? 100000 : 2000);
    }
    values[0] = 0;
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_rope(stream, &params->rope);
}

static void args(const op_run *r, op_args *out)
{
    const zm_rope_params *p = &r->reference.rope;
    out->rope = (struct zm_rope_args){
        .rows = op_rows(&p->x),
        .heads = op_cols(&p->x) / p->head_dim,
        .head_dim = p->head_dim,
        .rotary_dim = rotary_of(p),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .positions_offset = (uint32_t)p->positions.offset,
        .factors_offset = (uint32_t)p->factors.offset,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = p->factors.rank ? ZM_FLAG_FACTORS : 0,
        .layout = p->layout,
        .base = p->base > 0 ? p->base : 10000,
        .frequency_scale = p->frequency_scale > 0 ? p->frequency_scale : 1,
        .magnitude = p->magnitude > 0 ? p->magnitude : 1,
    };
}

/* An angle is known to a part of itself only: what turns fast is off by more. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_rope_params *p = &r->reference.rope;
    const double *x = op_run_input(r, X) + row * op_stride(&p->x);
    const double *factors = op_run_input(r, FACTORS);
    const int32_t *positions = (const int32_t *)r->memory[POSITIONS].input + p->positions.offset;
    size_t rotary = rotary_of(p), half = rotary / 2;
    double base = p->base > 0 ? (double)p->base : 10000, squares = 0;
    double frequency = p->frequency_scale > 0 ? (double)p->frequency_scale : 1;
    (void)operand;
    for (size_t i = 0; i < op_cols(&p->x); ++i) {
        size_t place = i % p->head_dim;
        size_t pair = p->layout == ZM_ROPE_PAIRS ? place / 2 : place % half;
        double angle = 0;
        if (place < rotary) {
            angle = positions[row] * frequency * pow(base, -2.0 * (double)pair / (double)rotary);
            angle /= factors ? fabs(factors[pair]) : 1;
        }
        squares += x[i] * x[i] * (1 + angle) * (1 + angle);
    }
    return sqrt(squares) * (p->magnitude > 0 ? (double)p->magnitude : 1);
}

static double flops(const op_params *params)
{
    const zm_rope_params *p = &params->rope;
    return 3.0 * op_rows(&p->x) * op_cols(&p->x) / p->head_dim * rotary_of(p);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_rope_params *p = &params->rope;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->positions, real_size) +
           op_tensor_bytes(&p->factors, real_size) + op_tensor_bytes(&p->dst, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    const zm_rope_params *p = &params->rope;
    snprintf(text, size,
             " head_dim=%" PRIu32 " rotary_dim=%" PRIu32
             " %s base=%g frequency_scale=%g magnitude=%g",
             p->head_dim, p->rotary_dim, p->layout == ZM_ROPE_PAIRS ? "pairs" : "halves",
             (double)p->base, (double)p->frequency_scale, (double)p->magnitude);
}

const op_description op_rope = {
    .name = "rope",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_rope_params, x), OP_INPUT},
                 {"positions", offsetof(zm_rope_params, positions), OP_INPUT},
                 {"factors", offsetof(zm_rope_params, factors), OP_INPUT},
                 {"dst", offsetof(zm_rope_params, dst), OP_OUTPUT}},
    .cases = cases,
    .fill = fill,
    .run = run,
    .args = args,
    .tolerance_f32 = 2e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
