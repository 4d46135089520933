/* SPDX-License-Identifier: Apache-2.0 */
/* What the words of a shape mean for ops on rows and heads, and the shapes that are timed unasked.
 */
#include "shape.h"
#include "tests/ops/norm.h"
#include "tests/ops/statistics.h"

#define MAX_COLUMNS (1u << 28)

/* ---- norms ---- */

static bool build_norm(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    zm_norm_params *p = &c->params.norm;
    p->x = op_matrix(rows, d, 0, 0);
    p->dst = op_matrix(rows, d, 0, 0);
    p->weight = op_vector(d, 0);
    if (shape_flag(s, "bias"))
        p->bias = op_vector(d, 0);
    if (shape_flag(s, "residual")) {
        p->residual = op_matrix(rows, d, 0, 0);
        p->sum = op_matrix(rows, d, 0, 0);
    }
    p->eps = 1e-5f;
    c->fill[NORM_WEIGHT] = OP_SCALE;
    return true;
}

static const char *const norm_texts[] = {
    "rows=2048,d=1024", "rows=2048,d=1024,residual", "rows=512,d=768", "rows=1,d=768", NULL,
};

static bool build_row_statistics(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1);
    c->params.row_statistics.x = op_matrix(rows, shape_get(s, "d", 768), 0, 0);
    c->params.row_statistics.statistics = op_statistics(rows, 0);
    return true;
}

/* ---- element by element ---- */

static bool build_add(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    c->params.add.x = op_matrix(rows, d, 0, 0);
    c->params.add.y = op_matrix(rows, d, 0, 0);
    c->params.add.dst = op_matrix(rows, d, 0, 0);
    return true;
}

static bool build_recentre(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    c->params.add.x = op_matrix(rows, d, 0, 0);
    if (shape_flag(s, "residual"))
        c->params.add.y = op_matrix(rows, d, 0, 0);
    c->params.add.dst = op_matrix(rows, d, 0, 0);
    return true;
}

static bool build_activate(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), d = shape_get(s, "d", 768);
    zm_activate_params *p = &c->params.activate;
    p->x = op_matrix(rows, d, 0, 0);
    if (shape_flag(s, "bias"))
        p->bias = op_vector(d, 0);
    if (shape_flag(s, "gated"))
        p->y = op_matrix(rows, d, 0, 0);
    p->dst = op_matrix(rows, d, 0, 0);
    p->activation = shape_activation(s);
    return true;
}

static bool build_softmax(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), n = shape_get(s, "n", 1024);
    c->params.softmax.x = op_matrix(rows, n, 0, 0);
    c->params.softmax.dst = op_matrix(rows, n, 0, 0);
    return true;
}

/* From the type of activations to that of weights. */
static bool build_copy(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), cols = shape_get(s, "cols", 768);
    zm_copy_params *p = &c->params.copy;
    p->x = op_matrix(rows, cols, 0, 0);
    p->dst = op_typed(op_matrix(rows, cols, 0, 0), s->weight_type);
    if (shape_flag(s, "transpose")) {
        p->x.stride[0] = 1;
        p->x.stride[1] = rows;
    }
    return true;
}

static const char *const row_texts[] = {"rows=2048,d=1024", "rows=1,d=768", NULL};
static const char *const activate_texts[] = {"rows=2048,d=1024,bias,gelu",
                                             "rows=2048,d=1024,gated,silu", NULL};
static const char *const softmax_texts[] = {"rows=1536,n=1024", "rows=1,n=51865", NULL};
static const char *const copy_texts[] = {"rows=2048,cols=1024", "rows=2048,cols=1024,transpose",
                                         NULL};

/* ---- heads ---- */

