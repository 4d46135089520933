/* SPDX-License-Identifier: Apache-2.0 */
#include "net_weights.h"

#include <math.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"
#include "net_basis.h"
#include "tests/support/random.h"

#define EPS 1e-5f
#define FOLDED 1u /* variants of readers: as it is, folded, and folded in another basis */

enum { SEED_WEIGHT = 1, SEED_BIAS, SEED_NORM, SEED_X, SEED_CACHE };

/* ---- numbers ---- */

static uint64_t seed_of(uint32_t what, uint32_t layer, uint32_t part)
{
    uint64_t seed = ((uint64_t)what << 48) + ((uint64_t)layer << 16) + part;
    return test_random(&seed);
}

static void fill(double *values, uint64_t count, double low, double high, uint64_t seed)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] = test_random_between(&seed, low, high);
}

/* As floats, which is what all forms begin with. */
static void round_to_float(double *values, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] = (double)(float)values[i];
}

/* ---- memory ---- */

static zm_status put(net_weights *w, const void *bytes, uint64_t size, zm_buffer **out)
{
    void *buffers = w->buffers;
    if (!zm_array_reserve(&buffers, &w->buffer_capacity, w->buffer_count + 1, sizeof(zm_buffer *)))
        return ZM_ERROR_OUT_OF_MEMORY;
    w->buffers = buffers;
    const zm_buffer_params params = {.size = size};
    zm_status status = zm_buffer_create(w->device, &params, out);
    if (status != ZM_OK)
        return status;
    w->buffers[w->buffer_count++] = *out;
    return zm_buffer_write(w->stream, *out, 0, bytes, size);
}

static zm_status put_reals(net_weights *w, zm_dtype type, const double *values, uint64_t count,
                           zm_buffer **out)
{
    uint64_t size = count * zm_dtype_size(type);
    void *bytes = zm_calloc(count, zm_dtype_size(type));
    if (!bytes)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_convert_reals(bytes, type, values, ZM_F64, count);
    zm_status status = put(w, bytes, size, out);
    free(bytes);
    return status;
}

static zm_status put_vector(net_weights *w, const double *values, uint32_t n, zm_tensor *out)
{
    zm_dtype real = zm_device_get_info(w->device)->real_type;
    zm_buffer *buffer = NULL;
    zm_status status = put_reals(w, real, values, n, &buffer);
    *out = zm_tensor_1d(buffer, real, n);
    return status;
}

/* ---- linears ---- */

typedef struct matrix {
    uint32_t n, k;
    bool gated;
    double *weight, *bias; /* [n][k], [n]; the weight of a writer is [k][n] */
    float *values;         /* [n][k] */
} matrix;

static bool is_reader(net_role role)
{
    return role == NET_IN || role == NET_UP;
}

static matrix sizes_of(const net *n, net_role role)
{
    uint32_t kv = n->kv_heads * net_head_dim(n);
    switch (role) {
    case NET_IN: return (matrix){.n = n->d + 2 * kv, .k = n->d};
    case NET_OUT: return (matrix){.n = n->d, .k = n->d};
    case NET_UP: return (matrix){.n = n->ff * (n->gated ? 2 : 1), .k = n->d, .gated = n->gated};
    default: return (matrix){.n = n->d, .k = n->ff};
    }
}

static zm_status matrix_fill(matrix *m, const net *n, uint32_t layer, net_role role)
{
    uint64_t count = (uint64_t)m->n * m->k;
    double reach = sqrt(3.0 / m->k);
    if (!is_reader(role)) /* without norms, too, the last layer is to be finite */
        reach /= 1 + n->layers;
    m->weight = zm_calloc(count, sizeof(double));
    m->values = zm_calloc(count, sizeof(float));
    m->bias = zm_calloc(m->n, sizeof(double));
    if (!m->weight || !m->bias || !m->values)
        return ZM_ERROR_OUT_OF_MEMORY;
    fill(m->weight, count, -reach, reach, seed_of(SEED_WEIGHT, layer, role));
    round_to_float(m->weight, count);
    if (n->biases) /* with a mean, which the conversion has to take out */
        fill(m->bias, m->n, -0.1, 0.3, seed_of(SEED_BIAS, layer, role));
    return ZM_OK;
}

static void matrix_free(matrix *m)
{
    free(m->weight);
    free(m->bias);
    free(m->values);
}

static void norm_fill(const net *n, uint32_t layer, uint32_t which, double *weight, double *bias)
{
    fill(weight, n->d, 0.5, 1.5, seed_of(SEED_NORM, layer, 2 * which));
    fill(bias, n->d, n->biases ? -0.5 : 0, n->biases ? 0.5 : 0,
         seed_of(SEED_NORM, layer, 2 * which + 1));
}

