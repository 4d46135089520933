/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/half.h"
#include "naive_whisper.h"

/* A matrix of doubles; rows x cols. */
typedef struct matrix {
    uint32_t rows, cols;
    double *at;
} matrix;

typedef struct naive {
    const zm_model *model;
    const zm_model_info *info;
    char prefix[96];
} naive;

static matrix make(uint32_t rows, uint32_t cols)
{
    matrix m = {rows, cols, calloc((size_t)rows * cols, sizeof(double))};
    assert(m.at);
    return m;
}

static void drop(matrix *m)
{
    free(m->at);
    m->at = NULL;
}

static const zm_model_tensor *tensor(const naive *self, const char *name, const char *suffix)
{
    char full[160];
    snprintf(full, sizeof(full), "%s%s%s", self->prefix, name, suffix);
    return zm_model_find_tensor(self->model, full);
}

static double value(const zm_model_tensor *t, uint64_t i)
{
    return t ? zm_load_real(t->data, t->dtype, i) : 0;
}

/* x w^T + b */
static matrix linear(const naive *self, matrix x, const char *name)
{
    const zm_model_tensor *w = tensor(self, name, ".weight"), *b = tensor(self, name, ".bias");
    matrix y = make(x.rows, (uint32_t)w->shape[0]);
    for (uint32_t r = 0; r < y.rows; r++) {
        for (uint32_t n = 0; n < y.cols; n++) {
            double sum = value(b, n);
            for (uint32_t k = 0; k < x.cols; k++)
                sum += x.at[r * x.cols + k] * value(w, (uint64_t)n * x.cols + k);
            y.at[r * y.cols + n] = sum;
        }
    }
    return y;
}

static void gelu(matrix x)
{
    for (size_t i = 0; i < (size_t)x.rows * x.cols; i++)
        x.at[i] = 0.5 * x.at[i] * (1 + erf(x.at[i] / sqrt(2.0)));
}

static double row_mean(matrix x, uint32_t row)
{
    double sum = 0;
    for (uint32_t i = 0; i < x.cols; i++)
        sum += x.at[row * x.cols + i];
    return sum / x.cols;
}

static void recentre(matrix x)
{
    for (uint32_t r = 0; r < x.rows; r++) {
        double mean = row_mean(x, r);
        for (uint32_t i = 0; i < x.cols; i++)
            x.at[r * x.cols + i] -= mean;
    }
}

static matrix norm(const naive *self, matrix x, const char *name)
{
    const zm_model_tensor *w = tensor(self, name, ".weight"), *b = tensor(self, name, ".bias");
    matrix y = make(x.rows, x.cols);
    for (uint32_t r = 0; r < x.rows; r++) {
        double mean = self->info->norm == ZM_NORM_RMS ? 0 : row_mean(x, r), square = 0;
        for (uint32_t i = 0; i < x.cols; i++)
            square += pow(x.at[r * x.cols + i] - mean, 2);
        double scale = 1 / sqrt(square / x.cols + self->info->eps);
        for (uint32_t i = 0; i < x.cols; i++)
            y.at[r * x.cols + i] =
                (x.at[r * x.cols + i] - mean) * scale * value(w, i) + value(b, i);
    }
    return y;
}

static void attend_head(matrix q, matrix k, matrix v, uint32_t first, uint32_t size, bool causal,
                        matrix out)
{
    matrix p = make(1, k.rows);
    for (uint32_t r = 0; r < q.rows; r++) {
        uint32_t keys = causal ? k.rows - q.rows + r + 1 : k.rows;
        double largest = -INFINITY, sum = 0;
        for (uint32_t j = 0; j < keys; j++) {
            p.at[j] = 0;
            for (uint32_t i = first; i < first + size; i++)
                p.at[j] += q.at[r * q.cols + i] * k.at[j * k.cols + i] / sqrt((double)size);
            largest = fmax(largest, p.at[j]);
        }
        for (uint32_t j = 0; j < keys; j++)
            sum += p.at[j] = exp(p.at[j] - largest);
        for (uint32_t j = 0; j < keys; j++) {
            for (uint32_t i = first; i < first + size; i++)
                out.at[r * q.cols + i] += p.at[j] / sum * v.at[j * v.cols + i];
        }
    }
    drop(&p);
}

static void add_to(matrix x, matrix y)
{
    for (size_t i = 0; i < (size_t)x.rows * x.cols; i++)
        x.at[i] += y.at[i];
}