static bool build_kv_store(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), heads = shape_get(s, "heads", 12);
    uint32_t dim = shape_get(s, "head_dim", 64);
    zm_kv_store_params *p = &c->params.kv_store;
    if ((uint64_t)heads * dim > MAX_COLUMNS)
        return false;
    p->k = op_matrix(rows, heads * dim, 0, 0);
    p->v = op_matrix(rows, heads * dim, 0, 0);
    p->k_cache = op_vector(1, 0);
    p->v_cache = op_vector(1, 0);
    p->layout.dtype = s->weight_type;
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
    uint32_t sequences = shape_get(s, "sequences", 1);
    uint64_t all = (uint64_t)sequences * rows;
    zm_attention_params *p = &c->params.attention;
    if ((uint64_t)heads * dim > MAX_COLUMNS || dim > OP_MAX_HEAD_DIM || all > UINT32_MAX)
        return false;
    p->sequences = sequences;
    p->q = op_matrix((uint32_t)all, heads * dim, 0, 0);
    p->k_cache = op_vector(1, 0);
    p->v_cache = op_vector(1, 0);
    p->dst = op_matrix((uint32_t)all, heads * dim, 0, 0);
    p->layout.dtype = s->weight_type;
    p->layout.heads = kv_heads;
    p->layout.head_dim = dim;
    p->heads = heads;
    p->kv_length = shape_get(s, "kv", rows);
    p->layout.capacity = p->kv_length;
    p->causal = shape_flag(s, "causal");
    p->window = shape_get(s, "window", 0);
    if (shape_flag(s, "alibi"))
        p->slopes = op_vector(heads, 0);
    return heads % kv_heads == 0 && (!p->causal || p->kv_length >= rows);
}

static const char *const attention_texts[] = {
    "rows=128,causal",   "rows=1024,causal", "rows=4096,causal",
    "rows=1500,heads=8", "rows=1,kv=1024",   NULL,
};

static bool build_rope(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), heads = shape_get(s, "heads", 12);
    uint32_t dim = shape_get(s, "head_dim", 64);
    zm_rope_params *p = &c->params.rope;
    if ((uint64_t)heads * dim > MAX_COLUMNS)
        return false;
    p->x = op_matrix(rows, heads * dim, 0, 0);
    p->positions = op_typed(op_vector(rows, 0), ZM_I32);
    p->dst = op_matrix(rows, heads * dim, 0, 0);
    p->head_dim = dim;
    p->layout = shape_flag(s, "pairs") ? ZM_ROPE_PAIRS : ZM_ROPE_HALVES;
    return dim % 2 == 0;
}

static const char *const rope_texts[] = {"rows=1024", "rows=1", NULL};

/* ---- choices ---- */

static bool build_argmax(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1);
    c->params.argmax.x = op_matrix(rows, shape_get(s, "n", 51865), 0, 0);
    c->params.argmax.dst = op_typed(op_vector(rows, 0), ZM_I32);
    return true;
}

static bool build_top_k(shape *s, op_case *c)
{
    uint32_t rows = shape_get(s, "rows", 1), n = shape_get(s, "n", 51865);
    uint32_t k = shape_get(s, "k", 40);
    c->params.top_k.x = op_matrix(rows, n, 0, 0);
    c->params.top_k.values = op_matrix(rows, k, 0, 0);
    c->params.top_k.indices = op_typed(op_matrix(rows, k, 0, 0), ZM_I32);
    return k <= n && k <= 256;
}

static const char *const argmax_texts[] = {"rows=1,n=51865", "rows=128,n=50257", NULL};
static const char *const top_k_texts[] = {"rows=1,n=51865,k=40", NULL};

#define NORM_KEYS "rows, d, bias, residual"

const shape_op shape_row_ops[] = {
    {"layer_norm", NORM_KEYS, build_norm, norm_texts},
    {"rms_norm", NORM_KEYS, build_norm, norm_texts},
    {"crms_norm", NORM_KEYS, build_norm, norm_texts},
    {"row_statistics", "rows, d", build_row_statistics, row_texts},
    {"add", "rows, d", build_add, row_texts},
    {"recentre", "rows, d, residual", build_recentre, row_texts},
    {"activate", "rows, d, bias, gated, " SHAPE_ACTIVATIONS, build_activate, activate_texts},
    {"softmax", "rows, n", build_softmax, softmax_texts},
    {"copy", "rows, cols, transpose", build_copy, copy_texts},
    {"kv_store", "rows, heads, head_dim, capacity", build_kv_store, kv_store_texts},
    {"attention", "sequences, rows, heads, kv_heads, head_dim, kv, causal, window, alibi",
     build_attention, attention_texts},
    {"rope", "rows, heads, head_dim, pairs", build_rope, rope_texts},
    {"argmax", "rows, n", build_argmax, argmax_texts},
    {"top_k", "rows, n, k", build_top_k, top_k_texts},
};
const size_t shape_row_op_count = sizeof(shape_row_ops) / sizeof(shape_row_ops[0]);