static zm_status convert_reader(matrix *m, const net *n, uint32_t layer, net_role role,
                                uint32_t variant)
{
    uint64_t count = (uint64_t)m->n * m->k;
    double *norm = zm_calloc(2 * (uint64_t)n->d, sizeof(double));
    if (!norm)
        return ZM_ERROR_OUT_OF_MEMORY;
    norm_fill(n, layer, role == NET_UP, norm, norm + n->d);
    if (variant >= FOLDED) {
        net_fold(m->weight, m->bias, m->n, m->k, norm, norm + n->d);
        net_read_in((net_basis)(variant - FOLDED), m->weight, m->n, m->k);
    }
    free(norm);
    for (uint64_t i = 0; i < count; i++)
        m->values[i] = (float)m->weight[i];
    return ZM_OK;
}

static void convert_writer(matrix *m, uint32_t variant)
{
    for (uint32_t j = 0; j < m->k; j++)
        net_row_to((net_basis)variant, &m->weight[(size_t)j * m->n], m->n);
    net_row_to((net_basis)variant, m->bias, m->n);
    for (uint32_t i = 0; i < m->n; i++)
        for (uint32_t j = 0; j < m->k; j++)
            m->values[(size_t)i * m->k + j] = (float)m->weight[(size_t)j * m->n + i];
}

static zm_status put_weight(net_weights *w, const matrix *m, const zm_weight_layout *layout,
                            zm_tensor *out)
{
    uint32_t half = m->n / 2;
    uint64_t size = zm_dtype_size(w->weight_type);
    void *packed = zm_calloc(layout->elements, size);
    zm_buffer *buffer = NULL;
    if (!packed)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status =
        m->gated ? zm_gated_weight_pack(packed, w->weight_type, layout, m->values,
                                        m->values + (uint64_t)half * m->k, ZM_F32, half, m->k)
                 : zm_weight_pack(packed, w->weight_type, layout, m->n, 0, m->values, ZM_F32, m->n,
                                  m->k);
    if (status == ZM_OK)
        status = put(w, packed, layout->elements * size, &buffer);
    free(packed);
    *out = zm_tensor_2d(buffer, w->weight_type, m->n, m->k);
    out->panel = layout->panel;
    return status;
}

/* In the order of the weight's rows. */
static zm_status put_row_vector(net_weights *w, const matrix *m, const zm_weight_layout *layout,
                                double *values, zm_tensor *out)
{
    double *mixed = NULL;
    zm_status status = ZM_OK;
    if (m->gated) {
        mixed = zm_calloc(m->n, sizeof(double));
        status = mixed ? zm_gated_bias_pack(mixed, ZM_F64, layout, values, values + m->n / 2,
                                            ZM_F64, m->n / 2)
                       : ZM_ERROR_OUT_OF_MEMORY;
    }
    if (status == ZM_OK)
        status = put_vector(w, m->gated ? mixed : values, m->n, out);
    free(mixed);
    return status;
}

/* Of the weight as it is stored. */
static zm_status put_sums(net_weights *w, const matrix *m, const zm_weight_layout *layout,
                          zm_tensor *out)
{
    double *sums = zm_calloc(m->n, sizeof(double));
    float *row = zm_calloc(m->k, sizeof(float));
    zm_status status = sums && row ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; status == ZM_OK && i < m->n; i++) {
        zm_convert_reals(row, w->weight_type, m->values + (uint64_t)i * m->k, ZM_F32, m->k);
        for (uint32_t j = 0; j < m->k; j++)
            sums[i] += zm_load_real(row, w->weight_type, j);
    }
    if (status == ZM_OK)
        status = put_row_vector(w, m, layout, sums, out);
    free(sums);
    free(row);
    return status;
}

static zm_status put_linear(net_weights *w, uint32_t layer, net_role role, uint32_t variant,
                            zm_linear *out)
{
    zm_weight_layout layout;
    matrix m = sizes_of(w->n, role);
    zm_status status = matrix_fill(&m, w->n, layer, role);
    if (status == ZM_OK && is_reader(role))
        status = convert_reader(&m, w->n, layer, role, variant);
    else if (status == ZM_OK)
        convert_writer(&m, variant);
    if (status == ZM_OK)
        status = zm_weight_layout_get(w->device, m.n, m.k, w->weight_type, &layout);
    if (status == ZM_OK)
        status = put_weight(w, &m, &layout, &out->weight);
    if (status == ZM_OK && w->n->biases)
        status = put_row_vector(w, &m, &layout, m.bias, &out->bias);
    if (status == ZM_OK && is_reader(role) && variant == FOLDED)
        status = put_sums(w, &m, &layout, &out->column_sums);
    matrix_free(&m);
    return status;
}

