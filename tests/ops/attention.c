/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cache.h"
#include "fill.h"
#include "op_run.h"

extern const op_description op_attention;

enum { Q, K_CACHE, V_CACHE, SLOPES, LENGTHS, STARTS, DST, OPERANDS };

typedef struct attention_shape {
    uint32_t rows, heads, kv_heads, head_dim, kv_length;
    bool causal;
} attention_shape;

static uint32_t heads_of(const zm_attention_params *p)
{
    return p->heads ? p->heads : p->layout.heads;
}

static double scale_of(const zm_attention_params *p)
{
    return p->scale > 0 ? (double)p->scale : (float)(1 / sqrt(p->layout.head_dim));
}

static uint32_t sequences_of(const zm_attention_params *p)
{
    return p->sequences ? p->sequences : 1;
}

/* Of a sequence, at most. */
static uint32_t most_rows(const zm_attention_params *p)
{
    return p->starts.rank ? p->rows : op_rows(&p->q) / sequences_of(p);
}

/* What starts says: all rows that there may be, one, none, some. */
static uint32_t rows_of(const zm_attention_params *p, size_t sequence)
{
    const uint32_t most = most_rows(p), rows[] = {most, 1, 0, most / 2 + 1};
    return p->starts.rank ? rows[sequence % 4] : most;
}

static uint32_t start_of(const zm_attention_params *p, size_t sequence)
{
    uint32_t start = 0;
    for (size_t s = 0; s < sequence; ++s) {
        start += rows_of(p, s);
    }
    return start;
}

static size_t sequence_of(const zm_attention_params *p, size_t row)
{
    size_t s = 0;
    while (row >= start_of(p, s + 1)) {
        ++s;
    }
    return s;
}

/* What lengths holds: all keys, some, hardly any, and what is no length. */
static int32_t length_of(const zm_attention_params *p, size_t sequence)
{
    const int32_t most = (int32_t)p->kv_length;
    const int32_t lengths[] = {most - most / 3, most, 1 + most / 50, 0, most + 1, INT32_MIN};
    return p->lengths.rank ? lengths[sequence % 6] : most;
}

/* The keys that there are. */
static uint32_t keys_of(const zm_attention_params *p, size_t sequence)
{
    int64_t length = length_of(p, sequence);
    return length > 0 && length <= p->kv_length ? (uint32_t)length : 0;
}

/* Where the row itself, of all, stands among the keys. */
static int64_t position_of(const zm_attention_params *p, size_t row)
{
    size_t s = sequence_of(p, row);
    return (int64_t)keys_of(p, s) - start_of(p, s + 1) + (int64_t)row;
}

/* The keys begin .. end-1 are those that the row sees. */
static size_t visible_end(const zm_attention_params *p, size_t row)
{
    int64_t end = position_of(p, row) + 1;
    return !p->causal ? keys_of(p, sequence_of(p, row)) : end > 0 ? (size_t)end : 0;
}

static size_t visible_begin(const zm_attention_params *p, size_t row)
{
    size_t end = visible_end(p, row);
    return p->window && end > p->window ? end - p->window : 0;
}

static op_case *add_case(op_list *list, attention_shape s, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_attention_params *p = &c->params.attention;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    p->q = op_matrix(s.rows, s.heads * s.head_dim, i % 4, pad);
    p->k_cache = op_vector(1, (i + 1) % 4);
    p->v_cache = op_vector(1, (i + 2) % 4);
    p->dst = op_matrix(s.rows, s.heads * s.head_dim, (i + 3) % 4, pad + 1);
    p->layout.heads = s.kv_heads;
    p->layout.head_dim = s.head_dim;
    p->layout.capacity = s.kv_length + (uint32_t)(i % 3 * 9);
    p->heads = s.heads == s.kv_heads && i % 2 ? 0 : s.heads;
    p->kv_length = s.kv_length;
    p->causal = s.causal;
    p->scale = i % 4 == 2 ? 0.3f : 0;
    c->alias[DST] = i % 3 == 1 ? 1 + Q : 0;
    return c;
}

/* Few head sizes, and few counts of rows with those but 64: a kernel is built for each. */
static const uint32_t dims[] = {64, 1, 3, 16, 31, 80, 128};
#define DIMS (sizeof(dims) / sizeof(dims[0]))

