/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "op_run.h"

extern const op_description op_matmul;

enum { X, WEIGHT, BIAS, RESIDUAL, DST, OPERANDS };

/* The bits of i switch the options, so that neighbouring cases differ in all of them. */
static op_case *add_case(op_list *list, uint32_t m, uint32_t n, uint32_t k, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_matmul_params *p = &c->params.matmul;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    p->x = op_matrix(m, k, i % 4, pad);
    p->weight = op_weight(n, k, i % 2 ? ZM_F16 : ZM_F32, 0);
    p->dst = op_matrix(m, n, (i + 3) % 4, (pad + 3) % 8);
    p->activation = i / 2 % 2 ? ZM_ACTIVATION_GELU : ZM_ACTIVATION_NONE;
    if (i / 4 % 2 == 0) {
        p->bias = op_vector(n, (i + 2) % 4);
    }
    if (i / 8 % 2 == 0) {
        p->residual = op_matrix(m, n, (i + 1) % 4, pad + 1);
        c->alias[DST] = i % 5 < 3 ? 1 + RESIDUAL : 0;
    }
    c->fill[WEIGHT] = OP_WEIGHT;
    return c;
}

static bool add_sizes(op_list *list)
{
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t size = op_sizes[i], m = (uint32_t)(1 + i * 5 % 17);
        uint32_t other = op_sizes[i * 29 % op_size_count];
        if (!add_case(list, m, size, other, i) || !add_case(list, 1, size, other, i + 1) ||
            !add_case(list, m, other, size, i + 6) || !add_case(list, 1, other, size, i + 11)) {
            return false;
        }
    }
    for (uint32_t m = 1; m <= 67; ++m) {
        if (!add_case(list, m, 1 + m * 37 % 150, 1 + m * 53 % 97, m)) {
            return false;
        }
    }
    return true;
}

static bool add_large(op_list *list)
{
    static const uint32_t shapes[][3] = {{1, 5000, 384},  {1, 384, 1536},  {2, 512, 2048},
                                         {4, 1536, 384},  {129, 200, 512}, {150, 513, 129},
                                         {33, 48, 1537},  {7, 97, 3000},   {64, 96, 512},
                                         {257, 49, 1025}, {1, 1, 4097},    {1500, 17, 33}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]) * 2; ++i) {
        const uint32_t *shape = shapes[i / 2];
        if (!add_case(list, shape[0], shape[1], shape[2], i)) {
            return false;
        }
    }
    return true;
}

static bool add_fills(op_list *list)
{
    static const op_fill fills[] = {OP_MEAN_100, OP_LARGE,   OP_TINY, OP_ZERO,
                                    OP_CONSTANT, OP_OUTLIER, OP_NAN,  OP_INF};
    static const uint32_t shapes[][3] = {{5, 50, 33}, {1, 50, 33}, {17, 100, 64}, {1, 100, 66}};
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 8; ++i) {
        const uint32_t *shape = shapes[i % 4];
        op_case *c = add_case(list, shape[0], shape[1], shape[2], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 8];
        if (fills[i / 8] == OP_INF) {
            c->params.matmul.activation = ZM_ACTIVATION_NONE;
        }
    }
    return true;
}

static bool cases(op_list *list)
{
    return add_sizes(list) && add_large(list) && add_fills(list);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_matmul(stream, &params->matmul);
}

static void args(const op_params *params, op_args *out)
{
    const zm_matmul_params *p = &params->matmul;
    out->matmul = (struct zm_matmul_args){
        .m = op_rows(&p->x),
        .n = op_rows(&p->weight),
        .k = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .weight_type = ZM_F64,
        .weight_stride = op_cols(&p->x),
        .batch = 1,
        .bias_offset = (uint32_t)p->bias.offset,
        .residual_offset = (uint32_t)p->residual.offset,
        .residual_stride = (uint32_t)op_stride(&p->residual),
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->bias.rank ? ZM_FLAG_BIAS : 0) | (p->residual.rank ? ZM_FLAG_RESIDUAL : 0),
        .activation = (uint32_t)p->activation,
    };
}

/* The same sum over absolute values (Higham 2002, 3.1). */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_matmul_params *p = &r->reference.matmul;
    const double *x = op_run_input(r, X) + row * op_stride(&p->x);
    const double *weight = op_run_input(r, WEIGHT), *bias = op_run_input(r, BIAS);
    const double *residual = op_run_input(r, RESIDUAL);
    size_t n = op_rows(&p->weight), k = op_cols(&p->x);
    double squares = 0;
    (void)operand;
    for (size_t o = 0; o < n; ++o) {
        double sum = bias ? fabs(bias[o]) : 0;
        for (size_t i = 0; i < k; ++i) {
            sum += fabs(x[i] * weight[o * k + i]);
        }
        sum += residual ? fabs(residual[row * op_stride(&p->residual) + o]) : 0;
        squares += sum * sum;
    }
    return sqrt(squares);
}

static double flops(const op_params *params)
{
    const zm_matmul_params *p = &params->matmul;
    return 2.0 * op_rows(&p->x) * op_rows(&p->weight) * op_cols(&p->x);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_matmul_params *p = &params->matmul;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->weight, real_size) +
           op_tensor_bytes(&p->bias, real_size) + op_tensor_bytes(&p->residual, real_size) +
           op_tensor_bytes(&p->dst, real_size);
}

const op_description op_matmul = {
    .name = "matmul",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_matmul_params, x), OP_INPUT},
                 {"weight", offsetof(zm_matmul_params, weight), OP_INPUT},
                 {"bias", offsetof(zm_matmul_params, bias), OP_INPUT},
                 {"residual", offsetof(zm_matmul_params, residual), OP_INPUT},
                 {"dst", offsetof(zm_matmul_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .tolerance_f32 = 5e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
};
