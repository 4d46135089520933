/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a shape mean for each op, and the shapes that are timed unasked: layers of
 * GPT-2 and Whisper at the lengths that they run at. */
#include "shape.h"

static zm_tensor activation(const shape *s, uint32_t rows, uint32_t cols)
{
    zm_tensor tensor = op_matrix(rows, cols, 0, 0);
    tensor.dtype = s->type;
    return tensor;
}

static zm_tensor indices(uint32_t count)
{
    zm_tensor tensor = op_vector(count, 0);
    tensor.dtype = ZM_I32;
    return tensor;
}

static zm_activation activation_kind(shape *s)
{
    static const struct {
        const char *flag;
        zm_activation kind;
    } kinds[] = {{"gelu", ZM_ACTIVATION_GELU}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (shape_flag(s, kinds[i].flag))
            return kinds[i].kind;
    return ZM_ACTIVATION_NONE;
}

/* ---- matmul ---- */

static bool build_matmul(shape *s, op_case *c)
{
    enum { X, WEIGHT, BIAS, RESIDUAL, DST };
    uint32_t m = shape_get(s, "m", 1), n = shape_get(s, "n", 768), k = shape_get(s, "k", 768);
    zm_matmul_params *p = &c->params.matmul;
    p->x = activation(s, m, k);
    p->weight = op_weight(n, k, s->weight_type, 0);
    p->dst = activation(s, m, n);
    p->activation = activation_kind(s);
    if (shape_flag(s, "bias"))
        p->bias = op_vector(n, 0);
    if (shape_flag(s, "residual"))
        p->residual = activation(s, m, n);
    c->fill[WEIGHT] = OP_WEIGHT;
    return true;
}

static const char *const matmul_texts[] = {
    "m=512,n=3072,k=768",  "m=128,n=1536,k=576",
    "m=1500,n=2048,k=512", "m=2048,n=1024,k=1024",
    "m=128,n=768,k=768",   "m=1,n=3072,k=768",
    "m=2,n=3072,k=768",    "m=3,n=3072,k=768",
    "m=5,n=3072,k=768",    "m=8,n=3072,k=768",
    "m=17,n=3072,k=768",   "m=197,n=3072,k=768",
    "m=1,n=8192,k=4096",   NULL,
};

/* ---- norms ---- */

static bool build_norm(shape *s, op_case *c)
{
    enum { X, RESIDUAL, WEIGHT, BIAS, DST, SUM };
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    zm_norm_params *p = &c->params.norm;
    p->x = activation(s, rows, d);
    p->dst = activation(s, rows, d);
    p->weight = op_vector(d, 0);
    if (shape_flag(s, "bias"))
        p->bias = op_vector(d, 0);
    if (shape_flag(s, "residual")) {
        p->residual = activation(s, rows, d);
        p->sum = activation(s, rows, d);
    }
    p->eps = 1e-5f;
    c->fill[WEIGHT] = OP_SCALE;
    return true;
}

static const char *const norm_texts[] = {
    "rows=2048,d=1024", "rows=2048,d=1024,residual", "rows=512,d=768", "rows=1,d=768", NULL,
};

/* ---- element-wise ---- */

static bool build_add(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    c->params.add.x = activation(s, rows, d);
    c->params.add.y = activation(s, rows, d);
    c->params.add.dst = activation(s, rows, d);
    return true;
}

static bool build_recentre(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    c->params.add.x = activation(s, rows, d);
    if (shape_flag(s, "residual"))
        c->params.add.y = activation(s, rows, d);
    c->params.add.dst = activation(s, rows, d);
    return true;
}

static const char *const row_texts[] = {"rows=2048,d=1024", "rows=1,d=768", NULL};

/* ---- convolution, embedding ---- */

static bool build_conv1d(shape *s, op_case *c)
{
    enum { X, WEIGHT, BIAS, DST };
    uint32_t rows = shape_get(s, "rows", 3000), channels = shape_get(s, "channels", 80);
    uint32_t n = shape_get(s, "n", 512), kernel = shape_get(s, "kernel", 3);
    uint32_t stride = shape_get(s, "stride", 1), padding = shape_get(s, "padding", kernel / 2);
    zm_conv1d_params *p = &c->params.conv1d;
    if (rows + 2 * (uint64_t)padding < kernel || (uint64_t)kernel * channels > INT32_MAX)
        return false;
    p->x = activation(s, rows, channels);
    p->weight = op_weight(n, kernel * channels, s->weight_type, 0);
    p->bias = op_vector(n, 0);
    p->dst = activation(s, (rows + 2 * padding - kernel) / stride + 1, n);
    p->kernel = kernel;
    p->stride = stride;
    p->padding = padding;
    p->activation = activation_kind(s);
    c->fill[WEIGHT] = OP_WEIGHT;
    return true;
}

static const char *const conv1d_texts[] = {
    "rows=3000,channels=80,n=512,gelu",
    "rows=3000,channels=512,n=512,stride=2,gelu",
    NULL,
};

static bool build_embedding(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    zm_embedding_params *p = &c->params.embedding;
    p->tokens = indices(rows);
    p->table = op_matrix(shape_get(s, "vocabulary", 4096), d, 0, 0);
    p->table.dtype = s->weight_type;
    if (shape_flag(s, "position"))
        p->position = op_matrix(rows, d, 0, 0);
    p->dst = activation(s, rows, d);
    p->recentre = shape_flag(s, "recentre");
    return true;
}

static const char *const embedding_texts[] = {"rows=448,d=768,position", "rows=1,d=768", NULL};

/* ---- attention ---- */

static bool build_kv_store(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), heads = shape_get(s, "heads", 12);
    uint32_t dim = shape_get(s, "head_dim", 64);
    zm_kv_store_params *p = &c->params.kv_store;
    p->k = activation(s, rows, heads * dim);
    p->v = activation(s, rows, heads * dim);
    p->k_cache = op_vector(1, 0);
    p->v_cache = op_vector(1, 0);
    p->layout.heads = heads;
    p->layout.head_dim = dim;
    p->layout.capacity = shape_get(s, "capacity", rows > 1024 ? rows : 1024);
    return p->layout.capacity >= rows;
}