static bool add_sizes(op_list *list)
{
    for (size_t i = 0; i < op_size_count; ++i) {
        uint32_t length = op_sizes[i], kv_heads = (uint32_t)(1 + i % 3);
        uint32_t rows = (uint32_t)(1 + i * 5 % 17);
        attention_shape cross = {rows, kv_heads, kv_heads, 64, length, false};
        attention_shape step = {1, kv_heads * 2, kv_heads, 64, length, true};
        uint32_t few = i % 3 ? 8 : 1;
        attention_shape other = {few,    kv_heads * (1 + i % 2), kv_heads, dims[i % DIMS],
                                 length, few <= length};
        if (!add_case(list, cross, i) || !add_case(list, step, i + 1) ||
            !add_case(list, other, i + 2)) {
            return false;
        }
    }
    for (uint32_t rows = 1; rows <= 40; ++rows) {
        attention_shape prompt = {rows, 2, 1, 64, rows + rows % 5 * 7, true};
        if (!add_case(list, prompt, rows)) {
            return false;
        }
    }
    attention_shape encoder = {200, 2, 2, 64, 1500, false}, wide = {4, 2, 1, 512, 33, true};
    return add_case(list, encoder, 0) && add_case(list, wide, 0);
}

static bool add_fills(op_list *list)
{
    static const struct {
        op_fill q, k, v;
    } fills[] = {{OP_OUTLIER, OP_NORMAL, OP_NORMAL},      {OP_MEAN_100, OP_NORMAL, OP_NORMAL},
                 {OP_TINY, OP_TINY, OP_NORMAL},           {OP_ZERO, OP_NORMAL, OP_NORMAL},
                 {OP_NORMAL, OP_NORMAL, OP_LARGE},        {OP_NORMAL, OP_NORMAL, OP_MEAN_1000},
                 {OP_NAN, OP_NORMAL, OP_NORMAL},          {OP_NORMAL, OP_NAN_LAST, OP_NORMAL},
                 {OP_NORMAL, OP_NORMAL, OP_NAN_LAST},     {OP_INF, OP_NORMAL, OP_NORMAL},
                 {OP_NORMAL, OP_INF, OP_NORMAL},          {OP_NORMAL, OP_INF_LAST, OP_NORMAL},
                 {OP_CONSTANT, OP_INF_BEFORE, OP_NORMAL}, {OP_NORMAL, OP_NORMAL, OP_INF},
                 {OP_NORMAL, OP_NORMAL, OP_INF_LAST}};
    static const attention_shape shapes[] = {
        {5, 2, 2, 64, 70, true}, {1, 4, 2, 64, 45, true}, {9, 2, 1, 16, 33, false}};
    for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]) * 3; ++i) {
        op_case *c = add_case(list, shapes[i % 3], i);
        if (!c) {
            return false;
        }
        c->fill[Q] = fills[i / 3].q;
        c->fill[K_CACHE] = fills[i / 3].k;
        c->fill[V_CACHE] = fills[i / 3].v;
        c->small = i % 6 == 2;
    }
    return true;
}

static const zm_dtype caches[] = {ZM_DTYPE_NONE, ZM_F16, ZM_BF16};

/* Windows within a block of keys, across several, longer than the keys; slopes; soft caps; types
 * of activations and caches; more query heads than heads of keys. */
static bool add_options(op_list *list)
{
    static const uint32_t windows[] = {1, 5, 16, 33, 64, 100, 200, 1000};
    static const float caps[] = {0, 30, 2};
    static const attention_shape shapes[] = {
        {1, 4, 1, 64, 150, true}, {8, 2, 2, 64, 90, true},   {16, 8, 2, 64, 130, true},
        {16, 3, 1, 64, 16, true}, {8, 6, 3, 64, 300, true},  {1, 2, 2, 32, 70, true},
        {8, 2, 1, 32, 77, true},  {8, 2, 2, 96, 80, true},   {1, 16, 1, 128, 60, true},
        {8, 2, 1, 256, 66, true}, {16, 2, 1, 128, 90, true}, {1, 7, 7, 31, 40, true}};
    static const size_t count = sizeof(shapes) / sizeof(shapes[0]);
    for (size_t i = 0; i < count * 9; ++i) {
        op_case *c = add_case(list, shapes[i % count], i);
        if (!c) {
            return false;
        }
        zm_attention_params *p = &c->params.attention;
        p->window = i % 3 ? windows[(i / 3 + i) % 8] : 0;
        p->causal = p->window || i % 2;
        p->soft_cap = caps[i / 2 % 3];
        if (shapes[i % count].head_dim == 64) {
            p->layout.dtype = caches[i / count % 3];
            c->activation = op_activations[i / count / 3];
        } else if (shapes[i % count].head_dim >= 128) {
            p->layout.dtype = ZM_F16;
        }
        if (i / count % 2 == 0) {
            p->slopes = op_vector(heads_of(p), (i + 1) % 4);
        }
        c->fill[Q] = i % 7 == 3 ? OP_MEAN_100 : OP_NORMAL;
        c->small = i % 13 == 0 || i % 13 == 7 || i == 2 || i == 4;
    }
    return true;
}

