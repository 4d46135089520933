/* SPDX-License-Identifier: Apache-2.0 */
#include "op_run.h"

extern const op_description op_argmax;

enum { X, DST, OPERANDS };

static op_case *add_case(op_list *list, uint32_t rows, uint32_t n, size_t i)
{
    op_case *c = op_list_add(list);
    if (c) {
        c->params.argmax.x = op_matrix(rows, n, i % 4, i % 3 ? (uint32_t)(i % 7) : 0);
        c->params.argmax.dst = op_vector(rows, (i + 1) % 4);
        c->params.argmax.dst.dtype = ZM_I32;
    }
    return c;
}

static bool cases(op_list *list)
{
    static const op_fill fills[] = {OP_TIES, OP_NAN, OP_INF, OP_ALL_NAN, OP_ZERO, OP_OUTLIER};
    static const uint32_t widths[] = {1, 7, 16, 130, 1025, 51865};
    for (size_t i = 0; i < op_size_count; ++i) {
        if (!add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], i)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 6; ++i) {
        op_case *c = add_case(list, 4, widths[i % 6], i);
        if (!c) {
            return false;
        }
        c->fill[X] = fills[i / 6];
        c->activation = op_activations[i % 9 % 3];
        c->small = widths[i % 6] < 2000 && i % 5 == 0;
    }
    /* Rows that several work-groups share. */
    for (size_t i = 0; i < 6; ++i) {
        op_case *c = add_case(list, i % 2 ? 3 : 1, 4611, i);
        if (!c) {
            return false;
        }
        c->fill[X] = i % 2 ? OP_TIES : OP_NAN;
        c->activation = op_activations[i / 2];
        c->small = i % 2;
    }
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_argmax(stream, &params->argmax);
}

static void args(const op_run *r, op_args *out)
{
    const zm_argmax_params *p = &r->reference.argmax;
    out->argmax = (struct zm_argmax_args){
        .rows = op_rows(&p->x),
        .n = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .dst_offset = (uint32_t)p->dst.offset,
    };
}

static double flops(const op_params *params)
{
    return (double)op_rows(&params->argmax.x) * op_cols(&params->argmax.x);
}

static double bytes(const op_params *params, size_t real_size)
{
    return op_tensor_bytes(&params->argmax.x, real_size) +
           op_tensor_bytes(&params->argmax.dst, real_size);
}

const op_description op_argmax = {
    .name = "argmax",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_argmax_params, x), OP_INPUT},
                 {"dst", offsetof(zm_argmax_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .flops = flops,
    .bytes = bytes,
};
