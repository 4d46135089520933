/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "fill.h"
#include "norm.h"
#include "op_run.h"

extern const op_description op_embedding;

enum { TOKENS, TABLE, POSITION, DST, OPERANDS };

/* The bits of i switch the options, so that neighbouring cases differ in all of them. */
static op_case *add_case(op_list *list, uint32_t rows, uint32_t d, uint32_t vocabulary, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_embedding_params *p = &c->params.embedding;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    p->tokens = op_vector(rows, i % 4);
    p->tokens.dtype = ZM_I32;
    p->table = op_weight(vocabulary, d, i % 2 ? ZM_F16 : ZM_F32, 0);
    if (i / 2 % 2) {
        p->table = op_typed(op_matrix(vocabulary, d, (i + 1) % 4, pad), i % 2 ? ZM_F16 : ZM_F32);
    }
    if (i / 4 % 2 == 0) {
        p->position = op_typed(op_matrix(rows, d, (i + 2) % 4, pad + 2), OP_REAL);
    }
    p->scale = i % 5 == 1 ? 4.89897949f : i % 5 == 2 ? -0.5f : 0;
    p->recentre = i / 8 % 2 == 0;
    p->dst = op_matrix(rows, d, (i + 3) % 4, (pad + 3) % 8);
    return c;
}

static bool cases(op_list *list)
{
    static const zm_dtype tables[] = {ZM_F32, ZM_F16, ZM_BF16};
    static const zm_dtype blocks[] = {ZM_Q8_0, ZM_Q4_0, ZM_Q4_1, ZM_Q5_0, ZM_Q5_1,
                                      ZM_Q2_K, ZM_Q3_K, ZM_Q4_K, ZM_Q5_K, ZM_Q6_K};
    static const uint32_t kept[] = {300, 8201}; /* kernels keep rows in registers, up to a length */
    static const op_fill fills[] = {OP_MEAN_100, OP_MEAN_1000, OP_LARGE, OP_ZERO,
                                    OP_CONSTANT, OP_OUTLIER,   OP_NAN,   OP_INF};
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t vocabulary = (uint32_t)(1 + i * 31 % 200);
        if (!add_case(list, (uint32_t)(1 + i % 17), op_sizes[i], vocabulary, i)) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 4; ++i) {
        op_case *c = add_case(list, 9, i % 2 ? 64 : 37, 300, i * 3);
        if (!c) {
            return false;
        }
        c->fill[TABLE] = fills[i / 4];
        c->fill[TOKENS] = i % 4 == 2 ? OP_BAD_TOKENS : OP_NORMAL;
        c->small = i == 2;
    }
    for (size_t i = 0; i < 36; ++i) {
        op_case *c = add_case(list, 5, i % 2 ? 48 : 29, 70, i);
        if (!c) {
            return false;
        }
        c->params.embedding.table.dtype = tables[i % 3];
        c->activation = op_activations[i / 3 % 3];
        c->small = i % 4 == 1;
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, 2, kept[i], 5, i);
        if (!c) {
            return false;
        }
        c->small = true;
    }
    for (size_t i = 0; i < 13; ++i) {
        uint32_t length = zm_dtype_block_length(blocks[i % 10]);
        op_case *c = add_case(list, 5, i % 2 ? 3 * length : length, 70, 4 * i);
        if (!c) {
            return false;
        }
        c->params.embedding.table.dtype = blocks[i % 10];
        c->fill[TOKENS] = i == 4 ? OP_BAD_TOKENS : OP_NORMAL;
        c->small = i == 2 || i == 7;
    }
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, 3, 36, 7, 2 + i);
        if (!c) {
            return false;
        }
        c->params.embedding.position.dtype = c->activation = i ? ZM_BF16 : ZM_F16;
        c->small = true;
        if (i) {
            op_case_align(&op_embedding, c);
        }
    }
    return add_case(list, 3, 512, 2000, 0) != NULL;
}

