/* SPDX-License-Identifier: Apache-2.0 */
#include "fill.h"
#include "matmul.h"
#include "statistics.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const zm_dtype weight_types[] = {ZM_F32, ZM_F16, ZM_BF16};
static const float epsilons[] = {1e-5f, 1e-6f, 1e-12f, 0.5f, 3e-3f};

/* What happens to a sum on its way to dst. */
typedef struct epilogue {
    zm_activation activation;
    bool bias, residual, factor, in_place, gated, statistics, weighted;
    zm_row_scale_kind scale;
} epilogue;

static void add_scale(zm_matmul_params *p, zm_row_scale_kind kind, uint32_t m, uint32_t k, size_t i)
{
    uint32_t rows = p->weight.shape[0];
    p->scale.kind = kind;
    if (kind == ZM_ROW_SCALE_NONE) {
        return;
    }
    p->scale.statistics = op_statistics(m, i % 3);
    p->scale.eps = epsilons[i % COUNT(epsilons)];
    p->scale.d = i % 2 ? k + (kind != ZM_ROW_SCALE_LAYER && i % 4 == 1) : 0;
    if (kind == ZM_ROW_SCALE_LAYER) {
        p->scale.column_sums = op_vector(rows, (i + 1) % 4);
        p->scale.column_sums.panel = p->gated ? OP_GATED : 0;
    }
}

/* i picks offsets and gaps, so that neighbouring cases differ in all of them. */
static op_case *add_case(op_list *list, uint32_t m, uint32_t n, uint32_t k, const epilogue *e,
                         size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_matmul_params *p = &c->params.matmul;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0, rows = e->gated ? 2 * n : n;
    p->x = op_matrix(m, k, i % 4, pad);
    p->weight = op_weight(rows, k, weight_types[i % 2], 0);
    p->weight.panel = e->gated ? OP_GATED : OP_PACKED;
    p->dst = op_matrix(m, n, (i + 3) % 4, (pad + 3) % 8);
    p->activation = e->activation;
    p->gated = e->gated;
    if (e->bias) {
        p->bias = op_vector(rows, (i + 2) % 4);
        p->bias.panel = e->gated ? OP_GATED : 0;
    }
    if (e->residual) {
        p->residual = op_matrix(m, n, (i + 1) % 4, pad + 1);
        c->alias[MATMUL_DST] = e->in_place ? 1 + MATMUL_RESIDUAL : 0;
    }
    if (e->factor) {
        p->factor = op_matrix(m, n, (i + 1) % 4, pad + 1);
        c->alias[MATMUL_DST] = e->in_place ? 1 + MATMUL_FACTOR : 0;
    }
    if (e->statistics) {
        p->statistics = op_statistics(m, (i + 2) % 3);
    }
    if (e->weighted) {
        p->norm_weight = op_vector(n, (i + 1) % 3);
        p->weighted = op_matrix(m, n, (i + 2) % 4, (pad + 2) % 5);
    }
    add_scale(p, e->scale, m, k, i);
    c->fill[MATMUL_WEIGHT] = OP_WEIGHT;
    return c;
}

/* The bits of i switch bias, residual and GELU, so that neighbouring cases differ in all of them.
 */
static op_case *add_simple(op_list *list, uint32_t m, uint32_t n, uint32_t k, size_t i)
{
    const epilogue e = {.activation = i / 2 % 2 ? ZM_ACTIVATION_GELU : ZM_ACTIVATION_NONE,
                        .bias = i / 4 % 2 == 0,
                        .residual = i / 8 % 2 == 0,
                        .in_place = i % 5 < 3};
    return add_case(list, m, n, k, &e, i);
}