/* What is read is the same whether its mean was taken out before the norm or by it. */
static uint32_t reader_variant(const net_form *form)
{
    if (!form->folded)
        return 0;
    return FOLDED + (form->basis == NET_CENTRED ? NET_PLAIN : form->basis);
}

static zm_status get_linear(net_weights *w, uint32_t layer, net_role role, const net_form *form,
                            zm_linear *out)
{
    uint32_t variant = is_reader(role) ? reader_variant(form) : form->basis;
    zm_linear *known = &w->layers[layer].linears[role][variant];
    zm_status status = ZM_OK;
    if (!known->weight.buffer)
        status = put_linear(w, layer, role, variant, known);
    *out = *known;
    if (!form->sums)
        out->column_sums = (zm_tensor){0};
    return status;
}

/* ---- the network ---- */

static zm_status put_norms(net_weights *w, uint32_t layer)
{
    uint32_t d = w->n->d;
    double *values = zm_calloc(2 * (uint64_t)d, sizeof(double));
    zm_status status = values ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; status == ZM_OK && i < 2; i++) {
        zm_norm_weights *norm = &w->layers[layer].norms[i];
        norm_fill(w->n, layer, i, values, values + d);
        status = put_vector(w, values, d, &norm->weight);
        if (status == ZM_OK && w->n->biases)
            status = put_vector(w, values + d, d, &norm->bias);
    }
    free(values);
    return status;
}

/* What was decoded before. */
static zm_status fill_cache(net_weights *w, uint32_t layer, zm_kv_cache *cache)
{
    uint32_t width = cache->layout.heads * cache->layout.head_dim;
    uint32_t rows = net_batch(w->n) * w->n->past;
    uint64_t count = (uint64_t)rows * 2 * width;
    double *values = zm_calloc(count, sizeof(double));
    zm_buffer *buffer = NULL;
    if (!values)
        return ZM_ERROR_OUT_OF_MEMORY;
    fill(values, count, -1, 1, seed_of(SEED_CACHE, layer, 0));
    zm_status status = put_reals(w, w->type, values, count, &buffer);
    const zm_tensor kv = zm_tensor_2d(buffer, w->type, rows, 2 * width);
    const zm_kv_store_params params = {.k = zm_tensor_cols(kv, 0, width),
                                       .v = zm_tensor_cols(kv, width, width),
                                       .k_cache = cache->k,
                                       .v_cache = cache->v,
                                       .layout = cache->layout,
                                       .sequences = cache->sequences};
    if (status == ZM_OK)
        status = zm_kv_store(w->stream, &params);
    free(values);
    return status;
}

static zm_status put_cache(net_weights *w, uint32_t layer)
{
    zm_kv_cache *cache = &w->layers[layer].cache;
    zm_buffer *buffers[2] = {NULL, NULL};
    zm_status status = zm_kv_layout_get(w->device, w->type, w->n->kv_heads, net_head_dim(w->n),
                                        w->n->past + w->n->tokens, &cache->layout);
    void *zeros = NULL;
    uint64_t elements = status == ZM_OK ? cache->layout.elements * net_batch(w->n) : 0;
    uint64_t size = elements * zm_dtype_size(w->type);
    if (elements > UINT32_MAX)
        status = ZM_ERROR_LIMIT;
    cache->sequences = net_batch(w->n);
    if (status == ZM_OK)
        status = (zeros = zm_calloc(size, 1)) ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
    for (int i = 0; status == ZM_OK && i < 2; i++)
        status = put(w, zeros, size, &buffers[i]);
    free(zeros);
    cache->k = zm_tensor_1d(buffers[0], w->type, (uint32_t)elements);
    cache->v = zm_tensor_1d(buffers[1], w->type, (uint32_t)elements);
    return status == ZM_OK && w->n->past ? fill_cache(w, layer, cache) : status;
}

static zm_status put_x(net_weights *w, net_basis basis)
{
    uint32_t d = w->n->d, rows = net_rows(w->n);
    double *values = zm_calloc((uint64_t)rows * d, sizeof(double));
    zm_buffer *buffer = NULL;
    if (!values)
        return ZM_ERROR_OUT_OF_MEMORY;
    fill(values, (uint64_t)rows * d, -1, 2, seed_of(SEED_X, 0, 0));
    for (uint32_t r = 0; r < rows; r++)
        net_row_to(basis, values + (uint64_t)r * d, d);
    zm_status status = put_reals(w, w->type, values, (uint64_t)rows * d, &buffer);
    w->x[basis] = zm_tensor_2d(buffer, w->type, rows, d);
    free(values);
    return status;
}

