/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a shape mean for ops with weights, and the shapes that are timed unasked:
 * layers of GPT-2, Whisper and ViT at the lengths that they run at. */
#include "shape.h"
#include "tests/ops/matmul.h"
#include "tests/ops/statistics.h"

/* ---- matmul ---- */

static bool build_batch(shape *s, uint32_t batch, uint32_t m, uint32_t n, uint32_t k,
                        zm_matmul_params *p)
{
    p->x = op_batch(batch, m, k, 0, 0);
    p->weight = op_typed(op_batch(batch, n, k, 0, 0), s->weight_type);
    p->dst = op_batch(batch, m, n, 0, 0);
    return true;
}

static void add_epilogue(shape *s, uint32_t m, uint32_t n, uint32_t rows, zm_matmul_params *p)
{
    if (shape_flag(s, "bias")) {
        p->bias = op_vector(rows, 0);
        p->bias.panel = p->gated ? OP_GATED : 0;
    }
    if (shape_flag(s, "residual"))
        p->residual = op_matrix(m, n, 0, 0);
    if (shape_flag(s, "statistics"))
        p->statistics = op_statistics(m, 0);
    if (shape_flag(s, "rms")) {
        p->scale.kind = ZM_ROW_SCALE_RMS;
        p->scale.statistics = op_statistics(m, 0);
        p->scale.eps = 1e-5f;
    }
}

static bool build_matmul(shape *s, op_case *c)
{
    uint32_t m = shape_get(s, "m", 1), n = shape_get(s, "n", 768), k = shape_get(s, "k", 768);
    uint32_t batch = shape_get(s, "batch", 0);
    zm_matmul_params *p = &c->params.matmul;
    p->activation = shape_activation(s);
    c->fill[MATMUL_WEIGHT] = OP_WEIGHT;
    if (batch)
        return build_batch(s, batch, m, n, k, p);
    p->gated = shape_flag(s, "gated");
    uint32_t rows = p->gated ? 2 * n : n;
    p->x = op_matrix(m, k, 0, 0);
    p->weight = op_weight(rows, k, s->weight_type, 0);
    p->weight.panel = p->gated ? OP_GATED : OP_PACKED;
    p->dst = op_matrix(m, n, 0, 0);
    add_epilogue(s, m, n, rows, p);
    return true;
}

static const char *const matmul_texts[] = {
    "m=512,n=3072,k=768",
    "m=128,n=1536,k=576",
    "m=1500,n=2048,k=512",
    "m=2048,n=1024,k=1024",
    "m=128,n=768,k=768",
    "m=1,n=3072,k=768",
    "m=1,n=1536,k=576",
    "m=2,n=3072,k=768",
    "m=3,n=3072,k=768",
    "m=5,n=3072,k=768",
    "m=8,n=3072,k=768",
    "m=17,n=3072,k=768",
    "m=197,n=3072,k=768",
    "m=1,n=8192,k=4096",
    "m=1,n=51865,k=512",
    "m=128,n=3072,k=768,bias,gelu",
    "m=128,n=768,k=768,bias,residual,statistics",
    "m=128,n=2048,k=768,gated,silu,rms",
    "batch=12,m=128,n=128,k=64",
    NULL,
};

static bool build_deferred(shape *s, op_case *c)
{
    uint32_t m = shape_get(s, "m", 1), k = shape_get(s, "k", 768);
    uint32_t d = shape_get(s, "d", 768), n = shape_get(s, "n", 768);
    zm_matmul_params *first = &c->params.deferred_norm.first;
    zm_matmul_params *second = &c->params.deferred_norm.second;
    first->x = op_matrix(m, k, 0, 0);
    first->weight = op_weight(d, k, s->weight_type, 0);
    first->dst = op_matrix(m, d, 0, 0);
    first->statistics = op_statistics(m, 0);
    second->weight = op_weight(n, d, s->weight_type, 0);
    second->scale.kind = ZM_ROW_SCALE_RMS;
    second->scale.eps = 1e-5f;
    second->dst = op_matrix(m, n, 0, 0);
    return true;
}

