/* SPDX-License-Identifier: Apache-2.0 */
#include "pipeline_lab.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/block.h>

#include "common/half.h"
#include "support/random.h"

#define HEADS 2
#define FF 48

/* ---- memory ---- */

static zm_dtype real_of(const fixture *f, uint32_t d)
{
    return zm_device_get_info(f->devices[d])->real_type;
}

static zm_buffer *make_buffer(fixture *f, uint32_t d, uint64_t bytes)
{
    zm_buffer **buffer = &f->buffers[f->buffer_count++];
    const zm_buffer_params params = {.size = bytes};
    assert_true(f->buffer_count <= MAX_BUFFERS);
    assert_int_equal(zm_buffer_create(f->devices[d], &params, buffer), ZM_OK);
    return *buffer;
}

static void fill_random(float *values, size_t count, uint64_t seed)
{
    uint64_t random = seed;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)test_random_between(&random, -0.3, 0.3);
}

zm_tensor lab_make(fixture *f, uint32_t d, uint32_t rows, uint32_t cols, uint64_t seed)
{
    static float values[LAB_MOST];
    static double wide[LAB_MOST];
    zm_dtype real = real_of(f, d);
    uint64_t bytes = (uint64_t)rows * cols * zm_dtype_size(real);
    assert_true(rows * cols <= LAB_MOST);
    fill_random(values, rows * cols, seed);
    zm_convert_reals(wide, real, values, ZM_F32, rows * cols);
    zm_tensor tensor = zm_tensor_2d(make_buffer(f, d, bytes), real, rows, cols);
    assert_int_equal(zm_buffer_write(f->streams[d], tensor.buffer, 0, wide, bytes), ZM_OK);
    return tensor;
}

zm_tensor lab_vector(fixture *f, uint32_t d, uint32_t n, uint64_t seed)
{
    zm_tensor row = lab_make(f, d, 1, n, seed);
    return zm_tensor_1d(row.buffer, row.dtype, n);
}

zm_tensor lab_weight(fixture *f, uint32_t d, uint32_t n, uint32_t k, uint64_t seed)
{
    static float values[3 * D * D], packed[4 * 3 * D * D];
    zm_weight_layout layout;
    assert_int_equal(zm_weight_layout_get(f->devices[d], n, k, ZM_F32, &layout), ZM_OK);
    fill_random(values, (size_t)n * k, seed);
    memset(packed, 0, sizeof(packed));
    assert_true(layout.elements * sizeof(float) <= sizeof(packed));
    assert_int_equal(zm_weight_pack(packed, ZM_F32, &layout, n, 0, values, ZM_F32, n, k), ZM_OK);
    zm_tensor weight =
        zm_tensor_2d(make_buffer(f, d, layout.elements * sizeof(float)), ZM_F32, n, k);
    weight.panel = layout.panel;
    assert_int_equal(
        zm_buffer_write(f->streams[d], weight.buffer, 0, packed, layout.elements * sizeof(float)),
        ZM_OK);
    return weight;
}

zm_tensor lab_cache(fixture *f, uint32_t d, const zm_kv_layout *layout)
{
    uint64_t bytes = layout->elements * zm_dtype_size(layout->dtype);
    zm_buffer *buffer = make_buffer(f, d, bytes);
    assert_int_equal(zm_buffer_fill(f->streams[d], buffer, 0, bytes, 0), ZM_OK);
    return zm_tensor_1d(buffer, layout->dtype, (uint32_t)layout->elements);
}

/* ---- the layers ---- */

static zm_block make_block(fixture *f, uint32_t layer)
{
    uint32_t d = f->layer_device[layer];
    uint64_t seed = 100 * (layer + 1);
    zm_kv_layout layout;
    assert_int_equal(
        zm_kv_layout_get(f->devices[d], ZM_DTYPE_NONE, HEADS, D / HEADS, LENGTH, &layout), ZM_OK);
    zm_block block = {.norm = ZM_BLOCK_LAYER_NORM, .eps = 1e-5f};
    block.self.norm.weight = lab_vector(f, d, D, seed + 1);
    block.self.in.weight = lab_weight(f, d, 3 * D, D, seed + 2);
    block.self.in.bias = lab_vector(f, d, 3 * D, seed + 3);
    block.self.out.weight = lab_weight(f, d, D, D, seed + 4);
    block.self.cache = (zm_kv_cache){
        .layout = layout, .k = lab_cache(f, d, &layout), .v = lab_cache(f, d, &layout)};
    block.self.causal = true;
    block.mlp.norm.bias = lab_vector(f, d, D, seed + 5);
    block.mlp.up.weight = lab_weight(f, d, FF, D, seed + 6);
    block.mlp.down.weight = lab_weight(f, d, D, FF, seed + 7);
    block.mlp.activation = ZM_ACTIVATION_GELU;
    return block;
}

