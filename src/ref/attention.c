/* SPDX-License-Identifier: Apache-2.0 */
/* Online softmax (Milakov and Gimelshein 2018). Up to ROWS query rows of one head go through the
 * keys together, KEYS at a time, DIMS elements of a key at a time. */
#include <math.h>
#include <string.h>

#include "common/compiler.h"
#include "common/half.h"
#include "ref/real.h"
#include "ref/ref.h"
#include "ref/sequence.h"

#define ROWS 8
#define KEYS 64
#define DIMS 64

typedef struct head {
    const struct zm_attention_args *args; /* kv_length is that of the sequence */
    const ACT *q;                         /* from row0 on */
    const void *keys, *values;            /* the caches, */
    size_t key0, value0;                  /* and where this head begins in them */
    double slope;
    size_t row0, rows;
} head;

typedef struct state {
    double max[ROWS], sum[ROWS];
    double scores[ROWS][KEYS];       /* of the keys at hand; then their weights */
    double out[ZM_REF_MAX_HEAD_DIM]; /* [rows][head_dim], not yet divided by sum */
    double value[ZM_REF_MAX_HEAD_DIM];
} state;

/* Keys begin .. end-1 */
typedef struct span {
    size_t begin, end;
} span;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Where the row itself stands among the keys. */
static int64_t position_of(const struct zm_attention_args *a, size_t row)
{
    return (int64_t)a->kv_length - a->rows + (int64_t)row;
}

/* The keys that a row sees. */
static span visible(const struct zm_attention_args *a, size_t row)
{
    if (!(a->flags & ZM_FLAG_CAUSAL)) {
        return (span){0, a->kv_length};
    }
    int64_t position = position_of(a, row);
    size_t end = position < 0 ? 0 : (size_t)position + 1;
    return (span){a->window && end > a->window ? end - a->window : 0, end};
}

static span common_span(span a, span b)
{
    size_t end = min_size(a.end, b.end);
    return (span){min_size(a.begin > b.begin ? a.begin : b.begin, end), end};
}

/* Elements d0 .. d0+dims-1 of a key. */
static void load_key(const head *h, size_t key, size_t d0, size_t dims, double *line)
{
    zm_dtype type = (zm_dtype)h->args->kv_type;
    size_t dim = h->args->head_dim, panel = h->args->panel;
    if (panel == 0) {
        size_t first = h->key0 + key * dim + d0;
        zm_convert_reals(line, ZM_F64, (const char *)h->keys + first * zm_dtype_size(type), type,
                         dims);
        return;
    }
    for (size_t i = 0; i < dims; ++i) {
        size_t place = (key / panel * dim + d0 + i) * panel + key % panel;
        line[i] = zm_load_real(h->keys, type, h->key0 + place);
    }
}

static void load_value(const head *h, size_t key, double *value)
{
    zm_dtype type = (zm_dtype)h->args->kv_type;
    size_t dim = h->args->head_dim, first = h->value0 + key * dim;
    zm_convert_reals(value, ZM_F64, (const char *)h->values + first * zm_dtype_size(type), type,
                     dim);
}

ZM_VECTORISED
static void add_products(double *restrict scores, const double *restrict q, size_t dims,
                         double block[restrict][KEYS])
{
    double score[KEYS];
    memcpy(score, scores, sizeof(score));
    for (size_t i = 0; i < dims; ++i) {
        for (size_t j = 0; j < KEYS; ++j) {
            score[j] += q[i] * block[i][j];
        }
    }
    memcpy(scores, score, sizeof(score));
}

/* scores[r][j] = q[r] . k[keys.begin + j] */
static void multiply(const head *h, span keys, state *s)
{
    const struct zm_attention_args *a = h->args;
    double block[DIMS][KEYS] = {{0}}, line[DIMS];
    memset(s->scores, 0, sizeof(s->scores));
    for (size_t d0 = 0; d0 < a->head_dim; d0 += DIMS) {
        size_t dims = min_size(DIMS, a->head_dim - d0);
        for (size_t key = keys.begin; key < keys.end; ++key) {
            load_key(h, key, d0, dims, line);
            for (size_t i = 0; i < dims; ++i) {
                block[i][key - keys.begin] = line[i];
            }
        }
        for (size_t r = 0; r < h->rows; ++r) {
            for (size_t i = 0; i < dims; ++i) {
                line[i] = act_get(h->q, r * a->q_stride + d0 + i);
            }
            add_products(s->scores[r], line, dims, block);
        }
    }
}

/* What becomes of q . k before the softmax. */
static double score_of(const head *h, size_t row, size_t key, double product)
{
    const struct zm_attention_args *a = h->args;
    double score = (double)a->scale * product, cap = (double)a->soft_cap;
    if (cap > 0) {
        score = cap * tanh(score / cap);
    }
    if (a->flags & ZM_FLAG_SLOPES) {
        score += h->slope * (double)((int64_t)key - position_of(a, row));
    }
    return score;
}

/* Turns the products of a row with the keys that it sees into weights. While every score so far is
 * -Inf the maximum stands in as 0: the weights are 0 then and not NaN, since a later key may be
 * finite. */