/* Few queries over so many keys that several work-groups share them, of several heads too; more
 * queries. */
static bool add_aligned(op_list *list)
{
    static const struct {
        attention_shape shape;
        uint32_t window;
    } all[] = {{{1, 12, 3, 64, 700, true}, 0},   {{4, 2, 1, 64, 600, true}, 520},
               {{3, 2, 1, 64, 513, false}, 0},   {{16, 8, 2, 64, 130, true}, 33},
               {{2, 4, 1, 128, 900, true}, 0},   {{40, 2, 1, 80, 90, true}, 0},
               {{1, 1, 1, 32, 2000, false}, 0},  {{20, 2, 2, 256, 50, false}, 0},
               {{4, 2, 1, 64, 1030, true}, 600}, {{1, 4, 2, 16, 1025, true}, 0},
               {{40, 8, 8, 64, 300, true}, 24}};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); ++i) {
        op_case *c = add_case(list, all[i].shape, i);
        if (!c) {
            return false;
        }
        c->params.attention.window = all[i].window;
        c->params.attention.layout.dtype = caches[i % 3];
        c->activation = op_activations[i % 3];
        c->fill[V_CACHE] = i == 2 ? OP_NAN_LAST : OP_NORMAL;
        c->small = i < 3;
        op_case_align(&op_attention, c);
    }
    /* Blocks of keys, and whole shares of work-groups, whose scores are -Inf. */
    for (size_t i = 0; i < 2; ++i) {
        op_case *c = add_case(list, all[3 * i].shape, i);
        if (!c) {
            return false;
        }
        c->params.attention.kv_length = c->params.attention.layout.capacity = 700;
        c->fill[Q] = OP_CONSTANT;
        c->fill[K_CACHE] = OP_INF_BEFORE;
        c->small = true;
        op_case_align(&op_attention, c);
    }
    return true;
}

/* Rows for each of the kernels; keys that are split; lengths of their own, some shorter than the
 * rows. */
static bool add_sequences(op_list *list)
{
    static const attention_shape shapes[] = {{1, 2, 2, 64, 90, true},   {8, 2, 1, 64, 77, true},
                                             {8, 2, 2, 64, 33, false},  {1, 4, 2, 64, 900, true},
                                             {3, 2, 1, 64, 40, true},   {20, 1, 1, 64, 130, true},
                                             {4, 2, 1, 64, 600, false}, {8, 2, 2, 31, 20, true}};
    for (size_t i = 0; i < 2 * sizeof(shapes) / sizeof(shapes[0]); ++i) {
        op_case *c = add_case(list, shapes[i / 2], i);
        if (!c) {
            return false;
        }
        zm_attention_params *p = &c->params.attention;
        p->sequences = (uint32_t)(2 + i % 5);
        p->q.shape[0] *= p->sequences;
        p->dst.shape[0] *= p->sequences;
        p->window = i / 2 % 3 == 1 ? 30 : 0;
        if (i % 2) {
            p->lengths = op_typed(op_vector(p->sequences, i % 3), ZM_I32);
        }
        if (i % 8 > 4) {
            p->slopes = op_vector(heads_of(p), (i + 1) % 4);
        }
        if (i % 4 > 1) {
            p->rows = shapes[i / 2].rows;
            p->starts = op_typed(op_vector(p->sequences + 1, (i + 1) % 3), ZM_I32);
            p->q.shape[0] = p->dst.shape[0] = start_of(p, p->sequences);
        }
        c->small = i % 8 == 3;
    }
    return true;
}

static bool cases(op_list *list)
{
    return add_sizes(list) && add_fills(list) && add_options(list) && add_aligned(list) &&
           add_sequences(list);
}

static zm_status prepare(const zm_device *device, op_params *params)
{
    zm_attention_params *p = &params->attention;
    return op_cache_prepare(device, &p->layout, p->sequences, &p->k_cache, &p->v_cache);
}

