/* SPDX-License-Identifier: Apache-2.0 */
/* Online softmax (Milakov and Gimelshein 2018). Up to ROWS query rows of one head go through the
 * keys together, KEYS at a time, DIMS elements of a key at a time. */
#include <math.h>
#include <string.h>

#include "common/compiler.h"
#include "ref/real.h"
#include "ref/ref.h"

#define ROWS 8
#define KEYS 64
#define DIMS 64

typedef struct head {
    const struct zm_attention_args *args;
    const REAL *q, *keys, *values; /* q from row0 on */
    size_t row0, rows;
} head;

typedef struct state {
    double max[ROWS], sum[ROWS];
    double scores[ROWS][KEYS];
    double out[ZM_REF_MAX_HEAD_DIM]; /* [rows][head_dim], not yet divided by sum */
} state;

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many keys the row sees. */
static size_t visible(const struct zm_attention_args *a, size_t row)
{
    return a->flags & ZM_FLAG_CAUSAL ? a->kv_length - a->rows + row + 1 : a->kv_length;
}

/* block[d][key] of the keys key0 .. key0+count-1 and the elements d0 .. d0+dims-1. */
static void load_keys(const head *h, size_t key0, size_t count, size_t d0, size_t dims,
                      double block[][KEYS])
{
    size_t dim = h->args->head_dim, panel = h->args->panel;
    for (size_t j = 0; j < count; ++j) {
        size_t key = key0 + j;
        size_t first = panel ? key / panel * dim * panel + key % panel : key * dim;
        size_t step = panel ? panel : 1;
        for (size_t i = 0; i < dims; ++i) {
            block[i][j] = h->keys[first + (d0 + i) * step];
        }
    }
}

ZM_VECTORISED
static void add_scores(double *restrict scores, const REAL *restrict q, size_t dims,
                       double block[restrict][KEYS])
{
    double score[KEYS];
    memcpy(score, scores, sizeof(score));
    for (size_t i = 0; i < dims; ++i) {
        double value = q[i];
        for (size_t j = 0; j < KEYS; ++j) {
            score[j] += value * block[i][j];
        }
    }
    memcpy(scores, score, sizeof(score));
}

static void score_keys(const head *h, size_t key0, size_t count, state *s)
{
    const struct zm_attention_args *a = h->args;
    double block[DIMS][KEYS] = {{0}};
    memset(s->scores, 0, sizeof(s->scores));
    for (size_t d0 = 0; d0 < a->head_dim; d0 += DIMS) {
        size_t dims = min_size(DIMS, a->head_dim - d0);
        load_keys(h, key0, count, d0, dims, block);
        for (size_t r = 0; r < h->rows; ++r) {
            add_scores(s->scores[r], h->q + r * a->q_stride + d0, dims, block);
        }
    }
}

ZM_VECTORISED
static void add_value(double *restrict out, double weight, const REAL *restrict value, size_t dims)
{
    for (size_t i = 0; i < dims; ++i) {
        out[i] += weight * value[i];
    }
}

/* Takes in the first count keys of the block. While every score so far is -Inf the maximum stands
 * in as 0: the weights are 0 then and not NaN, since a later key may be finite. */
static void take_row(const head *h, size_t r, size_t key0, size_t count, state *s)
{
    size_t dim = h->args->head_dim;
    double *out = s->out + r * dim, *scores = s->scores[r];
    double max = s->max[r];
    for (size_t j = 0; j < count; ++j) {
        scores[j] *= (double)h->args->scale;
        max = scores[j] > max ? scores[j] : max;
    }
    double base = max == -INFINITY ? 0 : max;
    double shrink = exp(s->max[r] - base);
    s->max[r] = max;
    s->sum[r] *= shrink;
    for (size_t i = 0; i < dim; ++i) {
        out[i] *= shrink;
    }
    for (size_t j = 0; j < count; ++j) {
        double weight = exp(scores[j] - base);
        s->sum[r] += weight;
        add_value(out, weight, h->values + (key0 + j) * dim, dim);
    }
}

static void attend(const head *h, state *s)
{
    const struct zm_attention_args *a = h->args;
    size_t longest = visible(a, h->row0 + h->rows - 1);
    memset(s, 0, sizeof(*s));
    for (size_t r = 0; r < h->rows; ++r) {
        s->max[r] = -INFINITY;
    }
    for (size_t key0 = 0; key0 < longest; key0 += KEYS) {
        score_keys(h, key0, min_size(KEYS, longest - key0), s);
        for (size_t r = 0; r < h->rows; ++r) {
            size_t end = min_size(visible(a, h->row0 + r), key0 + KEYS);
            if (end > key0) {
                take_row(h, r, key0, end - key0, s);
            }
        }
    }
}

/* dst may be q: all of a row's q is read before its dst is written. */
static void attend_rows(const struct zm_attention_args *a, void *const *buffers, size_t query_head,
                        size_t row0, size_t rows)
{
    size_t dim = a->head_dim;
    size_t kv_head = query_head / (a->heads / a->kv_heads);
    head h = {.args = a,
              .q = (const REAL *)buffers[0] + a->q_offset + row0 * a->q_stride + query_head * dim,
              .keys = (const REAL *)buffers[1] + a->k_cache_offset + kv_head * a->head_stride,
              .values = (const REAL *)buffers[2] + a->v_cache_offset + kv_head * a->head_stride,
              .row0 = row0,
              .rows = rows};
    REAL *dst = (REAL *)buffers[4] + a->dst_offset + row0 * a->dst_stride + query_head * dim;
    state s;
    attend(&h, &s);
    for (size_t r = 0; r < rows; ++r) {
        for (size_t i = 0; i < dim; ++i) {
            dst[r * a->dst_stride + i] = (REAL)(s.out[r * dim + i] / s.sum[r]);
        }
    }
}

void ZM_REF(attention)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_attention_args *a = args;
    size_t most = min_size(ROWS, ZM_REF_MAX_HEAD_DIM / a->head_dim);
    while (begin < end) {
        size_t row = begin % a->rows;
        size_t rows = min_size(min_size(most, a->rows - row), end - begin);
        attend_rows(a, buffers, begin / a->rows, row, rows);
        begin += rows;
    }
}