static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    static const int32_t bad[] = {-1, INT32_MIN, INT32_MAX};
    const zm_embedding_params *p = &r->params.embedding;
    if (operand != TOKENS) {
        return false;
    }
    for (size_t i = 0; i < op_cols(&p->tokens); ++i) {
        values[i] = (double)op_random_below(random, op_rows(&p->table));
        if (how == OP_BAD_TOKENS && i % 3 == 1) {
            values[i] = i % 2 ? (double)bad[i / 3 % 3] : (double)op_rows(&p->table);
        }
    }
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_embedding(stream, &params->embedding);
}

static float table_scale(const zm_embedding_params *p)
{
    return p->scale != 0 ? p->scale : 1;
}

static void args(const op_run *r, op_args *out)
{
    const zm_embedding_params *p = &r->reference.embedding;
    out->embedding = (struct zm_embedding_args){
        .rows = op_rows(&p->dst),
        .d = op_cols(&p->dst),
        .vocabulary = op_rows(&p->table),
        .tokens_offset = (uint32_t)p->tokens.offset,
        .table_offset = (uint32_t)p->table.offset,
        .table_stride = (uint32_t)op_stride(&p->table),
        .table_type = ZM_F64,
        .position_offset = (uint32_t)p->position.offset,
        .position_stride = (uint32_t)op_stride(&p->position),
        .param_type = ZM_F64,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->position.rank ? ZM_FLAG_POSITION : 0) | (p->recentre ? ZM_FLAG_RECENTRE : 0),
        .scale = table_scale(p),
    };
}

/* As for recentre. */
static double scale(const op_run *r, size_t operand, size_t row)
{
    const zm_embedding_params *p = &r->reference.embedding;
    const int32_t *tokens = (const int32_t *)r->memory[TOKENS].input + p->tokens.offset;
    const double *table = op_run_input(r, TABLE), *position = op_run_input(r, POSITION);
    size_t d = op_cols(&p->dst), p0 = row * op_stride(&p->position);
    double mean = 0, squares = 0, factor = (double)table_scale(p);
    (void)operand;
    if (tokens[row] < 0 || (uint32_t)tokens[row] >= op_rows(&p->table)) {
        return 0;
    }
    const double *x = table + (size_t)tokens[row] * op_stride(&p->table);
    for (size_t i = 0; i < d && p->recentre; ++i) {
        mean += (x[i] * factor + (position ? position[p0 + i] : 0)) / (double)d;
    }
    for (size_t i = 0; i < d; ++i) {
        double value = x[i] * factor + (position ? position[p0 + i] : 0);
        double magnitude =
            norm_difference(value, mean, position || p->scale != 0, r->op->tolerance_f32);
        squares += magnitude * magnitude;
    }
    return sqrt(squares);
}

static double flops(const op_params *params)
{
    return 4.0 * op_rows(&params->embedding.dst) * op_cols(&params->embedding.dst);
}

/* Of the table only the rows that are read. */
static double bytes(const op_params *params, size_t real_size)
{
    const zm_embedding_params *p = &params->embedding;
    return op_tensor_bytes(&p->tokens, real_size) +
           op_tensor_bytes(&p->table, real_size) / op_rows(&p->table) * op_rows(&p->dst) +
           op_tensor_bytes(&p->position, real_size) + op_tensor_bytes(&p->dst, real_size);
}

const op_description op_embedding = {
    .name = "embedding",
    .operand_count = OPERANDS,
    .operands = {{"tokens", offsetof(zm_embedding_params, tokens), OP_INPUT},
                 {"table", offsetof(zm_embedding_params, table), OP_INPUT},
                 {"position", offsetof(zm_embedding_params, position), OP_INPUT},
                 {"dst", offsetof(zm_embedding_params, dst), OP_OUTPUT}},
    .cases = cases,
    .fill = fill,
    .run = run,
    .args = args,
    .tolerance_f32 = 1e-6,
    .tolerance_f64 = 1e-14,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
};