/* x += out_proj(attention(q of norm(x), k and v of source)); a source without rows is norm(x). */
static void attention(naive *self, matrix x, const char *name, matrix source, uint32_t heads,
                      bool causal)
{
    char part[64];
    snprintf(part, sizeof(part), "%s_layer_norm", name);
    matrix y = norm(self, x, part), from = source.rows ? source : y;
    snprintf(part, sizeof(part), "%s.q_proj", name);
    matrix q = linear(self, y, part);
    snprintf(part, sizeof(part), "%s.k_proj", name);
    matrix k = linear(self, from, part);
    snprintf(part, sizeof(part), "%s.v_proj", name);
    matrix v = linear(self, from, part), mixed = make(q.rows, q.cols);
    for (uint32_t h = 0; h < heads; h++)
        attend_head(q, k, v, h * (x.cols / heads), x.cols / heads, causal, mixed);
    snprintf(part, sizeof(part), "%s.out_proj", name);
    matrix branch = linear(self, mixed, part);
    add_to(x, branch);
    matrix *all[] = {&y, &q, &k, &v, &mixed, &branch};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        drop(all[i]);
}

static void mlp(naive *self, matrix x)
{
    matrix y = norm(self, x, "final_layer_norm"), wide = linear(self, y, "fc1");
    gelu(wide);
    matrix branch = linear(self, wide, "fc2");
    add_to(x, branch);
    drop(&y);
    drop(&wide);
    drop(&branch);
}

/* Three rows of x around each stride-th one, channels outermost as in the file. */
static matrix convolve(const naive *self, matrix x, const char *name, uint32_t stride)
{
    matrix windows = make((x.rows - 1) / stride + 1, x.cols * 3);
    for (uint32_t r = 0; r < windows.rows; r++) {
        for (uint32_t j = 0; j < 3; j++) {
            int64_t row = (int64_t)r * stride + j - 1;
            for (uint32_t c = 0; c < x.cols && row >= 0 && row < x.rows; c++)
                windows.at[r * windows.cols + c * 3 + j] = x.at[row * x.cols + c];
        }
    }
    matrix y = linear(self, windows, name);
    gelu(y);
    drop(&windows);
    return y;
}

static void add_positions(const naive *self, matrix x)
{
    const zm_model_tensor *positions = tensor(self, "embed_positions", ".weight");
    for (size_t i = 0; i < (size_t)x.rows * x.cols; i++)
        x.at[i] += value(positions, i);
    if (self->info->norm == ZM_NORM_RMS)
        recentre(x);
}

double *naive_encode(const zm_model *model, const float *mel)
{
    naive self = {.model = model, .info = zm_model_get_info(model), .prefix = "model.encoder."};
    const zm_whisper_info *info = &self.info->whisper;
    matrix input = make(2 * info->encoder_positions, info->mel_bins);
    for (size_t i = 0; i < (size_t)input.rows * input.cols; i++)
        input.at[i] = mel[i];
    matrix wide = convolve(&self, input, "conv1", 1), x = convolve(&self, wide, "conv2", 2);
    add_positions(&self, x);
    for (uint32_t i = 0; i < info->encoder_layers; i++) {
        snprintf(self.prefix, sizeof(self.prefix), "model.encoder.layers.%u.", i);
        attention(&self, x, "self_attn", (matrix){0}, info->encoder_heads, false);
        mlp(&self, x);
    }
    snprintf(self.prefix, sizeof(self.prefix), "model.encoder.");
    matrix y = norm(&self, x, "layer_norm");
    drop(&input);
    drop(&wide);
    drop(&x);
    return y.at;
}

double *naive_decode(const zm_model *model, const double *encoded, const int32_t *tokens,
                     uint32_t count)
{
    naive self = {.model = model, .info = zm_model_get_info(model), .prefix = "model.decoder."};
    const zm_whisper_info *info = &self.info->whisper;
    matrix source = make(info->encoder_positions, info->d), x = make(count, info->d);
    memcpy(source.at, encoded, (size_t)source.rows * source.cols * sizeof(double));
    const zm_model_tensor *table = tensor(&self, "embed_tokens", ".weight");
    for (uint32_t r = 0; r < count; r++) {
        for (uint32_t i = 0; i < info->d; i++)
            x.at[r * info->d + i] = value(table, (uint64_t)tokens[r] * info->d + i);
    }
    add_positions(&self, x);
    for (uint32_t i = 0; i < info->decoder_layers; i++) {
        snprintf(self.prefix, sizeof(self.prefix), "model.decoder.layers.%u.", i);
        attention(&self, x, "self_attn", (matrix){0}, info->decoder_heads, true);
        attention(&self, x, "encoder_attn", source, info->decoder_heads, false);
        mlp(&self, x);
    }
    snprintf(self.prefix, sizeof(self.prefix), "model.decoder.");
    matrix y = norm(&self, x, "layer_norm");
    matrix last = {1, info->d, y.at + (size_t)(count - 1) * info->d};
    matrix logits = linear(&self, last, "embed_tokens");
    drop(&source);
    drop(&x);
    drop(&y);
    return logits.at;
}

double relative_l2(const double *a, const double *b, size_t count)
{
    double error = 0, square = 0;
    for (size_t i = 0; i < count; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        square += a[i] * a[i];
    }
    return sqrt(error / square);
}

double relative_l2_f32(const double *a, const float *b, size_t count)
{
    double error = 0, square = 0;
    for (size_t i = 0; i < count; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        square += a[i] * a[i];
    }
    return sqrt(error / square);
}