/* Positions that aren't in use hold NaN: nobody may have written them yet. */
static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    const zm_attention_params *p = &r->params.attention;
    const zm_kv_layout *layout = &p->layout;
    size_t dim = layout->head_dim;
    double row[OP_MAX_HEAD_DIM];
    for (uint32_t head = 0; operand == SLOPES && head < heads_of(p); ++head) {
        values[head] = exp2(-8.0 * (head + 1) / heads_of(p)); /* Press et al. 2021 */
    }
    for (uint32_t s = 0; operand == LENGTHS && s < sequences_of(p); ++s) {
        values[s] = length_of(p, s);
    }
    for (uint32_t s = 0; operand == STARTS && s <= sequences_of(p); ++s) {
        values[s] = start_of(p, s);
    }
    if (operand != K_CACHE && operand != V_CACHE) {
        return operand == SLOPES || operand == LENGTHS || operand == STARTS;
    }
    for (size_t i = 0; i < sequences_of(p) * layout->elements; ++i) {
        values[i] = NAN;
    }
    for (size_t head = 0; head < (size_t)sequences_of(p) * layout->heads; ++head) {
        uint32_t length = keys_of(p, head / layout->heads);
        length = length ? length : layout->capacity; /* what must not be seen could be */
        for (size_t position = 0; position < length; ++position) {
            op_fill_row(random, how, position, row, dim);
            bool is_last = position + 1 == length;
            if (how == OP_NAN_LAST && is_last) {
                row[head % dim] = NAN;
            } else if (how == OP_INF_LAST && is_last) {
                row[head % dim] = INFINITY;
            } else if (how == OP_INF_BEFORE && !is_last) {
                row[head % dim] = -INFINITY;
            }
            for (size_t i = 0; i < dim; ++i) {
                values[operand == K_CACHE ? op_key_place(layout, head, position, i)
                                          : op_value_place(layout, head, position, i)] = row[i];
            }
        }
    }
    return true;
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_attention(stream, &params->attention);
}

static void args(const op_run *r, op_args *out)
{
    const zm_attention_params *p = &r->reference.attention;
    out->attention = (struct zm_attention_args){
        .sequences = sequences_of(p),
        .rows = most_rows(p),
        .all_rows = op_rows(&p->q),
        .heads = heads_of(p),
        .kv_heads = p->layout.heads,
        .head_dim = p->layout.head_dim,
        .q_offset = (uint32_t)p->q.offset,
        .q_stride = (uint32_t)op_stride(&p->q),
        .k_cache_offset = (uint32_t)p->k_cache.offset,
        .v_cache_offset = (uint32_t)p->v_cache.offset,
        .head_stride = (uint32_t)p->layout.head_stride,
        .panel = p->layout.panel,
        .kv_type = ZM_F64,
        .kv_length = p->kv_length,
        .window = p->window,
        .slopes_offset = (uint32_t)p->slopes.offset,
        .lengths_offset = (uint32_t)p->lengths.offset,
        .starts_offset = (uint32_t)p->starts.offset,
        .dst_offset = (uint32_t)p->dst.offset,
        .dst_stride = (uint32_t)op_stride(&p->dst),
        .flags = (p->causal ? ZM_FLAG_CAUSAL : 0) | (p->slopes.rank ? ZM_FLAG_SLOPES : 0) |
                 (p->lengths.rank ? ZM_FLAG_LENGTHS : 0) | (p->starts.rank ? ZM_FLAG_STARTS : 0),
        .scale = (float)scale_of(p),
        .soft_cap = p->soft_cap,
    };
}

/* Of the keys and values that a head of queries looks at in a row. */
static size_t cache_head(const zm_attention_params *p, size_t head, size_t row)
{
    return sequence_of(p, row) * p->layout.heads + head / (heads_of(p) / p->layout.heads);
}

/* What a key's score is, and what its rounding errors are proportional to. */
typedef struct head_score {
    double score, magnitude;
} head_score;

static head_score score_of(const op_run *r, size_t head, size_t row, size_t key)
{
    const zm_attention_params *p = &r->reference.attention;
    const zm_kv_layout *layout = &p->layout;
    size_t dim = layout->head_dim, kv_head = cache_head(p, head, row);
    const double *q = op_run_input(r, Q) + row * op_stride(&p->q) + head * dim;
    const double *keys = op_run_input(r, K_CACHE), *slopes = op_run_input(r, SLOPES);
    double cap = (double)p->soft_cap;
    head_score s = {0, 0};
    for (size_t i = 0; i < dim; ++i) {
        double product = q[i] * keys[op_key_place(layout, kv_head, key, i)] * scale_of(p);
        s.score += product;
        s.magnitude += fabs(product);
    }
    if (cap > 0) {
        double slope = cosh(fmin(fabs(s.score / cap), 300)); /* of tanh: 1 / cosh^2 */
        s.score = cap * tanh(s.score / cap);
        s.magnitude = s.magnitude / slope / slope + fabs(s.score);
    }
    if (slopes) {
        double bias = slopes[head] * (double)((int64_t)key - position_of(p, row));
        s.score += bias;
        s.magnitude += fabs(bias);
    }
    return s;
}

