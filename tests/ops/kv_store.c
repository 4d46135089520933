/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"
#include "op_run.h"

extern const op_description op_kv_store;

enum { K, V, POSITIONS, STARTS, K_CACHE, V_CACHE, OPERANDS };

typedef struct kv_shape {
    uint32_t rows, heads, head_dim, capacity, position;
} kv_shape;

static op_case *add_case(op_list *list, kv_shape s, size_t i)
{
    op_case *c = op_list_add(list);
    if (!c) {
        return NULL;
    }
    zm_kv_store_params *p = &c->params.kv_store;
    uint32_t pad = i % 3 ? (uint32_t)(i % 7) : 0;
    p->k = op_matrix(s.rows, s.heads * s.head_dim, i % 4, pad);
    p->v = op_matrix(s.rows, s.heads * s.head_dim, (i + 1) % 4, pad + 1);
    p->k_cache = op_vector(1, (i + 2) % 4);
    p->v_cache = op_vector(1, (i + 3) % 4);
    p->layout.heads = s.heads;
    p->layout.head_dim = s.head_dim;
    p->layout.capacity = s.capacity;
    p->position = s.position;
    return c;
}

static uint32_t sequences_of(const zm_kv_store_params *p)
{
    return p->sequences ? p->sequences : 1;
}

/* What starts says: rows of none in front, all that there may be, none, one, too many. */
static uint32_t start_of(const zm_kv_store_params *p, size_t sequence)
{
    const uint32_t rows[] = {p->rows, 0, 1, p->rows + 1};
    uint32_t start = 1;
    for (size_t s = 0; s < sequence; ++s) {
        start += rows[s % 4];
    }
    return start;
}

/* Rows in and out of the cache; types; panels that are whole, begun and left. */
static bool add_sequences(op_list *list)
{
    static const uint32_t rows[] = {1, 3, 16, 37};
    for (size_t i = 0; i < 16; ++i) {
        uint32_t each = rows[i % 4], position = i % 3 ? 0 : 21;
        kv_shape s = {each, (uint32_t)(1 + i % 3), i % 2 ? 16 : 5, each + 40, position};
        op_case *c = add_case(list, s, i);
        if (!c) {
            return false;
        }
        zm_kv_store_params *p = &c->params.kv_store;
        p->sequences = (uint32_t)(2 + i % 5);
        p->k.shape[0] *= p->sequences;
        p->v.shape[0] *= p->sequences;
        if (i % 4 != 1) {
            p->positions = op_typed(op_vector(p->sequences, i % 3), ZM_I32);
        }
        if (i % 3 == 2) {
            p->rows = each;
            p->starts = op_typed(op_vector(p->sequences + 1, i % 2), ZM_I32);
            p->k.shape[0] = p->v.shape[0] = start_of(p, p->sequences);
        }
        c->small = i % 4 == 2;
    }
    return true;
}

static bool cases(op_list *list)
{
    static const uint32_t dims[] = {1, 3, 8, 16, 31, 64, 80, 128};
    static const zm_dtype types[] = {ZM_DTYPE_NONE, ZM_F16, ZM_BF16, ZM_F32};
    static const uint32_t positions[] = {0, 1, 15, 16, 17, 40};
    for (size_t i = 0; i < 96; ++i) {
        uint32_t rows = (uint32_t)(1 + i * 5 % 37), position = positions[i % 6];
        kv_shape s = {rows, (uint32_t)(1 + i % 4), dims[i % 8], rows + position + (uint32_t)(i % 3),
                      position};
        op_case *c = add_case(list, s, i);
        if (!c) {
            return false;
        }
        c->fill[i % 2 ? K : V] = i % 5 ? OP_NORMAL : OP_NAN;
        c->params.kv_store.layout.dtype = types[i / 3 % 4];
        c->activation = i < 48 ? OP_REAL : op_activations[i % 3];
        c->small = i % 8 == 3;
    }
    kv_shape whole = {1500, 2, 64, 1500, 0};
    return add_case(list, whole, 1) && add_sequences(list);
}

