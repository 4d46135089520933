/* SPDX-License-Identifier: Apache-2.0 */
#include "naive_block.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "support/random.h"

/* ---- numbers ---- */

static void fill(float *values, size_t count, double low, double high, uint64_t *random)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (float)test_random_between(random, low, high);
}

static void fill_linear(naive_linear *l, uint32_t n, uint32_t k, bool bias, uint64_t *random)
{
    assert(n <= NAIVE_MAX && k <= NAIVE_MAX);
    l->n = n;
    l->k = k;
    l->has_bias = bias;
    fill(l->weight, (size_t)n * k, -0.4, 0.4, random);
    fill(l->bias, n, -0.2, 0.6, random);
}

static void fill_norm(naive_norm *norm, uint32_t d, bool affine, uint64_t *random)
{
    norm->has_weight = norm->has_bias = affine;
    fill(norm->weight, d, 0.5, 1.5, random);
    fill(norm->bias, d, -0.5, 0.5, random);
}

static void fill_attention(naive_attention *a, const naive_block *b, uint32_t in, uint64_t *random)
{
    fill_norm(&a->norm, b->d, b->affine, random);
    fill_linear(&a->in, in, b->d, b->biases, random);
    fill_linear(&a->out, b->d, b->heads * b->head_dim, b->biases, random);
}

void naive_fill(naive_block *b)
{
    uint64_t random = 7;
    uint32_t q = b->heads * b->head_dim, kv = 2 * b->kv_heads * b->head_dim;
    fill_attention(&b->self, b, q + kv, &random);
    fill_attention(&b->cross, b, q, &random);
    if (b->crosses)
        fill_linear(&b->cross_kv, kv, b->source_d, b->biases, &random);
    fill_norm(&b->mlp_norm, b->d, b->affine, &random);
    if (b->one_norm)
        b->mlp_norm = b->self.norm;
    fill_linear(&b->up, b->ff * (b->gated ? 2 : 1), b->d, b->biases, &random);
    fill_linear(&b->down, b->d, b->ff, b->biases, &random);
    fill(b->x, (size_t)NAIVE_ROWS * b->d, -0.5, 1.5, &random);
    fill(b->source, (size_t)NAIVE_SOURCE * b->source_d, -1, 1, &random);
}

/* ---- the block ---- */

typedef double rows_of[NAIVE_ROWS][NAIVE_MAX];

static void norm_rows(const naive_block *b, const naive_norm *norm, rows_of x, rows_of y)
{
    for (uint32_t r = 0; r < NAIVE_ROWS; r++) {
        double sum = 0, squares = 0, mean = 0, power = 1;
        for (uint32_t i = 0; i < b->d; i++)
            sum += x[r][i];
        if (b->norm == NAIVE_LAYER)
            mean = sum / b->d;
        for (uint32_t i = 0; i < b->d; i++)
            squares += (x[r][i] - mean) * (x[r][i] - mean);
        if (b->norm == NAIVE_CRMS)
            power = (squares + sum * sum) / (b->d + 1);
        else
            power = squares / b->d;
        for (uint32_t i = 0; i < b->d; i++) {
            y[r][i] = (x[r][i] - mean) / sqrt(power + (double)b->eps);
            if (norm->has_weight)
                y[r][i] *= (double)norm->weight[i];
            if (norm->has_bias)
                y[r][i] += (double)norm->bias[i];
            if (b->norm == NAIVE_NO_NORM)
                y[r][i] = x[r][i];
        }
    }
}

static void linear_rows(const naive_linear *l, rows_of x, rows_of y)
{
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t i = 0; i < l->n; i++) {
            double sum = l->has_bias ? (double)l->bias[i] : 0;
            for (uint32_t j = 0; j < l->k; j++)
                sum += (double)l->weight[i * l->k + j] * x[r][j];
            y[r][i] = sum;
        }
}

/* Halves, base 10000. */
static void rotate_rows(const naive_block *b, rows_of qkv)
{
    uint32_t half = b->head_dim / 2;
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t h = 0; h < b->heads + b->kv_heads; h++)
            for (uint32_t i = 0; i < half; i++) {
                double angle = r / pow(10000, 2.0 * i / b->head_dim);
                double *head = &qkv[r][h * b->head_dim], u = head[i], v = head[i + half];
                head[i] = u * cos(angle) - v * sin(angle);
                head[i + half] = u * sin(angle) + v * cos(angle);
            }
}

