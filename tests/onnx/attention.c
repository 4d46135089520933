/* SPDX-License-Identifier: Apache-2.0 */
/* Attention: each batch of a case is a call of ours, its keys and values stored in a cache first.
 */
#include <math.h>
#include <stdio.h>

#include "onnx/lab.h"

enum { Q, K, V, MASK, PAST_KEY, PAST_VALUE, LENGTHS };

/* [batch][positions][heads][dim], in either of ONNX's orders. */
typedef struct operand {
    const zm_model_tensor *tensor;
    uint32_t batch, heads, rows, dim;
    onnx_view view;
} operand;

typedef struct attention {
    operand q, k, v, past_k, past_v, y;
    uint32_t dim; /* the wider head, to which the others are filled up with zeros */
    zm_dtype dtype;
    bool causal;
    int64_t window;
    float scale, soft_cap;
} attention;

/* Rank 4: [batch][heads][rows][dim]; rank 3: [batch][rows][heads * dim]. */
static bool operand_read(onnx_lab *lab, const onnx_operand *given, uint32_t heads, operand *o)
{
    const zm_model_tensor *t = o->tensor = given->tensor;
    if (!t || (t->rank != 4 && (t->rank != 3 || heads == 0))) {
        onnx_refuse(lab, "operands that aren't of rank 4, or 3 with a number of heads");
        return false;
    }
    bool split = t->rank == 4;
    o->batch = (uint32_t)t->shape[0];
    o->heads = split ? (uint32_t)t->shape[1] : heads;
    o->rows = (uint32_t)t->shape[split ? 2 : 1];
    o->dim = (uint32_t)(split ? t->shape[3] : t->shape[2] / heads);
    uint64_t row = split ? o->dim : (uint64_t)o->heads * o->dim;
    uint64_t head = split ? (uint64_t)o->rows * o->dim : o->dim;
    o->view = (onnx_view){
        .shape = {1, o->rows, o->heads, o->dim}, .stride = {0, row, head, 1}, .inner = o->dim};
    return true;
}

static bool operands_read(onnx_lab *lab, const onnx_case *c, attention *a)
{
    uint32_t q_heads = onnx_count(c, "q_num_heads");
    uint32_t kv_heads = onnx_count(c, "kv_num_heads");
    if (!operand_read(lab, &c->in[Q], q_heads, &a->q) ||
        !operand_read(lab, &c->in[K], kv_heads, &a->k) ||
        !operand_read(lab, &c->in[V], kv_heads, &a->v) ||
        !operand_read(lab, &c->out[0], q_heads, &a->y)) {
        return false;
    }
    if (c->in[PAST_KEY].tensor && (!operand_read(lab, &c->in[PAST_KEY], 0, &a->past_k) ||
                                   !operand_read(lab, &c->in[PAST_VALUE], 0, &a->past_v))) {
        return false;
    }
    a->dim = a->q.dim > a->v.dim ? a->q.dim : a->v.dim;
    a->dtype = onnx_activation(lab, a->q.tensor);
    return true;
}

/* A mask that lets everything pass is none. */
static bool masks(const zm_model_tensor *mask)
{
    for (uint64_t i = 0; mask && i < mask->elements; ++i) {
        if (onnx_element(mask, i) != (mask->dtype == ZM_U8 ? 1 : 0)) {
            return true;
        }
    }
    return false;
}

/* ONNX's window counts the keys on the left of the query's own, ours with it. */
static bool window_read(onnx_lab *lab, const onnx_case *c, attention *a)
{
    double left = onnx_number(c, "left_window_size", -1);
    double right = onnx_number(c, "right_window_size", -1);
    a->causal = onnx_number(c, "is_causal", 0) != 0 || right == 0;
    a->window = left < 0 ? 0 : (int64_t)left + 1;
    if (!a->causal && (left >= 0 || right > 0)) {
        onnx_refuse(lab, "a window that isn't causal (%g keys before the query's, %g after)", left,
                    right);
        return false;
    }
    return true;
}

static bool read(onnx_lab *lab, const onnx_case *c, attention *a)
{
    const zm_model_tensor *mask = c->in[MASK].tensor;
    if (!operands_read(lab, c, a) || !window_read(lab, c, a)) {
        return false;
    }
    if (masks(mask)) {
        onnx_refuse(lab, "a mask of %s; our attention has causal masks, windows and lengths",
                    mask->dtype == ZM_U8 ? "booleans" : "numbers to add");
        return false;
    }
    a->scale = (float)onnx_number(c, "scale", 0);
    a->scale = a->scale != 0 ? a->scale : 1 / sqrtf((float)a->q.dim);
    a->soft_cap = (float)onnx_number(c, "softcap", 0);
    return true;
}