static bool add_sizes(op_list *list)
{
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t size = op_sizes[i], m = (uint32_t)(1 + i * 5 % 17);
        uint32_t other = op_sizes[i * 29 % op_size_count];
        if (!add_simple(list, m, size, other, i) || !add_simple(list, 1, size, other, i + 1) ||
            !add_simple(list, m, other, size, i + 6) || !add_simple(list, 1, other, size, i + 11)) {
            return false;
        }
    }
    for (uint32_t m = 1; m <= 67; ++m) {
        if (!add_simple(list, m, 1 + m * 37 % 150, 1 + m * 53 % 97, m)) {
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
    for (size_t i = 0; i < COUNT(shapes) * 2; ++i) {
        const uint32_t *shape = shapes[i / 2];
        if (!add_simple(list, shape[0], shape[1], shape[2], i)) {
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
    for (size_t i = 0; i < COUNT(fills) * 8; ++i) {
        const uint32_t *shape = shapes[i % 4];
        op_case *c = add_simple(list, shape[0], shape[1], shape[2], i);
        if (!c) {
            return false;
        }
        c->fill[MATMUL_X] = fills[i / 8];
    }
    for (size_t i = 0; i < 3 * 8; ++i) {
        const uint32_t *shape = shapes[i % 4];
        const epilogue e = {.activation = i % 8 < 4 ? ZM_ACTIVATION_NONE : ZM_ACTIVATION_GELU,
                            .bias = true,
                            .residual = true};
        op_case *c = add_case(list, shape[0], shape[1], shape[2], &e, i);
        if (!c) {
            return false;
        }
        c->fill[MATMUL_WEIGHT + i / 8] = i % 2 ? OP_NAN : OP_INF;
    }
    return true;
}

/* Options drawn by chance, but the same ones each time: enough of them that every pair of choices
 * comes up. Few counts of rows and few pairs of types: a kernel is built for each. */
static bool add_epilogues(op_list *list)
{
    static const struct {
        zm_dtype activation, weight;
    } types[] = {{OP_REAL, ZM_F32}, {OP_REAL, ZM_F16},  {OP_REAL, ZM_BF16},
                 {ZM_F16, ZM_F16},  {ZM_BF16, ZM_BF16}, {ZM_F16, ZM_F32}};
    static const uint32_t ms[] = {1, 8, 1, 16}, ns[] = {1, 7, 33, 64, 97, 130, 48};
    static const uint32_t ks[] = {1, 16, 33, 64, 100, 200};
    op_random random = {2024};
    for (size_t i = 0; i < 180; ++i) {
        uint32_t m = ms[op_random_below(&random, COUNT(ms))];
        uint32_t n = ns[op_random_below(&random, COUNT(ns))];
        uint32_t k = ks[op_random_below(&random, COUNT(ks))];
        epilogue e = {.activation =
                          (zm_activation)op_random_below(&random, ZM_ACTIVATION_QUICK_GELU + 1),
                      .scale = (zm_row_scale_kind)op_random_below(&random, 4)};
        uint64_t bits = op_random_below(&random, 32);
        e.bias = bits & 1;
        e.residual = bits & 2;
        e.in_place = bits & 4;
        e.gated = bits & 8;
        e.statistics = bits & 16;
        e.weighted = e.statistics && i % 3 != 0;
        if (e.residual && !e.gated && i % 2) {
            e.residual = false;
            e.factor = true;
        }
        op_case *c = add_case(list, m, n, k, &e, i);
        if (!c) {
            return false;
        }
        c->activation = types[i % COUNT(types)].activation;
        c->params.matmul.weight.dtype = types[i % COUNT(types)].weight;
        c->fill[MATMUL_X] = i % 8 == 3 ? OP_SCALE : i % 40 == 4 ? OP_NAN : OP_NORMAL;
        c->small = i % 7 == 0 && n * k < 5000;
    }
    return true;
}

/* Rows whose squares no half can hold, normalised in the epilogue. */
static bool add_magnitudes(op_list *list)
{
    static const uint32_t ks[] = {768, 2048, 8192};
    for (size_t i = 0; i < COUNT(ks) * 6; ++i) {
        const epilogue e = {.scale = (zm_row_scale_kind)(1 + i % 3), .statistics = i % 2};
        op_case *c = add_case(list, i % 4 ? 8 : 1, 20, ks[i / 6], &e, i);
        if (!c) {
            return false;
        }
        c->activation = i % 6 < 3 ? ZM_F16 : OP_REAL;
        c->fill[MATMUL_X] = OP_LARGE;
    }
    return true;
}

/* Plain rows of weights: a batch of them, and a single matrix. */
static bool add_rows(op_list *list)
{
    static const uint32_t shapes[][4] = {{3, 5, 7, 33},   {1, 4, 64, 64}, {12, 17, 17, 64},
                                         {2, 1, 130, 50}, {4, 3, 1, 1},   {2, 33, 65, 16},
                                         {5, 2, 20, 129}, {1, 1, 97, 40}, {3, 8, 3, 257}};
    for (size_t i = 0; i < COUNT(shapes) * 6; ++i) {
        const uint32_t *s = shapes[i / 6];
        const epilogue e = {.activation =
                                (zm_activation)((i + i / 6) % (ZM_ACTIVATION_QUICK_GELU + 1)),
                            .bias = i % 3 == 0,
                            .residual = i % 8 == 1,
                            .factor = i % 8 == 5,
                            .in_place = i % 16 < 8};
        bool single = i % 6 == 5;
        op_case *c = add_case(list, s[1], s[2], s[3], &e, i);
        if (!c) {
            return false;
        }
        zm_matmul_params *p = &c->params.matmul;
        uint32_t pad = i % 3 ? (uint32_t)(i % 5) : 0;
        p->weight = op_matrix(s[2], s[3], i % 4, 0);
        if (!single) {
            p->x = op_batch(s[0], s[1], s[3], i % 4, pad);
            p->weight = op_batch(s[0], s[2], s[3], (i + 1) % 4, pad % 2 * 3);
            p->residual = e.residual ? op_batch(s[0], s[1], s[2], i % 3, pad + 1) : p->residual;
            p->factor = e.factor ? op_batch(s[0], s[1], s[2], i % 3, pad + 1) : p->factor;
            p->dst = op_batch(s[0], s[1], s[2], (i + 2) % 4, pad + 2);
        }
        p->weight.dtype = weight_types[i % 3];
        c->activation = op_activations[i / 3 % 3];
        c->small = i % 5 == 2;
    }
    return true;
}

/* 16-bit biases of one row and of some, of panels and of rows of weights; gated, and with column
 * sums, which stay float32. */
static bool add_biases(op_list *list)
{
    static const uint32_t ms[] = {1, 8, 8, 1, 8, 8};
    for (size_t i = 0; i < COUNT(ms); ++i) {
        const epilogue e = {.bias = true,
                            .gated = i % 3 == 1,
                            .scale = i % 3 == 1 ? ZM_ROW_SCALE_LAYER : ZM_ROW_SCALE_NONE};
        op_case *c = add_case(list, ms[i], 49, 33, &e, i * 2);
        if (!c) {
            return false;
        }
        zm_matmul_params *p = &c->params.matmul;
        p->bias.dtype = weight_types[1 + i / 3];
        c->small = true;
        if (i % 3 == 2) {
            p->weight = op_typed(op_matrix(49, 33, 1, 0), ZM_F32);
        }
    }
    return true;
}

/* Quantised weights of one row and of some, whose panels end in pads; sums of several visits;
 * gated. Few counts of rows: a kernel is built for each. */
static bool add_blocks(op_list *list)
{
    static const zm_dtype types[] = {ZM_Q8_0, ZM_Q4_0, ZM_Q4_1};
    static const uint32_t shapes[][3] = {{1, 33, 32},  {1, 97, 576}, {1, 64, 1536}, {16, 70, 64},
                                         {16, 31, 96}, {1, 5, 320},  {16, 48, 288}, {1, 1, 64}};
    for (size_t i = 0; i < COUNT(shapes) * COUNT(types); ++i) {
        const uint32_t *s = shapes[i / COUNT(types)];
        const epilogue e = {.activation = i % 4 == 1 ? ZM_ACTIVATION_SILU : ZM_ACTIVATION_NONE,
                            .bias = i % 5 < 2,
                            .residual = i % 2,
                            .gated = i % 4 == 1,
                            .scale = i % 4 == 1 ? ZM_ROW_SCALE_NONE : ZM_ROW_SCALE_RMS};
        op_case *c = add_case(list, s[0], s[1], s[2], &e, i);
        if (!c) {
            return false;
        }
        c->params.matmul.weight.dtype = types[i % COUNT(types)];
        c->fill[MATMUL_X] = i % 11 == 2   ? OP_INF
                            : i % 11 == 5 ? OP_NAN
                            : i % 11 == 8 ? OP_MEAN_100
                                          : OP_NORMAL;
        c->activation = i == 4 ? ZM_F16 : OP_REAL;
        c->small = i < 4;
    }
    return true;
}

/* The other quantised types, of one row; of some rows one type with a minimum and one without. */
static bool add_more_blocks(op_list *list)
{
    static const zm_dtype types[] = {ZM_Q4_K, ZM_Q6_K, ZM_Q2_K, ZM_Q5_0, ZM_Q5_1,
                                     ZM_Q3_K, ZM_Q5_K, ZM_Q4_K, ZM_Q6_K};
    for (size_t i = 0; i < COUNT(types); ++i) {
        const epilogue e = {.residual = i % 2, .gated = i == 4, .scale = ZM_ROW_SCALE_RMS};
        op_case *c = add_case(list, i < 7 ? 1 : 16, 70 - (uint32_t)i, i == 6 ? 1024 : 512, &e, i);
        if (!c) {
            return false;
        }
        c->params.matmul.weight.dtype = types[i];
        c->small = i < 2;
    }
    return true;
}

/* The first one's sums are long enough to be cut, the one of 128 rows fills large tiles. */
static bool add_aligned(op_list *list)
{
    static const uint32_t shapes[][3] = {{1, 130, 264}, {4, 97, 36},    {16, 132, 33},
                                         {8, 64, 48},   {128, 256, 20}, {33, 70, 100},
                                         {3, 33, 260},  {70, 512, 16}};
    for (size_t i = 0; i < COUNT(shapes) * 3; ++i) {
        const uint32_t *s = shapes[i % COUNT(shapes)];
        const epilogue e = {
            .activation = (zm_activation)((i + i / 3) % (ZM_ACTIVATION_QUICK_GELU + 1)),
            .bias = i % 2,
            .residual = i % 3 == 1,
            .factor = i % 3 == 2 && i / COUNT(shapes) != 1,
            .in_place = i % 2,
            .gated = i / COUNT(shapes) == 1,
            .statistics = i / COUNT(shapes) == 2,
            .weighted = i / COUNT(shapes) == 2,
            .scale = i < COUNT(shapes) ? ZM_ROW_SCALE_NONE : (zm_row_scale_kind)(1 + i % 3)};
        op_case *c = add_case(list, s[0], s[1], s[2], &e, i);
        if (!c) {
            return false;
        }
        c->activation = op_activations[i / 2 % 3];
        c->small = i == 0 || i == 2 || i == 4;
        op_case_align(&op_matmul, c);
    }
    return true;
}

bool matmul_cases(op_list *list)
{
    return add_sizes(list) && add_large(list) && add_fills(list) && add_epilogues(list) &&
           add_magnitudes(list) && add_rows(list) && add_biases(list) && add_aligned(list) &&
           add_blocks(list) && add_more_blocks(list);
}
