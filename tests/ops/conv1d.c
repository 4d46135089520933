/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "op_run.h"

extern const op_description op_conv1d;

enum { X, WEIGHT, BIAS, DST, OPERANDS };

typedef struct conv1d_shape {
    uint32_t rows, channels, n, kernel, stride, padding;
} conv1d_shape;

static op_case *add_case(op_list *list, conv1d_shape s, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_conv1d_params *p = &c->params.conv1d;
    uint32_t rows = (s.rows + 2 * s.padding - s.kernel) / s.stride + 1;
    p->x = op_matrix(s.rows, s.channels, i % 4, 0);
    p->weight = op_weight(s.n, s.kernel * s.channels, i % 2 ? ZM_F16 : ZM_F32, 0);
    if (i / 2 % 2 == 0) {
        p->bias = op_vector(s.n, (i + 1) % 4);
    }
    p->dst = op_matrix(rows, s.n, (i + 2) % 4, (uint32_t)(i % 7));
    p->kernel = s.kernel;
    p->stride = s.stride == 1 && i % 2 ? 0 : s.stride;
    p->padding = s.padding;
    p->activation = i % 3 ? ZM_ACTIVATION_GELU : ZM_ACTIVATION_NONE;
    c->fill[WEIGHT] = OP_WEIGHT;
    return c;
}

/* Every activation, every type of activations, of weights and of biases. */
static bool add_types(op_list *list)
{
    static const zm_dtype weights[] = {ZM_F32, ZM_F16, ZM_BF16};
    static const conv1d_shape shapes[] = {
        {8, 16, 40, 3, 1, 1}, {16, 5, 33, 3, 2, 1}, {1, 8, 70, 3, 1, 1}};
    for (size_t i = 0; i < 45; ++i) {
        op_case *c = add_case(list, shapes[i % 3], i);
        if (!c) {
            return false;
        }
        c->params.conv1d.weight.dtype = weights[i / 3 % 3];
        c->params.conv1d.activation = (zm_activation)(i % 5);
        c->activation = op_activations[i / 9 % 3];
        c->small = i % 4 == 1;
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, shapes[i], 4 * i);
        if (!c) {
            return false;
        }
        c->params.conv1d.bias.dtype = weights[1 + i];
        c->small = true;
    }
    return true;
}

static bool add_aligned(op_list *list)
{
    static const conv1d_shape shapes[] = {
        {16, 16, 40, 3, 1, 1}, {31, 8, 33, 3, 2, 1}, {40, 80, 130, 3, 1, 1}};
    for (size_t i = 0; i < 6; ++i) {
        op_case *c = add_case(list, shapes[i % 3], i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[i / 3];
        c->small = i == 1;
        op_case_align(&op_conv1d, c);
    }
    return true;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_LARGE, OP_ZERO, OP_OUTLIER, OP_NAN, OP_INF};
    static const conv1d_shape shapes[] = {
        {60, 80, 96, 3, 1, 1}, {61, 96, 50, 3, 2, 1}, {20, 7, 130, 5, 3, 2}, {9, 4, 3, 9, 1, 0},
        {1, 3, 5, 3, 1, 1},    {2, 3, 5, 3, 2, 1},    {1, 1, 1, 1, 1, 0},    {33, 16, 16, 1, 1, 0},
        {10, 5, 6, 2, 2, 0},   {4, 6, 7, 3, 1, 4},    {300, 80, 48, 3, 1, 1}};
    static const uint32_t few[] = {1, 8, 16}; /* rows of dst: a kernel is built for each tile */
    const size_t shape_count = sizeof(shapes) / sizeof(shapes[0]);
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t stride = (uint32_t)(1 + i % 2), rows = few[i % 3] * stride;
        conv1d_shape by_n = {rows, (uint32_t)(1 + i % 9), op_sizes[i], 3, stride, 1};
        conv1d_shape by_channels = {rows, op_sizes[i] % 200, (uint32_t)(1 + i * 7 % 67), 3, stride,
                                    1};
        if (!add_case(list, by_n, i) || !add_case(list, by_channels, i + 2)) {
            return false;
        }
    }
    for (size_t i = 0; i < shape_count * 2; ++i) {
        op_case *c = add_case(list, shapes[i / 2], i);
        if (!c) {
            return false;
        }
        c->small = i == 0; /* long sums, of rows that tiles and edges share in many ways */
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 3; ++i) {
        op_case *c = add_case(list, shapes[i % 3], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 3];
    }
    for (size_t i = 0; i < 4; ++i) {
        op_case *c = add_case(list, shapes[i % 2], 4);
        if (!c) {
            return false;
        }
        c->fill[WEIGHT + i / 2] = i % 2 ? OP_NAN : OP_INF;
    }
    return add_types(list) && add_aligned(list);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_conv1d(stream, &params->conv1d);
}

static uint32_t stride_of(const zm_conv1d_params *p)
{
    return p->stride ? p->stride : 1;
}

static void args(const op_run *r, op_args *out)
{
    const zm_conv1d_params *p = &r->reference.conv1d;
    out->conv1d = (struct zm_conv1d_args){
        .rows = op_rows(&p->x),
        .channels = op_cols(&p->x),
        .n = op_rows(&p->weight),
        .kernel_size = p->kernel,
        .stride = stride_of(p),
        .padding = p->padding,
        .dst_rows = op_rows(&p->dst),
        .x_offset = (uint32_t)p->x.offset,
        .weight_type = ZM_F64,
        .bias_offset = (uint32_t)p->bias.offset,
        .param_type = ZM_F64,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = p->bias.rank ? ZM_FLAG_BIAS : 0,
        .activation = p->activation,
    };
}

/* The same sum over absolute values. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_conv1d_params *p = &r->reference.conv1d;
    const double *x = op_run_input(r, X), *weight = op_run_input(r, WEIGHT);
    const double *bias = op_run_input(r, BIAS);
    size_t n = op_rows(&p->weight), channels = op_cols(&p->x), k = p->kernel * channels;
    double squares = 0;
    (void)operand;
    for (size_t o = 0; o < n; ++o) {
        double sum = bias ? fabs(bias[o]) : 0;
        for (size_t i = 0; i < k; ++i) {
            size_t time = row * stride_of(p) + i / channels - p->padding; /* wraps below 0 */
            sum += time < op_rows(&p->x)
                       ? fabs(weight[o * k + i] * x[time * channels + i % channels])
                       : 0;
        }
        squares += isfinite(sum) ? sum * sum : 0;
    }
    return sqrt(squares);
}

static double flops(const op_params *params)
{
    const zm_conv1d_params *p = &params->conv1d;
    return 2.0 * op_rows(&p->dst) * op_rows(&p->weight) * op_cols(&p->weight);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_conv1d_params *p = &params->conv1d;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->weight, real_size) +
           op_tensor_bytes(&p->bias, real_size) + op_tensor_bytes(&p->dst, real_size);
}

static void describe(const op_params *params, char *text, size_t size)
{
    const zm_conv1d_params *p = &params->conv1d;
    snprintf(text, size, " kernel=%" PRIu32 " stride=%" PRIu32 " padding=%" PRIu32 " activation=%d",
             p->kernel, p->stride, p->padding, (int)p->activation);
}

const op_description op_conv1d = {
    .name = "conv1d",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_conv1d_params, x), OP_INPUT},
                 {"weight", offsetof(zm_conv1d_params, weight), OP_INPUT},
                 {"bias", offsetof(zm_conv1d_params, bias), OP_INPUT},
                 {"dst", offsetof(zm_conv1d_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .tolerance_f32 = 5e-7,
    .tolerance_f64 = 1e-15,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