/* Squared L2 of sum p |v| of one head, times what the rounding of its scores does to p: the keys
 * that weigh count. */
static double head_scale(const op_run *r, size_t head, size_t row)
{
    const zm_attention_params *p = &r->reference.attention;
    const zm_kv_layout *layout = &p->layout;
    size_t dim = layout->head_dim, kv_head = cache_head(p, head, row);
    const double *values = op_run_input(r, V_CACHE);
    double out[OP_MAX_HEAD_DIM] = {0}, plain[OP_MAX_HEAD_DIM] = {0};
    double total = 0, magnitudes = 0, max = -INFINITY, squares = 0;
    for (size_t j = visible_begin(p, row); j < visible_end(p, row); ++j) {
        head_score s = score_of(r, head, row, j);
        if (s.score == -INFINITY) {
            continue; /* weighs nothing */
        }
        double shrink = s.score > max ? exp(max - s.score) : 1;
        max = fmax(max, s.score);
        double weight = exp(s.score - max);
        total = total * shrink + weight;
        magnitudes = magnitudes * shrink + weight * s.magnitude;
        for (size_t i = 0; i < dim; ++i) {
            double value = weight * fabs(values[op_value_place(layout, kv_head, j, i)]);
            plain[i] = plain[i] * shrink + value;
            out[i] = out[i] * shrink + value * (1 + s.magnitude);
        }
    }
    for (size_t i = 0; i < dim; ++i) {
        double scale = (out[i] + plain[i] * magnitudes / total) / total;
        squares += scale * scale;
    }
    return squares;
}

static double scale(const op_run *r, size_t operand, size_t row)
{
    double squares = 0;
    (void)operand;
    for (size_t head = 0; head < heads_of(&r->reference.attention); ++head) {
        squares += head_scale(r, head, row);
    }
    return sqrt(squares);
}

/* Only of the keys that are seen. */
static double flops(const op_params *params)
{
    const zm_attention_params *p = &params->attention;
    double keys = 0;
    for (size_t row = 0; row < op_rows(&p->q); ++row) {
        keys += (double)(visible_end(p, row) - visible_begin(p, row));
    }
    return 4 * keys * heads_of(p) * p->layout.head_dim;
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_attention_params *p = &params->attention;
    size_t size = p->layout.dtype ? zm_dtype_size(p->layout.dtype) : real_size;
    double keys = 0;
    for (size_t s = 0; s < sequences_of(p); ++s) {
        size_t row = start_of(p, s), end = start_of(p, s + 1);
        keys += row < end ? (double)(visible_end(p, end - 1) - visible_begin(p, row)) : 0;
    }
    double cache = 2 * keys * p->layout.heads * p->layout.head_dim;
    return op_tensor_bytes(&p->q, real_size) + op_tensor_bytes(&p->dst, real_size) +
           op_tensor_bytes(&p->slopes, real_size) + cache * (double)size;
}

static void describe(const op_params *params, char *text, size_t size)
{
    const zm_attention_params *p = &params->attention;
    snprintf(text, size,
             " sequences=%" PRIu32 " heads=%" PRIu32 "/%" PRIu32 " head_dim=%" PRIu32
             " kv_length=%" PRIu32 ":%s%s window=%" PRIu32 " scale=%g soft_cap=%g",
             sequences_of(p), heads_of(p), p->layout.heads, p->layout.head_dim, p->kv_length,
             p->layout.dtype ? zm_dtype_name(p->layout.dtype) : "real", p->causal ? " causal" : "",
             p->window, scale_of(p), (double)p->soft_cap);
}

const op_description op_attention = {
    .name = "attention",
    .operand_count = OPERANDS,
    .operands = {{"q", offsetof(zm_attention_params, q), OP_INPUT},
                 {"k_cache", offsetof(zm_attention_params, k_cache), OP_INPUT},
                 {"v_cache", offsetof(zm_attention_params, v_cache), OP_INPUT},
                 {"slopes", offsetof(zm_attention_params, slopes), OP_INPUT},
                 {"lengths", offsetof(zm_attention_params, lengths), OP_INPUT},
                 {"starts", offsetof(zm_attention_params, starts), OP_INPUT},
                 {"dst", offsetof(zm_attention_params, dst), OP_OUTPUT}},
    .cases = cases,
    .prepare = prepare,
    .fill = fill,
    .run = run,
    .args = args,
    .tolerance_f32 = 2e-6,
    .tolerance_f64 = 1e-13,
    .scale = scale,
    .flops = flops,
    .bytes = bytes,
    .describe = describe,
};