/* The keys of a batch that are in use. The last row of a causal call of ours sees all of them. */
static bool length_of(onnx_lab *lab, const onnx_case *c, const attention *a, uint32_t b,
                      uint32_t *length)
{
    const zm_model_tensor *lengths = c->in[LENGTHS].tensor;
    uint32_t total = a->past_k.rows + a->k.rows;
    if (lengths && lengths->elements != a->q.batch) {
        onnx_refuse(lab, "%u batches with another number of lengths", a->q.batch);
        return false;
    }
    if (lengths) {
        *length = (uint32_t)fmin(fmax(onnx_element(lengths, b), 0), UINT32_MAX);
    } else {
        /* The first query is at the first key behind the past; later keys are never seen. */
        *length = a->causal ? a->past_k.rows + a->q.rows : total;
    }
    if (*length > total) {
        onnx_refuse(lab,
                    "the last query is at position %u, behind all %u keys; our last query is "
                    "at the last key",
                    *length - 1, total);
    } else if (*length == 0 || (a->causal && *length < a->q.rows)) {
        onnx_refuse(lab, "%u queries on %u keys: the first has none at all", a->q.rows, *length);
    }
    return lab->unlike[0] == '\0';
}

/* One batch of an operand: [rows][heads * dim]. */
static zm_tensor put(onnx_lab *lab, const attention *a, const operand *o, uint32_t b)
{
    onnx_view view = o->view;
    view.offset = (uint64_t)b * o->rows * o->heads * o->dim;
    view.shape[3] = a->dim;
    return zm_tensor_2d(onnx_put(lab, o->tensor, a->dtype, &view), a->dtype, o->rows,
                        o->heads * a->dim);
}

static void remember(onnx_lab *lab, const attention *a, const operand *k, const operand *v,
                     uint32_t b, zm_kv_store_params *store)
{
    if (!k->tensor) {
        return;
    }
    store->k = put(lab, a, k, b);
    store->v = put(lab, a, v, b);
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_kv_store(lab->stream, store));
    }
    store->position += k->rows;
}

static void attend(onnx_lab *lab, const onnx_case *c, const attention *a, uint32_t b,
                   uint32_t length)
{
    zm_kv_store_params store = {.position = 0};
    onnx_ran(lab, zm_kv_layout_get(lab->device, a->dtype, a->k.heads, a->dim,
                                   a->past_k.rows + a->k.rows, &store.layout));
    const uint32_t cache = (uint32_t)store.layout.elements;
    store.k_cache = zm_tensor_1d(onnx_room(lab, a->dtype, cache), a->dtype, cache);
    store.v_cache = zm_tensor_1d(onnx_room(lab, a->dtype, cache), a->dtype, cache);
    remember(lab, a, &a->past_k, &a->past_v, b, &store);
    remember(lab, a, &a->k, &a->v, b, &store);
    zm_attention_params params = {.q = put(lab, a, &a->q, b),
                                  .k_cache = store.k_cache,
                                  .v_cache = store.v_cache,
                                  .layout = store.layout,
                                  .heads = a->q.heads,
                                  .kv_length = length,
                                  .causal = a->causal,
                                  .window = (uint32_t)a->window,
                                  .scale = a->scale,
                                  .soft_cap = a->soft_cap};
    params.dst = params.q;
    if (lab->status == ZM_OK) {
        onnx_ran(lab, zm_attention(lab->stream, &params));
    }
    onnx_view view = a->y.view;
    view.offset = (uint64_t)b * a->y.rows * a->y.heads * a->y.dim;
    view.shape[3] = a->dim;
    onnx_expect(lab, &c->out[0], &params.dst, &view);
}

void onnx_attention(onnx_lab *lab, const onnx_case *c)
{
    attention a = {0};
    uint32_t length;
    if (!read(lab, c, &a)) {
        return;
    }
    for (uint32_t b = 0; b < a.q.batch; ++b) {
        if (!length_of(lab, c, &a, b, &length)) {
            return;
        }
    }
    for (uint32_t b = 0; b < a.q.batch && length_of(lab, c, &a, b, &length); ++b) {
        attend(lab, c, &a, b, length);
    }
    if (c->out[3].tensor) {
        snprintf(lab->partly, sizeof(lab->partly),
                 "%s: our attention never has all scores in memory", c->out[3].name);
    } else if (c->out[1].tensor || c->out[2].tensor) {
        snprintf(lab->partly, sizeof(lab->partly), "%s, %s: our cache, in a layout of the device",
                 c->out[1].name, c->out[2].name);
    }
}
