/* SPDX-License-Identifier: Apache-2.0 */
#include "op_run.h"

extern const op_description op_top_k;

enum { X, VALUES, INDICES, OPERANDS };

static op_case *add_case(op_list *list, uint32_t rows, uint32_t n, uint32_t k, size_t i)
{
    op_case *c = op_list_add(list);
    if (c) {
        uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
        c->params.top_k.x = op_matrix(rows, n, i % 4, pad);
        c->params.top_k.values = op_matrix(rows, k, (i + 1) % 4, pad + 1);
        c->params.top_k.indices = op_typed(op_matrix(rows, k, (i + 2) % 4, (pad + 2) % 3), ZM_I32);
        c->activation = op_activations[i % 7 % 3];
    }
    return c;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_TIES, OP_NAN, OP_INF, OP_ALL_NAN, OP_ZERO, OP_CONSTANT};
    static const uint32_t shapes[][2] = {{1, 1},     {7, 7},      {16, 3},   {130, 40},
                                         {1025, 50}, {3000, 256}, {256, 256}};
    static const size_t count = sizeof(shapes) / sizeof(shapes[0]);
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t n = op_sizes[i], most = n < 256 ? n : 256;
        if (!add_case(list, (uint32_t)(1 + i % 5), n, 1 + (uint32_t)(i * 37) % most, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * count; ++i) {
        const uint32_t *s = shapes[i % count];
        op_case *c = add_case(list, 4, s[0], s[1], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / count];
        c->small = s[0] < 1000 && i % 4 == 2;
    }
    return add_case(list, 2, 51865, 5, 0) != NULL;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_top_k(stream, &params->top_k);
}

static void args(const op_run *r, op_args *out)
{
    const zm_top_k_params *p = &r->reference.top_k;
    out->top_k = (struct zm_top_k_args){
        .rows = op_rows(&p->x),
        .n = op_cols(&p->x),
        .k = op_cols(&p->values),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .values_offset = (uint32_t)p->values.offset,
        .values_stride = (uint32_t)op_stride(&p->values),
        .indices_offset = (uint32_t)p->indices.offset,
        .indices_stride = (uint32_t)op_stride(&p->indices),
    };
}

static double flops(const op_params *params)
{
    return (double)op_rows(&params->top_k.x) * op_cols(&params->top_k.x);
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_top_k_params *p = &params->top_k;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->values, real_size) +
           op_tensor_bytes(&p->indices, real_size);
}

const op_description op_top_k = {
    .name = "top_k",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_top_k_params, x), OP_INPUT},
                 {"values", offsetof(zm_top_k_params, values), OP_OUTPUT},
                 {"indices", offsetof(zm_top_k_params, indices), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .flops = flops,
    .bytes = bytes,
};