static void weigh(const head *h, size_t r, span keys, span seen, state *s)
{
    double *scores = s->scores[r], *out = s->out + r * h->args->head_dim;
    double max = s->max[r];
    for (size_t key = seen.begin; key < seen.end; ++key) {
        double *score = &scores[key - keys.begin];
        *score = score_of(h, h->row0 + r, key, *score);
        max = *score > max ? *score : max;
    }
    double base = max == -INFINITY ? 0 : max;
    double shrink = exp(s->max[r] - base);
    s->max[r] = max;
    s->sum[r] *= shrink;
    for (size_t i = 0; i < h->args->head_dim; ++i) {
        out[i] *= shrink;
    }
    for (size_t key = seen.begin; key < seen.end; ++key) {
        double *score = &scores[key - keys.begin];
        *score = exp(*score - base);
        s->sum[r] += *score;
    }
}

ZM_VECTORISED
static void add_value(double *restrict out, double weight, const double *restrict value,
                      size_t dims)
{
    for (size_t i = 0; i < dims; ++i) {
        out[i] += weight * value[i];
    }
}

/* What a row doesn't see may never have been written: it is left out, not weighed with 0. */
static void add_values(const head *h, span keys, const span *seen, state *s)
{
    size_t dim = h->args->head_dim;
    for (size_t key = keys.begin; key < keys.end; ++key) {
        load_value(h, key, s->value);
        for (size_t r = 0; r < h->rows; ++r) {
            if (key >= seen[r].begin && key < seen[r].end) {
                add_value(s->out + r * dim, s->scores[r][key - keys.begin], s->value, dim);
            }
        }
    }
}

static void attend(const head *h, state *s)
{
    const struct zm_attention_args *a = h->args;
    span all = {visible(a, h->row0).begin, visible(a, h->row0 + h->rows - 1).end}, seen[ROWS];
    memset(s, 0, sizeof(*s));
    for (size_t r = 0; r < h->rows; ++r) {
        s->max[r] = -INFINITY;
    }
    for (size_t key0 = all.begin; key0 < all.end; key0 += KEYS) {
        span keys = {key0, min_size(key0 + KEYS, all.end)};
        multiply(h, keys, s);
        for (size_t r = 0; r < h->rows; ++r) {
            seen[r] = common_span(keys, visible(a, h->row0 + r));
            if (seen[r].begin < seen[r].end) {
                weigh(h, r, keys, seen[r], s);
            }
        }
        add_values(h, keys, seen, s);
    }
}

/* dst may be q: all of a row's q is read before its dst is written. */
static void attend_rows(const struct zm_attention_args *a, void *const *buffers, size_t sequence,
                        size_t query_head, size_t row0, size_t rows)
{
    size_t dim = a->head_dim, line0 = a->first_row + row0;
    size_t cache = sequence * a->kv_heads + query_head / (a->heads / a->kv_heads);
    head h = {.args = a,
              .q = (const ACT *)buffers[0] + a->q_offset + line0 * a->q_stride + query_head * dim,
              .keys = buffers[1],
              .values = buffers[2],
              .key0 = a->k_cache_offset + cache * a->head_stride,
              .value0 = a->v_cache_offset + cache * a->head_stride,
              .row0 = row0,
              .rows = rows};
    if (a->flags & ZM_FLAG_SLOPES) {
        h.slope = ((const REAL *)buffers[3])[a->slopes_offset + query_head];
    }
    ACT *dst = (ACT *)buffers[6] + a->dst_offset + line0 * a->dst_stride + query_head * dim;
    state s;
    attend(&h, &s);
    for (size_t r = 0; r < rows; ++r) {
        for (size_t i = 0; i < dim; ++i) {
            act_set(dst, r * a->dst_stride + i, s.out[r * dim + i] / s.sum[r]);
        }
    }
}

/* 0 where that is none: its rows see nothing then. */
static uint32_t length_of(const struct zm_attention_args *a, void *const *buffers, size_t sequence)
{
    if (!(a->flags & ZM_FLAG_LENGTHS)) {
        return a->kv_length;
    }
    int32_t length = ((const int32_t *)buffers[4])[a->lengths_offset + sequence];
    return length > 0 && (uint32_t)length <= a->kv_length ? (uint32_t)length : 0;
}

void ZM_REF(attention)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_attention_args *all = args;
    struct zm_attention_args a = *all;
    size_t most = min_size(ROWS, ZM_REF_MAX_HEAD_DIM / a.head_dim);
    const int32_t *starts =
        a.flags & ZM_FLAG_STARTS ? (const int32_t *)buffers[5] + a.starts_offset : NULL;
    while (begin < end) {
        size_t row = begin % all->rows, line = begin / all->rows;
        sequence_rows s = rows_of_sequence(starts, line / a.heads, all->rows, a.all_rows);
        size_t rows = min_size(min_size(most, all->rows - row), end - begin);
        begin += rows;
        if (row >= s.count) {
            continue;
        }
        a.kv_length = length_of(all, buffers, line / a.heads);
        a.first_row = (uint32_t)s.first;
        a.rows = (uint32_t)s.count;
        attend_rows(&a, buffers, line / a.heads, line % a.heads, row,
                    min_size(rows, s.count - row));
    }
}
