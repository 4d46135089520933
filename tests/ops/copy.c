/* SPDX-License-Identifier: Apache-2.0 */
#include "op_run.h"

extern const op_description op_copy;

enum { X, DST, OPERANDS };

/* How the elements of a side lie: in order, with gaps, or with two dimensions exchanged. */
typedef enum side { PACKED, GAPS, INNERMOST_GAPS, EXCHANGED } side;

/* The dimensions a and b of a tensor in exchanged order in memory. */
static void set_strides(zm_tensor *t, side how, uint32_t a, uint32_t b)
{
    uint32_t order[ZM_MAX_RANK];
    uint64_t stride = how == INNERMOST_GAPS ? 3 : 1;
    for (uint32_t i = 0; i < t->rank; ++i) {
        order[i] = i;
    }
    if (how == EXCHANGED) {
        order[a] = b;
        order[b] = a;
    }
    for (uint32_t i = t->rank; i-- > 0 && how != PACKED;) {
        t->stride[order[i]] = stride;
        stride *= t->shape[order[i]];
        stride += how == GAPS || how == EXCHANGED ? 1 + i : 0;
    }
}

static op_case *add_case(op_list *list, uint32_t rank, const uint32_t *shape, side from, side to,
                         size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_tensor x = {.rank = rank, .offset = i % 4}, dst = {.rank = rank, .offset = (i + 1) % 4};
    for (uint32_t j = 0; j < rank; ++j) {
        x.shape[j] = dst.shape[j] = shape[j];
    }
    set_strides(&x, from, (uint32_t)(i % rank), (uint32_t)(i / 2 % rank));
    set_strides(&dst, to, 0, rank - 1);
    c->params.copy.x = x;
    c->params.copy.dst = dst;
    return c;
}

static bool add_layouts(op_list *list)
{
    static const zm_dtype types[][2] = {{OP_REAL, OP_REAL}, {ZM_F32, ZM_F16}, {ZM_F16, ZM_BF16},
                                        {ZM_BF16, ZM_F32},  {ZM_I32, ZM_I32}, {ZM_F16, ZM_F16}};
    static const uint32_t shapes[][4] = {{97},        {1},          {5, 7},        {64, 33},
                                         {3, 17, 20}, {2, 3, 4, 5}, {1, 16, 1, 64}};
    static const uint32_t ranks[] = {1, 1, 2, 2, 3, 4, 4};
    for (size_t i = 0; i < sizeof(ranks) / sizeof(ranks[0]) * 16; ++i) {
        size_t shape = i / 16;
        op_case *c =
            add_case(list, ranks[shape], shapes[shape], (side)(i % 4), (side)(i / 4 % 4), i);
        if (!c) {
            return false;
        }
        const zm_dtype *pair = types[i % 6];
        c->params.copy.x.dtype = pair[0];
        c->params.copy.dst.dtype = pair[1];
        c->fill[X] = pair[0] == ZM_I32 ? OP_TIES : OP_NORMAL;
        c->small = i % 9 == 5;
    }
    return true;
}

/* Every pair of types, and what is hard to round. */
static bool add_types(op_list *list)
{
    static const zm_dtype types[] = {ZM_F32, ZM_F16, ZM_BF16, OP_REAL};
    static const op_fill fills[] = {OP_NORMAL, OP_LARGE, OP_TINY, OP_INF, OP_NAN};
    static const uint32_t shape[] = {9, 130};
    for (size_t i = 0; i < 80; ++i) {
        op_case *c = add_case(list, 2, shape, i % 3 == 2 ? GAPS : PACKED, PACKED, i);
        if (!c) {
            return false;
        }
        c->params.copy.x.dtype = types[i % 4];
        c->params.copy.dst.dtype = types[i / 4 % 4];
        c->fill[X] = fills[i / 16];
        c->small = i % 13 == 2;
    }
    return true;
}

static bool cases(op_list *list)
{
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t shape[] = {(uint32_t)(1 + i % 17), op_sizes[i]};
        if (!add_case(list, 2, shape, (side)(i % 2), (side)(i / 2 % 2), i)) {
            return false;
        }
    }
    return add_layouts(list) && add_types(list);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_copy(stream, &params->copy);
}

static void args(const op_run *r, op_args *out)
{
    const zm_copy_params *p = &r->reference.copy;
    zm_dtype type = p->x.dtype == ZM_I32 ? ZM_I32 : ZM_F64;
    struct zm_copy_args a = {.x_offset = (uint32_t)p->x.offset,
                             .x_type = type,
                             .dst_offset = (uint32_t)p->dst.offset,
                             .dst_type = type};
    for (uint32_t i = 0; i < ZM_MAX_RANK; ++i) {
        uint32_t missing = ZM_MAX_RANK - p->x.rank; /* dimensions of 1 in front */
        bool there = i >= missing;
        a.shape[i] = there ? p->x.shape[i - missing] : 1;
        a.x_stride[i] = there ? (uint32_t)op_dimension_stride(&p->x, i - missing) : 0;
        a.dst_stride[i] = there ? (uint32_t)op_dimension_stride(&p->dst, i - missing) : 0;
    }
    out->copy = a;
}

static double flops(const op_params *params)
{
    (void)params;
    return 0;
}

static double bytes(const op_params *params, size_t real_size)
{
    return op_tensor_bytes(&params->copy.x, real_size) +
           op_tensor_bytes(&params->copy.dst, real_size);
}

const op_description op_copy = {
    .name = "copy",
    .operand_count = OPERANDS,
    .operands = {{"x", offsetof(zm_copy_params, x), OP_INPUT},
                 {"dst", offsetof(zm_copy_params, dst), OP_OUTPUT}},
    .cases = cases,
    .run = run,
    .args = args,
    .flops = flops,
    .bytes = bytes,
};
