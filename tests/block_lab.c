/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "block_lab.h"
#include "support/passes.h"

#define TOLERANCE 2e-5

static int open_device(void **state, const char *spec)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = spec, .log = &f->log.log, .host_threads = 1};
    *state = f;
    return zm_device_open(&params, &f->device) || zm_stream_create(f->device, NULL, &f->stream);
}

int block_open_host(void **state)
{
    return open_device(state, "host");
}

int block_open_opencl(void **state)
{
    return open_device(state, "opencl");
}

int block_close(void **state)
{
    fixture *f = *state;
    zm_graph_destroy(&f->graph);
    for (size_t i = 0; i < f->count; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

/* ---- the numbers of the naive block on the device ---- */

zm_buffer *block_buffer(fixture *f, const void *values, uint64_t bytes)
{
    const zm_buffer_params params = {.size = bytes};
    assert_true(f->count < MAX_BUFFERS);
    zm_buffer **buffer = &f->buffers[f->count++];
    assert_int_equal(zm_buffer_create(f->device, &params, buffer), ZM_OK);
    if (values)
        assert_int_equal(zm_buffer_write(f->stream, *buffer, 0, values, bytes), ZM_OK);
    return *buffer;
}

/* Without values: absent. */
static zm_tensor vector(fixture *f, const float *values, uint32_t n)
{
    return values ? zm_tensor_1d(block_buffer(f, values, n * sizeof(float)), ZM_F32, n)
                  : (zm_tensor){0};
}

static zm_tensor matrix(fixture *f, const float *values, uint32_t rows, uint32_t cols)
{
    return zm_tensor_2d(block_buffer(f, values, (uint64_t)rows * cols * sizeof(float)), ZM_F32,
                        rows, cols);
}

static zm_tensor packed(fixture *f, const naive_linear *from, bool gated)
{
    zm_weight_layout layout;
    assert_int_equal(zm_weight_layout_get(f->device, from->n, from->k, ZM_F32, &layout), ZM_OK);
    float *values = calloc(layout.elements, sizeof(float));
    uint32_t half = from->n / 2;
    zm_status status =
        gated ? zm_gated_weight_pack(values, ZM_F32, &layout, from->weight,
                                     from->weight + (size_t)half * from->k, ZM_F32, half, from->k)
              : zm_weight_pack(values, ZM_F32, &layout, from->n, 0, from->weight, ZM_F32, from->n,
                               from->k);
    assert_int_equal(status, ZM_OK);
    zm_tensor weight = zm_tensor_2d(block_buffer(f, values, layout.elements * sizeof(float)),
                                    ZM_F32, from->n, from->k);
    weight.panel = layout.panel;
    free(values);
    return weight;
}

static zm_tensor packed_vector(fixture *f, const naive_linear *from, const float *values,
                               bool gated)
{
    zm_weight_layout layout;
    float mixed[NAIVE_MAX];
    uint32_t half = from->n / 2;
    if (!gated || !values)
        return vector(f, values, from->n);
    assert_int_equal(zm_weight_layout_get(f->device, from->n, from->k, ZM_F32, &layout), ZM_OK);
    assert_int_equal(
        zm_gated_bias_pack(mixed, ZM_F32, &layout, values, values + half, ZM_F32, half), ZM_OK);
    return vector(f, mixed, from->n);
}

static zm_linear linear(fixture *f, const naive_linear *from, bool gated)
{
    float sums[NAIVE_MAX] = {0};
    for (uint32_t i = 0; i < from->n; i++)
        for (uint32_t j = 0; j < from->k; j++)
            sums[i] += from->weight[(size_t)i * from->k + j];
    return (zm_linear){packed(f, from, gated),
                       packed_vector(f, from, from->has_bias ? from->bias : NULL, gated),
                       f->naive.column_sums ? packed_vector(f, from, sums, gated) : (zm_tensor){0}};
}

static zm_norm_weights norm_weights(fixture *f, const naive_norm *from)
{
    return (zm_norm_weights){vector(f, from->has_weight ? from->weight : NULL, f->naive.d),
                             vector(f, from->has_bias ? from->bias : NULL, f->naive.d)};
}

static zm_kv_cache cache(fixture *f)
{
    zm_kv_cache cache;
    assert_int_equal(zm_kv_layout_get(f->device, ZM_F32, f->naive.kv_heads, f->naive.head_dim,
                                      NAIVE_ROWS, &cache.layout),
                     ZM_OK);
    uint32_t elements = (uint32_t)cache.layout.elements * (f->sequences ? f->sequences : 1);
    float *zeros = calloc(elements, sizeof(float));
    cache.k = vector(f, zeros, elements);
    cache.v = vector(f, zeros, elements);
    cache.sequences = f->sequences;
    free(zeros);
    return cache;
}

/* The last rows of the self-attention's weight are v's. */
static void split_value(fixture *f, const naive_linear *from, zm_block_attention *to)
{
    static naive_linear in, value;
    in = value = *from;
    value.n = f->naive.kv_heads * f->naive.head_dim;
    in.n -= value.n;
    memcpy(value.weight, from->weight + (size_t)in.n * in.k,
           (size_t)value.n * in.k * sizeof(float));
    memcpy(value.bias, from->bias + in.n, value.n * sizeof(float));
    to->in = linear(f, &in, false);
    to->value = linear(f, &value, false);
}

static void put_attention(fixture *f, const naive_attention *from, zm_block_attention *to)
{
    *to = (zm_block_attention){.norm = norm_weights(f, &from->norm),
                               .in = linear(f, &from->in, false),
                               .out = linear(f, &from->out, false),
                               .cache = cache(f),
                               .heads = f->naive.heads};
}

void block_put(fixture *f)
{
    static const zm_block_norm norms[] = {ZM_BLOCK_LAYER_NORM, ZM_BLOCK_RMS_NORM,
                                          ZM_BLOCK_CRMS_NORM, ZM_BLOCK_NO_NORM};
    const naive_block *n = &f->naive;
    f->block = (zm_block){.norm = norms[n->norm], .eps = n->eps, .parallel = n->parallel};
    put_attention(f, &n->self, &f->block.self);
    if (n->value_apart)
        split_value(f, &n->self.in, &f->block.self);
    f->block.self.causal = n->causal;
    f->caches[0] = f->block.self.cache;
    for (uint32_t i = 1; i < n->layers; i++)
        f->caches[i] = cache(f);
    if (n->crosses) {
        put_attention(f, &n->cross, &f->block.cross);
        f->block.cross.length = NAIVE_SOURCE;
        f->kv = linear(f, &n->cross_kv, false);
        f->source = matrix(f, n->source, NAIVE_SOURCE, n->source_d);
    }
    f->block.mlp = (zm_block_mlp){.norm = norm_weights(f, &n->mlp_norm),
                                  .up = linear(f, &n->up, n->gated),
                                  .down = linear(f, &n->down, false),
                                  .activation = n->activation,
                                  .gated = n->gated};
    if (n->parallel && n->one_norm)
        f->block.mlp.norm = f->block.self.norm;
    f->x = matrix(f, n->x, NAIVE_ROWS, n->d);
}

/* Rows that come in a run follow those of the runs before. */
static void build(fixture *f)
{
    assert_int_equal(zm_graph_create(&f->log.log, &f->graph), ZM_OK);
    f->rows = zm_graph_symbol(f->graph, "rows", 1, NAIVE_ROWS);
    f->length = zm_graph_symbol(f->graph, "length", 1, NAIVE_ROWS);
    const zm_size first = zm_graph_difference(f->graph, f->length, f->rows);
    f->block.self.length = f->length;
    f->block.self.position = first;
    if (f->naive.rotary) {
        int32_t numbers[NAIVE_ROWS];
        for (int32_t i = 0; i < NAIVE_ROWS; i++)
            numbers[i] = i;
        f->positions = zm_tensor_1d(block_buffer(f, numbers, sizeof(numbers)), ZM_I32, NAIVE_ROWS);
        f->block.self.rope =
            (zm_rope_params){.positions = zm_graph_rows(f->graph, f->positions, first, f->rows)};
    }
    if (f->naive.crosses)
        zm_graph_cross_store(f->graph, &f->block.cross.cache, &f->kv, f->source);
    zm_tensor x = zm_graph_rows(f->graph, f->x, first, f->rows);
    for (uint32_t i = 0; i < f->naive.layers; i++) {
        f->block.self.cache = f->caches[i];
        x = zm_graph_block(f->graph, &f->block, x);
    }
    f->y = zm_graph_extern(f->graph, "y", ZM_F32, 2, (zm_size[]){f->rows, f->naive.d});
    zm_graph_copy(f->graph, &(zm_copy_params){x, f->y});
    assert_int_equal(zm_graph_status(f->graph), ZM_OK);
}

/* ---- runs ---- */

static const zm_compile_params all;

/* The rows in pieces, one run after the other. */
static zm_executable_info run(fixture *f, const zm_compile_params *passes, const uint32_t *pieces,
                              float *out)
{
    zm_executable *exe = NULL;
    uint32_t d = f->naive.d, length = 0;
    assert_int_equal(zm_graph_compile(f->graph, f->device, passes, &exe), ZM_OK);
    const zm_tensor y = matrix(f, NULL, NAIVE_ROWS, d);
    assert_int_equal(zm_executable_bind(exe, "y", &y), ZM_OK);
    for (; length < NAIVE_ROWS; pieces++) {
        uint32_t first = length;
        length += *pieces;
        assert_int_equal(zm_executable_set(exe, f->rows, *pieces), ZM_OK);
        assert_int_equal(zm_executable_set(exe, f->length, length), ZM_OK);
        assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
        assert_int_equal(zm_buffer_read(f->stream, y.buffer, 0, out + (size_t)first * d,
                                        (uint64_t)*pieces * d * sizeof(float)),
                         ZM_OK);
    }
    assert_int_equal(length, NAIVE_ROWS);
    const zm_executable_info info = zm_executable_get_info(exe);
    zm_executable_destroy(&exe);
    return info;
}

static const uint32_t whole[] = {NAIVE_ROWS}, steps[] = {3, 1, 2, 1};

void block_near(const double *wanted, const float *got, size_t count)
{
    double error = 0, power = 0;
    for (size_t i = 0; i < count; i++) {
        error += ((double)got[i] - wanted[i]) * ((double)got[i] - wanted[i]);
        power += wanted[i] * wanted[i];
    }
    assert_true(power > 0);
    assert_true(sqrt(error / power) <= TOLERANCE);
}

void block_compare(const fixture *f, const float *got)
{
    static double wanted[MAX_VALUES];
    naive_run(&f->naive, wanted);
    block_near(wanted, got, (size_t)NAIVE_ROWS * f->naive.d);
}

zm_executable_info block_run(fixture *f, const zm_compile_params *passes, float *out)
{
    return run(f, passes, whole, out);
}

zm_executable_info block_expect(fixture *f, naive_block naive)
{
    float got[MAX_VALUES];
    f->naive = naive;
    naive_fill(&f->naive);
    block_put(f);
    build(f);
    if (zm_device_get_info(f->device)->backend == ZM_BACKEND_HOST) {
        const zm_compile_params none = passes_none();
        run(f, &none, whole, got);
        block_compare(f, got);
    }
    const zm_executable_info info = run(f, &all, whole, got);
    block_compare(f, got);
    if (f->naive.causal) {
        run(f, &all, steps, got);
        block_compare(f, got);
    }
    return info;
}