static const char *const deferred_texts[] = {"m=128,k=768,d=768,n=3072", NULL};

/* ---- convolutions, embedding ---- */

static bool build_conv1d(shape *s, op_case *c)
{
    enum { X, WEIGHT, BIAS, DST };
    uint32_t rows = shape_get(s, "rows", 3000), channels = shape_get(s, "channels", 80);
    uint32_t n = shape_get(s, "n", 512), kernel = shape_get(s, "kernel", 3);
    uint32_t stride = shape_get(s, "stride", 1), padding = shape_get(s, "padding", 0);
    zm_conv1d_params *p = &c->params.conv1d;
    p->activation = shape_activation(s);
    if (rows + 2 * padding < kernel || (uint64_t)kernel * channels > INT32_MAX)
        return false;
    p->x = op_matrix(rows, channels, 0, 0);
    p->weight = op_weight(n, kernel * channels, s->weight_type, 0);
    p->bias = op_vector(n, 0);
    p->dst = op_matrix((rows + 2 * padding - kernel) / stride + 1, n, 0, 0);
    p->kernel = kernel;
    p->stride = stride;
    p->padding = padding;
    c->fill[WEIGHT] = OP_WEIGHT;
    return true;
}

static const char *const conv1d_texts[] = {
    "rows=3000,channels=80,n=512,padding=1,gelu",
    "rows=3000,channels=512,n=512,stride=2,padding=1,gelu",
    NULL,
};

static bool build_patch_embedding(shape *s, op_case *c)
{
    enum { X, WEIGHT, BIAS, POSITION, DST };
    uint32_t channels = shape_get(s, "channels", 3), patch = shape_get(s, "patch", 16);
    uint32_t height = shape_get(s, "height", 224), width = shape_get(s, "width", 224);
    uint32_t n = shape_get(s, "n", 768);
    uint64_t k = (uint64_t)patch * patch * channels;
    zm_patch_embedding_params *p = &c->params.patch_embedding;
    if (height % patch || width % patch || k > INT32_MAX || patch > 4096)
        return false;
    p->x = op_batch(channels, height, width, 0, 0);
    p->weight = op_weight(n, (uint32_t)k, s->weight_type, 0);
    p->bias = op_vector(n, 0);
    p->dst = op_matrix(height / patch * (width / patch), n, 0, 0);
    p->patch = patch;
    c->fill[WEIGHT] = OP_WEIGHT;
    return true;
}

static const char *const patch_texts[] = {"channels=3,height=224,width=224,patch=16,n=768", NULL};

static bool build_embedding(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    zm_embedding_params *p = &c->params.embedding;
    p->tokens = op_typed(op_vector(rows, 0), ZM_I32);
    p->table = op_typed(op_matrix(shape_get(s, "vocabulary", 4096), d, 0, 0), s->weight_type);
    if (shape_flag(s, "position"))
        p->position = op_typed(op_matrix(rows, d, 0, 0), OP_REAL);
    p->dst = op_matrix(rows, d, 0, 0);
    p->recentre = shape_flag(s, "recentre");
    return true;
}

static const char *const embedding_texts[] = {"rows=448,d=768,position", "rows=1,d=768", NULL};

const shape_op shape_matrix_ops[] = {
    {"matmul", "m, n, k, batch, bias, residual, statistics, rms, gated, " SHAPE_ACTIVATIONS,
     build_matmul, matmul_texts},
    {"deferred_norm", "m, k, d, n", build_deferred, deferred_texts},
    {"conv1d", "rows, channels, n, kernel, stride, padding, " SHAPE_ACTIVATIONS, build_conv1d,
     conv1d_texts},
    {"patch_embedding", "channels, height, width, patch, n", build_patch_embedding, patch_texts},
    {"embedding", "rows, d, vocabulary, position, recentre", build_embedding, embedding_texts},
};
const size_t shape_matrix_op_count = sizeof(shape_matrix_ops) / sizeof(shape_matrix_ops[0]);