static zm_status put_positions(net_weights *w)
{
    uint32_t rows = net_rows(w->n);
    int32_t *numbers = zm_calloc(rows, sizeof(int32_t));
    zm_buffer *buffer = NULL;
    if (!numbers)
        return ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; i < rows; i++)
        numbers[i] = (int32_t)(w->n->past + i % w->n->tokens);
    zm_status status = put(w, numbers, rows * sizeof(int32_t), &buffer);
    w->positions = zm_tensor_1d(buffer, ZM_I32, rows);
    free(numbers);
    return status;
}

zm_status net_weights_create(zm_device *device, zm_stream *stream, const net *n, zm_dtype type,
                             zm_dtype weight_type, net_weights *out)
{
    *out = (net_weights){.n = n,
                         .device = device,
                         .stream = stream,
                         .type = type ? type : zm_device_get_info(device)->real_type,
                         .weight_type = weight_type ? weight_type : ZM_F32};
    out->layers = zm_calloc(n->layers, sizeof(net_layer));
    zm_status status = out->layers ? put_positions(out) : ZM_ERROR_OUT_OF_MEMORY;
    for (uint32_t i = 0; status == ZM_OK && i < NET_BASIS_COUNT; i++)
        status = put_x(out, (net_basis)i);
    for (uint32_t i = 0; status == ZM_OK && i < n->layers; i++) {
        status = put_norms(out, i);
        if (status == ZM_OK)
            status = put_cache(out, i);
    }
    return status;
}

void net_weights_destroy(net_weights *w)
{
    if (w->stream)
        zm_stream_wait(w->stream);
    for (size_t i = 0; i < w->buffer_count; i++)
        zm_buffer_destroy(&w->buffers[i]);
    free(w->buffers);
    free(w->layers);
    *w = (net_weights){0};
}

zm_status net_weights_block(net_weights *w, const net_form *form, uint32_t layer, zm_block *out)
{
    const net_layer *from = &w->layers[layer];
    zm_norm_weights none = {{0}, {0}};
    *out = (zm_block){.norm = form->norm,
                      .eps = EPS,
                      .true_d = form->norm == ZM_BLOCK_CRMS_NORM ? w->n->d : 0,
                      .self = {.norm = form->folded ? none : from->norms[0],
                               .cache = from->cache,
                               .heads = w->n->heads,
                               .causal = w->n->causal},
                      .mlp = {.norm = form->folded ? none : from->norms[1],
                              .activation = w->n->activation,
                              .gated = w->n->gated}};
    zm_linear *const linears[NET_ROLES] = {&out->self.in, &out->self.out, &out->mlp.up,
                                           &out->mlp.down};
    zm_status status = ZM_OK;
    for (int i = 0; status == ZM_OK && i < NET_ROLES; i++)
        status = get_linear(w, layer, (net_role)i, form, linears[i]);
    return status;
}

/* ---- how much there is to be ---- */

double net_weights_bytes(const net *n, zm_dtype weight_type, const net_form *const *forms,
                         size_t count)
{
    bool there[2][NET_VARIANTS] = {{false}};
    double readers = 0, writers = 0, all = 0,
           size = zm_dtype_size(weight_type ? weight_type : ZM_F32);
    for (int role = 0; role < NET_ROLES; role++) {
        const matrix m = sizes_of(n, (net_role)role);
        *(is_reader((net_role)role) ? &readers : &writers) += size * m.n * m.k;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t reader = reader_variant(forms[i]);
        all += there[0][reader] ? 0 : readers;
        all += there[1][forms[i]->basis] ? 0 : writers;
        there[0][reader] = there[1][forms[i]->basis] = true;
    }
    return all * n->layers;
}

double net_state_bytes(const net *n, size_t type_size, size_t forms)
{
    double kv = (double)n->kv_heads * net_head_dim(n), d = n->d;
    double wide = n->ff > 2 * d + 2 * kv ? n->ff : 2 * d + 2 * kv; /* of what is needed at once */
    double caches = 2.0 * n->layers * net_batch(n) * ((double)n->past + n->tokens) * kv;
    double inner = net_rows(n) * (2 * d + wide) * (double)forms, x = NET_BASIS_COUNT * d;
    /* Two outputs are compared. */
    return (caches + inner + x * net_rows(n)) * (double)type_size +
           2.0 * d * net_rows(n) * sizeof(double);
}