static const char *const kv_store_texts[] = {"rows=128", "rows=1", NULL};

static bool build_attention(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), heads = shape_get(s, "heads", 12);
    uint32_t kv_heads = shape_get(s, "kv_heads", heads), dim = shape_get(s, "head_dim", 64);
    zm_attention_params *p = &c->params.attention;
    p->q = activation(s, rows, heads * dim);
    p->k_cache = op_vector(1, 0);
    p->v_cache = op_vector(1, 0);
    p->dst = activation(s, rows, heads * dim);
    p->layout.heads = kv_heads;
    p->layout.head_dim = dim;
    p->heads = heads;
    p->kv_length = shape_get(s, "kv", rows);
    p->layout.capacity = p->kv_length;
    p->causal = shape_flag(s, "causal");
    return heads % kv_heads == 0 && (!p->causal || p->kv_length >= rows);
}

static const char *const attention_texts[] = {
    "rows=128,causal",   "rows=1024,causal", "rows=4096,causal",
    "rows=1500,heads=8", "rows=1,kv=1024",   NULL,
};

/* ---- choices ---- */

static bool build_argmax(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1);
    c->params.argmax.x = activation(s, rows, shape_get(s, "n", 51865));
    c->params.argmax.dst = indices(rows);
    return true;
}

static const char *const choice_texts[] = {"rows=1,n=51865", "rows=128,n=50257", NULL};

#define NORM_KEYS "rows, d, bias, residual"

const shape_op shape_ops[] = {
    {"layer_norm", NORM_KEYS, build_norm, norm_texts},
    {"rms_norm", NORM_KEYS, build_norm, norm_texts},
    {"add", "rows, d", build_add, row_texts},
    {"recentre", "rows, d, residual", build_recentre, row_texts},
    {"matmul", "m, n, k, bias, residual, gelu", build_matmul, matmul_texts},
    {"conv1d", "rows, channels, n, kernel, stride, padding, gelu", build_conv1d, conv1d_texts},
    {"embedding", "rows, d, vocabulary, position, recentre", build_embedding, embedding_texts},
    {"kv_store", "rows, heads, head_dim, capacity", build_kv_store, kv_store_texts},
    {"attention", "rows, heads, kv_heads, head_dim, kv, causal", build_attention, attention_texts},
    {"argmax", "rows, n", build_argmax, choice_texts},
};
const size_t shape_op_count = sizeof(shape_ops) / sizeof(shape_ops[0]);