/* One query over so many rows of keys and values, which are columns of kv. */
static void attend_row(const naive_block *b, const double *q, rows_of kv, uint32_t keys,
                       uint32_t key_column, uint32_t value_column, double *out)
{
    double weight[NAIVE_ROWS], total = 0;
    for (uint32_t j = 0; j < keys; j++) {
        double score = 0;
        for (uint32_t i = 0; i < b->head_dim; i++)
            score += q[i] * kv[j][key_column + i];
        total += weight[j] = exp(score / sqrt(b->head_dim));
    }
    for (uint32_t i = 0; i < b->head_dim; i++) {
        out[i] = 0;
        for (uint32_t j = 0; j < keys; j++)
            out[i] += weight[j] / total * kv[j][value_column + i];
    }
}

/* kv: keys from the column `first` on, values behind them. keys: 0 = as causal says. */
static void attend_rows(const naive_block *b, rows_of q, rows_of kv, uint32_t first, uint32_t keys,
                        rows_of out)
{
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t h = 0; h < b->heads; h++) {
            uint32_t key = first + h / (b->heads / b->kv_heads) * b->head_dim;
            uint32_t count = keys ? keys : b->causal ? r + 1 : NAIVE_ROWS;
            attend_row(b, &q[r][h * b->head_dim], kv, count, key, key + b->kv_heads * b->head_dim,
                       &out[r][h * b->head_dim]);
        }
}

static void self_attention(const naive_block *b, rows_of norm, rows_of out)
{
    static rows_of qkv, heads;
    linear_rows(&b->self.in, norm, qkv);
    if (b->rotary)
        rotate_rows(b, qkv);
    attend_rows(b, qkv, qkv, b->heads * b->head_dim, 0, heads);
    linear_rows(&b->self.out, heads, out);
}

static void cross_attention(const naive_block *b, rows_of norm, rows_of out)
{
    static rows_of q, heads, kv, source;
    for (uint32_t r = 0; r < NAIVE_SOURCE; r++)
        for (uint32_t i = 0; i < b->source_d; i++)
            source[r][i] = (double)b->source[r * b->source_d + i];
    linear_rows(&b->cross_kv, source, kv);
    linear_rows(&b->cross.in, norm, q);
    attend_rows(b, q, kv, 0, NAIVE_SOURCE, heads);
    linear_rows(&b->cross.out, heads, out);
}

static double activate(zm_activation activation, double x)
{
    return activation == ZM_ACTIVATION_SILU ? x / (1 + exp(-x)) : x / 2 * (1 + erf(x / sqrt(2)));
}

static void mlp(const naive_block *b, rows_of norm, rows_of out)
{
    static rows_of up, middle;
    linear_rows(&b->up, norm, up);
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t i = 0; i < b->ff; i++)
            middle[r][i] = activate(b->activation, up[r][i]) * (b->gated ? up[r][b->ff + i] : 1);
    linear_rows(&b->down, middle, out);
}

static void add_rows(const naive_block *b, rows_of x, rows_of branch)
{
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t i = 0; i < b->d; i++)
            x[r][i] += branch[r][i];
}

static void block_rows(const naive_block *b, rows_of x)
{
    static rows_of norm, other, branch;
    norm_rows(b, &b->self.norm, x, norm);
    norm_rows(b, &b->mlp_norm, x, other); /* of a parallel block */
    self_attention(b, norm, branch);
    add_rows(b, x, branch);
    if (b->crosses) {
        norm_rows(b, &b->cross.norm, x, norm);
        cross_attention(b, norm, branch);
        add_rows(b, x, branch);
    }
    if (!b->parallel)
        norm_rows(b, &b->mlp_norm, x, other);
    mlp(b, other, branch);
    add_rows(b, x, branch);
}

void naive_run(const naive_block *b, double *out)
{
    static rows_of x;
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t i = 0; i < b->d; i++)
            x[r][i] = (double)b->x[r * b->d + i];
    for (uint32_t i = 0; i < b->layers; i++)
        block_rows(b, x);
    for (uint32_t r = 0; r < NAIVE_ROWS; r++)
        for (uint32_t i = 0; i < b->d; i++)
            out[r * b->d + i] = x[r][i];
}