/* Within the cache, up to its end, before its beginning in part, outside of it. */
static bool fill(const op_run *r, size_t operand, op_fill how, op_random *random, double *values)
{
    const zm_kv_store_params *p = &r->params.kv_store;
    const double before = -1.0 - op_rows(&p->k) / sequences_of(p) / 2 - p->position;
    const double places[] = {3, 0, (double)p->layout.capacity - p->position - 1, before, INT32_MAX};
    (void)how;
    (void)random;
    for (uint32_t s = 0; operand == POSITIONS && s < sequences_of(p); ++s) {
        values[s] = places[s % 5];
    }
    for (uint32_t s = 0; operand == STARTS && s <= sequences_of(p); ++s) {
        values[s] = start_of(p, s);
    }
    return operand == POSITIONS || operand == STARTS;
}

static zm_status prepare(const zm_device *device, op_params *params)
{
    zm_kv_store_params *p = &params->kv_store;
    return op_cache_prepare(device, &p->layout, p->sequences, &p->k_cache, &p->v_cache);
}

static zm_status run(zm_stream *stream, const op_params *params)
{
    return zm_kv_store(stream, &params->kv_store);
}

static void args(const op_run *r, op_args *out)
{
    const zm_kv_store_params *p = &r->reference.kv_store;
    out->kv_store = (struct zm_kv_store_args){
        .sequences = sequences_of(p),
        .rows = p->starts.rank ? p->rows : op_rows(&p->k) / sequences_of(p),
        .heads = p->layout.heads,
        .head_dim = p->layout.head_dim,
        .k_offset = (uint32_t)p->k.offset,
        .k_stride = (uint32_t)op_stride(&p->k),
        .v_offset = (uint32_t)p->v.offset,
        .v_stride = (uint32_t)op_stride(&p->v),
        .k_cache_offset = (uint32_t)p->k_cache.offset,
        .v_cache_offset = (uint32_t)p->v_cache.offset,
        .head_stride = (uint32_t)p->layout.head_stride,
        .panel = p->layout.panel,
        .kv_type = ZM_F64,
        .position = p->position,
        .positions_offset = (uint32_t)p->positions.offset,
        .all_rows = op_rows(&p->k),
        .starts_offset = (uint32_t)p->starts.offset,
        .flags = (p->positions.rank ? ZM_FLAG_POSITION : 0) | (p->starts.rank ? ZM_FLAG_STARTS : 0),
    };
}

static double flops(const op_params *params)
{
    (void)params;
    return 0;
}

static double bytes(const op_params *params, size_t real_size)
{
    const zm_kv_store_params *p = &params->kv_store;
    size_t size = p->layout.dtype ? zm_dtype_size(p->layout.dtype) : real_size;
    double elements = (double)op_rows(&p->k) * op_cols(&p->k);
    return op_tensor_bytes(&p->k, real_size) + op_tensor_bytes(&p->v, real_size) +
           2 * elements * (double)size;
}

const op_description op_kv_store = {
    .name = "kv_store",
    .operand_count = OPERANDS,
    .operands = {{"k", offsetof(zm_kv_store_params, k), OP_INPUT},
                 {"v", offsetof(zm_kv_store_params, v), OP_INPUT},
                 {"positions", offsetof(zm_kv_store_params, positions), OP_INPUT},
                 {"starts", offsetof(zm_kv_store_params, starts), OP_INPUT},
                 {"k_cache", offsetof(zm_kv_store_params, k_cache), OP_UPDATED},
                 {"v_cache", offsetof(zm_kv_store_params, v_cache), OP_UPDATED}},
    .cases = cases,
    .prepare = prepare,
    .fill = fill,
    .run = run,
    .args = args,
    .flops = flops,
    .bytes = bytes,
};
