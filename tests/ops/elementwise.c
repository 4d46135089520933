/* SPDX-License-Identifier: Apache-2.0 */
#include "elementwise.h"

#include "op_run.h"

static op_case *add_case(op_list *list, uint32_t rows, uint32_t d, bool alone, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    c->params.add.x = op_matrix(rows, d, i % 4, pad);
    if (!alone || i % 2) {
        c->params.add.y = op_matrix(rows, d, (i + 1) % 4, pad + 2);
    }
    c->params.add.dst = op_matrix(rows, d, (i + 3) % 4, (pad + 3) % 8);
    if (i % 5 == 1) {
        c->alias[ADD_DST] = 1 + ADD_X;
    } else if (i % 5 == 3 && c->params.add.y.rank) {
        c->alias[ADD_DST] = 1 + ADD_Y;
    }
    return c;
}

bool elementwise_cases(op_list *list, bool alone)
{
    static const op_fill fills[] = {OP_MEAN_100, OP_MEAN_1000, OP_LARGE, OP_TINY, OP_ZERO,
                                    OP_CONSTANT, OP_OUTLIER,   OP_NAN,   OP_INF};
    static const uint32_t widths[] = {1, 16, 37, 513};
    static const uint32_t kept[] = {300, 8201}; /* kernels keep rows in registers, up to a length */
    for (size_t i = 0; i < op_size_count; ++i) {
        if (!add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], alone, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 4; ++i) {
        op_case *c = add_case(list, 5, widths[i % 4], alone, i);
        if (!c) {
            return false;
        }
        c->fill[ADD_X] = fills[i / 4];
        c->small = i % 7 == 2;
    }
    for (size_t i = 0; i < 40; ++i) {
        op_case *c = add_case(list, (uint32_t)(1 + i % 5), widths[i / 2 % 4], alone, i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[1 + i % 2];
        c->fill[ADD_X] = i < 20 ? OP_NORMAL : OP_LARGE;
        c->small = i % 10 == 6 || i == 7;
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, 2, kept[i], alone, i + 1);
        if (!c) {
            return false;
        }
        c->small = true;
    }
    return true;
}

void elementwise_args(const op_run *run, op_args *args)
{
    const zm_add_params *p = &run->reference.add;
    args->add = (struct zm_add_args){
        .rows = op_rows(&p->x),
        .d = op_cols(&p->x),
        .x_offset = (uint32_t)p->x.offset,
        .x_stride = (uint32_t)op_stride(&p->x),
        .y_offset = (uint32_t)p->y.offset,
        .y_stride = (uint32_t)op_stride(&p->y),
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = p->y.rank ? ZM_FLAG_RESIDUAL : 0,
    };
}

double elementwise_bytes(const op_params *params, size_t real_size)
{
    const zm_add_params *p = &params->add;
    return op_tensor_bytes(&p->x, real_size) + op_tensor_bytes(&p->y, real_size) +
           op_tensor_bytes(&p->dst, real_size);
}