static void build(fixture *f)
{
    assert_int_equal(zm_graph_create(&f->log.log, &f->graph), ZM_OK);
    f->tokens = zm_graph_symbol(f->graph, "tokens", 1, LENGTH);
    f->length = zm_graph_symbol(f->graph, "length", 1, LENGTH);
    const zm_size shape[] = {f->tokens, D};
    zm_tensor x = zm_graph_extern(f->graph, "x", ZM_DTYPE_NONE, 2, shape);
    zm_tensor y = zm_graph_extern(f->graph, "y", ZM_DTYPE_NONE, 2, shape);
    zm_size position = zm_graph_difference(f->graph, f->length, f->tokens);
    for (uint32_t i = 0; i < LAYERS; i++) {
        zm_block block = make_block(f, i);
        block.self.position = position;
        block.self.length = f->length;
        zm_graph_device(f->graph, f->layer_device[i]);
        x = zm_graph_block(f->graph, &block, x);
        zm_graph_observe(f->graph, "layer", i, x);
    }
    zm_graph_copy(f->graph, &(zm_copy_params){.x = x, .dst = y});
    assert_int_equal(zm_graph_status(f->graph), ZM_OK);
}

fixture *lab_open(const char *const *specs, uint32_t count, const uint32_t *layer_device)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    f->count = count;
    for (uint32_t d = 0; d < count; d++) {
        const zm_device_params params = {.spec = specs[d], .log = &f->log.log, .host_threads = 1};
        assert_int_equal(zm_device_open(&params, &f->devices[d]), ZM_OK);
        assert_int_equal(zm_stream_create(f->devices[d], NULL, &f->streams[d]), ZM_OK);
    }
    memcpy(f->layer_device, layer_device, sizeof(f->layer_device));
    build(f);
    for (uint32_t d = 0; d < count; d++)
        assert_int_equal(zm_stream_wait(f->streams[d]), ZM_OK);
    return f;
}

zm_status lab_compile(fixture *f)
{
    zm_status status = zm_pipeline_compile(f->graph, f->devices, f->count, NULL, &f->pipeline);
    if (status != ZM_OK)
        return status;
    uint32_t first = f->layer_device[0], last = f->layer_device[LAYERS - 1];
    f->x = lab_make(f, first, LENGTH, D, 1);
    f->y = lab_make(f, last, LENGTH, D, 2);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "x", &f->x), ZM_OK);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "y", &f->y), ZM_OK);
    return ZM_OK;
}

void lab_close(fixture *f)
{
    for (uint32_t d = 0; d < f->count; d++)
        zm_stream_destroy(&f->streams[d]);
    zm_pipeline_destroy(&f->pipeline);
    zm_graph_destroy(&f->graph);
    for (size_t i = 0; i < f->buffer_count; i++)
        zm_buffer_destroy(&f->buffers[i]);
    for (uint32_t d = 0; d < f->count; d++)
        zm_device_close(&f->devices[d]);
    free(f);
}

/* ---- runs ---- */

void lab_read(fixture *f, const zm_tensor *tensor, uint32_t rows, double *out)
{
    double raw[LENGTH * D];
    uint32_t d = 0;
    while (f->devices[d] != zm_buffer_get_device(tensor->buffer))
        d++;
    size_t size = zm_dtype_size(tensor->dtype);
    assert_int_equal(zm_buffer_read(f->streams[d], tensor->buffer, tensor->offset * size, raw,
                                    (uint64_t)rows * D * size),
                     ZM_OK);
    zm_convert_reals(out, ZM_F64, raw, tensor->dtype, (uint64_t)rows * D);
}

static zm_status observe(void *user, const char *what, uint32_t index, const zm_tensor *tensor)
{
    seen *self = user;
    double values[LENGTH * D];
    assert_string_equal(what, "layer");
    assert_int_equal(index, self->count % LAYERS);
    assert_ptr_equal(zm_buffer_get_device(tensor->buffer),
                     self->f->devices[self->f->layer_device[index]]);
    lab_read(self->f, tensor, tensor->shape[0], values);
    for (uint32_t i = 0; i < tensor->shape[0] * D; i++)
        self->sum += values[i];
    self->count++;
    return ZM_OK;
}

const uint32_t lab_steps[STEPS] = {5, 1, 1, 3, 1};

void lab_set(fixture *f, uint32_t past, uint32_t tokens)
{
    assert_int_equal(zm_pipeline_set(f->pipeline, f->tokens, tokens), ZM_OK);
    assert_int_equal(zm_pipeline_set(f->pipeline, f->length, past + tokens), ZM_OK);
}

void lab_run(fixture *f, double *out, seen *watch)
{
    const zm_run_params params = {.observe = watch ? observe : NULL, .user = watch};
    uint32_t past = 0;
    for (size_t i = 0; i < STEPS; i++) {
        lab_set(f, past, lab_steps[i]);
        if (zm_pipeline_run(f->pipeline, f->streams, &params) != ZM_OK)
            fail_msg("%s", f->log.error);
        lab_read(f, &f->y, lab_steps[i], out + (size_t)past * D);
        past += lab_steps[i];
    }
}

double lab_difference(const double *a, const double *b)
{
    double error = 0, norm = 0;
    for (size_t i = 0; i < OUTPUTS; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += a[i] * a[i];
    }
    return sqrt(error / norm);
}

void lab_run_alone(const char *spec, double *out, double *observed)
{
    static const uint32_t all[LAYERS];
    fixture *f = lab_open(&spec, 1, all);
    seen watch = {.f = f};
    assert_int_equal(lab_compile(f), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).stages, 1);
    lab_run(f, out, &watch);
    *observed = watch.sum;
    assert_int_equal(watch.count, STEPS * LAYERS);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).moves, 0);
    lab_close(f);
}
