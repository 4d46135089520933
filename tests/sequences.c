/* SPDX-License-Identifier: Apache-2.0 */
/* Several sequences in one call are, to the bit, as many calls of one sequence each, with
 * one length for all, with lengths of their own, and with numbers of rows of their own; but where
 * keys are split among work-groups (gpu_row), which sequences make unnecessary. Numbers that lead
 * out of the cache: tests/ops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/pipeline.h>

#include "device/device.h"
#include "ops/op.h"
#include "ops/tunings.h"

enum { SEQUENCES = 3, KV_HEADS = 2, HEADS = 4, DIM = 16, MOST = 70, MOST_ROWS = 20 };
enum { WIDTH = HEADS * DIM, KV_WIDTH = KV_HEADS * DIM };
static const int32_t lengths[SEQUENCES] = {61, 70, 23};

static const char *spec;

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    zm_tensor q, k, v, dst, keys, values, lengths, positions, starts;
    int32_t begins[SEQUENCES + 1]; /* of the rows of each where it has its own number of them */
    zm_kv_layout layout;
    uint32_t rows;
} fixture;

static zm_tensor tensor(fixture *f, zm_dtype dtype, uint32_t rows, uint32_t cols, const void *data)
{
    zm_buffer *buffer = NULL;
    const zm_buffer_params params = {.size = (uint64_t)4 * rows * cols};
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, buffer, 0, data, params.size), ZM_OK);
    return rows == 1 ? zm_tensor_1d(buffer, dtype, cols) : zm_tensor_2d(buffer, dtype, rows, cols);
}

static zm_tensor random_matrix(fixture *f, uint32_t rows, uint32_t cols)
{
    static float values[SEQUENCES * MOST * 2 * WIDTH];
    static uint32_t state = 1;
    assert_true((size_t)rows * cols <= sizeof(values) / sizeof(values[0]));
    for (size_t i = 0; i < (size_t)rows * cols; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(state >> 8) / (float)(1u << 24) - 0.5f;
    }
    return tensor(f, ZM_F32, rows, cols, values);
}

/* The kernel's layout of the cache. */
static void open_fixture(fixture *f, const char *attention, uint32_t rows)
{
    const int32_t positions[SEQUENCES] = {lengths[0] - (int32_t)rows, lengths[1] - (int32_t)rows,
                                          lengths[2] - (int32_t)rows};
    const int32_t few = rows > 1 ? 3 : 1; /* then none, then all; one row is of none */
    *f = (fixture){.rows = rows, .begins = {1, 1 + few, 1 + few, 1 + few + (int32_t)rows}};
    assert_int_equal(zm_device_open(&(zm_device_params){.spec = spec}, &f->device), ZM_OK);
    assert_int_equal(zm_stream_create(f->device, NULL, &f->stream), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f->device, "attention", attention), ZM_OK);
    assert_int_equal(zm_kv_layout_get(f->device, ZM_F32, KV_HEADS, DIM, MOST, &f->layout), ZM_OK);
    f->q = random_matrix(f, SEQUENCES * rows, WIDTH);
    f->k = random_matrix(f, SEQUENCES * rows, KV_WIDTH);
    f->v = random_matrix(f, SEQUENCES * rows, KV_WIDTH);
    f->dst = random_matrix(f, SEQUENCES * rows, WIDTH);
    f->keys = random_matrix(f, 1, SEQUENCES * (uint32_t)f->layout.elements);
    f->values = random_matrix(f, 1, SEQUENCES * (uint32_t)f->layout.elements);
    f->lengths = tensor(f, ZM_I32, 1, SEQUENCES, lengths);
    f->positions = tensor(f, ZM_I32, 1, SEQUENCES, positions);
    f->starts = tensor(f, ZM_I32, 1, SEQUENCES + 1, f->begins);
}

static void close_fixture(fixture *f)
{
    zm_tensor *const all[] = {&f->q,      &f->k,       &f->v,         &f->dst,   &f->keys,
                              &f->values, &f->lengths, &f->positions, &f->starts};
    assert_int_equal(zm_stream_wait(f->stream), ZM_OK);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        zm_buffer_destroy(&all[i]->buffer);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
}

typedef enum unlike { ALIKE, LENGTHS, ROWS, HOWS } unlike; /* in what sequences are */

static uint32_t count_of(const fixture *f, unlike how, uint32_t s)
{
    return how == ROWS ? (uint32_t)(f->begins[s + 1] - f->begins[s]) : f->rows;
}

static zm_tensor rows_of(const fixture *f, unlike how, zm_tensor matrix, uint32_t s)
{
    uint32_t first = how == ROWS ? (uint32_t)f->begins[s] : s * f->rows;
    return zm_tensor_rows(matrix, first, count_of(f, how, s));
}

static zm_tensor cache_of(const fixture *f, zm_tensor cache, uint32_t s)
{
    cache.shape[0] = (uint32_t)f->layout.elements;
    cache.offset += s * f->layout.elements;
    return cache;
}

static float *contents(fixture *f, const zm_tensor *t)
{
    size_t count = (size_t)t->shape[0] * (t->rank == 2 ? t->shape[1] : 1);
    float *out = malloc(count * sizeof(float));
    assert_non_null(out);
    assert_int_equal(zm_buffer_read(f->stream, t->buffer, 0, out, count * sizeof(float)), ZM_OK);
    return out;
}

static void assert_same(fixture *f, const zm_tensor *t, float *wanted)
{
    float *got = contents(f, t);
    size_t count = (size_t)t->shape[0] * (t->rank == 2 ? t->shape[1] : 1);
    assert_memory_equal(got, wanted, count * sizeof(float));
    free(got);
    free(wanted);
}

/* ---- attention ---- */

static void set_lengths(const fixture *f, unlike how, zm_attention_params *p)
{
    if (how != ALIKE)
        p->lengths = f->lengths;
    if (how == ROWS) {
        p->starts = f->starts;
        p->rows = f->rows;
    }
}

static void check_attention(fixture *f, unlike how)
{
    zm_attention_params p = {.q = f->q,
                             .k_cache = f->keys,
                             .v_cache = f->values,
                             .layout = f->layout,
                             .heads = HEADS,
                             .sequences = SEQUENCES,
                             .kv_length = MOST,
                             .causal = true,
                             .dst = f->dst};
    set_lengths(f, how, &p);
    float *before = contents(f, &f->dst);
    assert_int_equal(zm_attention(f->stream, &p), ZM_OK);
    float *together = contents(f, &f->dst);
    assert_int_equal(zm_buffer_write(f->stream, f->dst.buffer, 0, before,
                                     (uint64_t)4 * f->dst.shape[0] * f->dst.shape[1]),
                     ZM_OK);
    free(before);
    p.sequences = p.rows = 0;
    p.lengths.buffer = p.starts.buffer = NULL;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        if (count_of(f, how, s) == 0)
            continue;
        p.q = rows_of(f, how, f->q, s);
        p.dst = rows_of(f, how, f->dst, s);
        p.k_cache = cache_of(f, f->keys, s);
        p.v_cache = cache_of(f, f->values, s);
        p.kv_length = how != ALIKE ? (uint32_t)lengths[s] : MOST;
        assert_int_equal(zm_attention(f->stream, &p), ZM_OK);
    }
    assert_same(f, &f->dst, together);
}

static void test_attention(void **state)
{
    static const struct {
        const char *kernel;
        uint32_t rows;
    } on_opencl[] = {{"cpu_row", 1}, {"cpu", MOST_ROWS}, {"cpu_any", 3}, {"gpu", MOST_ROWS}},
      on_host[] = {{"ref", 1}, {"ref", MOST_ROWS}};
    bool host = strcmp(spec, "host") == 0;
    size_t count = host ? 2 : 4;
    (void)state;
    for (size_t i = 0; i < count; i++) {
        fixture f;
        open_fixture(&f, host ? on_host[i].kernel : on_opencl[i].kernel,
                     host ? on_host[i].rows : on_opencl[i].rows);
        for (unlike how = ALIKE; how < HOWS; how++)
            check_attention(&f, how);
        close_fixture(&f);
    }
}

/* ---- kv_store ---- */

static void check_kv_store(fixture *f, unlike how)
{
    zm_kv_store_params p = {.k = f->k,
                            .v = f->v,
                            .k_cache = f->keys,
                            .v_cache = f->values,
                            .layout = f->layout,
                            .sequences = SEQUENCES,
                            .position = how != ALIKE ? 0 : 17};
    zm_tensor keys = f->keys, values = f->values;
    if (how != ALIKE)
        p.positions = f->positions;
    if (how == ROWS) {
        p.starts = f->starts;
        p.rows = f->rows;
    }
    uint32_t all = SEQUENCES * (uint32_t)f->layout.elements;
    float *zeros = calloc(all, sizeof(float));
    assert_non_null(zeros);
    keys = tensor(f, ZM_F32, 1, all, zeros);
    values = tensor(f, ZM_F32, 1, all, zeros);
    p.k_cache = keys;
    p.v_cache = values;
    assert_int_equal(zm_kv_store(f->stream, &p), ZM_OK);
    float *together[] = {contents(f, &keys), contents(f, &values)};
    assert_int_equal(zm_buffer_write(f->stream, keys.buffer, 0, zeros, 4 * all), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, values.buffer, 0, zeros, 4 * all), ZM_OK);
    p.sequences = p.rows = 0;
    p.positions.buffer = p.starts.buffer = NULL;
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        if (count_of(f, how, s) == 0)
            continue;
        p.k = rows_of(f, how, f->k, s);
        p.v = rows_of(f, how, f->v, s);
        p.k_cache = cache_of(f, keys, s);
        p.v_cache = cache_of(f, values, s);
        p.position = how != ALIKE ? (uint32_t)lengths[s] - f->rows : 17;
        assert_int_equal(zm_kv_store(f->stream, &p), ZM_OK);
    }
    assert_same(f, &keys, together[0]);
    assert_same(f, &values, together[1]);
    zm_buffer_destroy(&keys.buffer);
    zm_buffer_destroy(&values.buffer);
    free(zeros);
}

static void test_kv_store(void **state)
{
    bool host = strcmp(spec, "host") == 0;
    (void)state;
    for (uint32_t i = 0; i < (host ? 1 : 2); i++) {
        fixture f;
        open_fixture(&f, host ? "ref" : i ? "gpu" : "cpu", MOST_ROWS);
        assert_int_equal(zm_device_force_kernel(f.device, "kv_store",
                                                host ? "ref"
                                                : i  ? "gpu"
                                                     : "cpu"),
                         ZM_OK);
        for (unlike how = ALIKE; how < HOWS; how++)
            check_kv_store(&f, how);
        close_fixture(&f);
    }
}

/* ---- caches in parts ---- */

/* The same numbers, two sequences in a part: the last one has one. */
static zm_tensor in_parts(fixture *f, const zm_tensor *cache)
{
    const uint64_t bytes = 4 * (uint64_t)cache->shape[0];
    const zm_buffer_params params = {.size = bytes, .part_bytes = 8 * f->layout.elements};
    zm_tensor parts = *cache;
    float *values = contents(f, cache);
    assert_int_equal(zm_buffer_create(f->device, &params, &parts.buffer), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, parts.buffer, 0, values, bytes), ZM_OK);
    free(values);
    return parts;
}

/* What is stored, and what is read of it, is what it would be in one piece, to the bit. */
static void check_parts(fixture *f, unlike how)
{
    zm_kv_store_params store = {.k = f->k, .v = f->v, .layout = f->layout, .sequences = SEQUENCES};
    zm_attention_params p = {.q = f->q,
                             .layout = f->layout,
                             .heads = HEADS,
                             .sequences = SEQUENCES,
                             .kv_length = MOST,
                             .causal = true,
                             .dst = f->dst};
    zm_tensor keys = in_parts(f, &f->keys), values = in_parts(f, &f->values);
    store.positions = how != ALIKE ? f->positions : store.positions;
    store.starts = how == ROWS ? f->starts : store.starts;
    store.rows = how == ROWS ? f->rows : 0;
    set_lengths(f, how, &p);
    float *outputs[2];
    float *before = contents(f, &f->dst);
    for (int i = 0; i < 2; i++) {
        store.k_cache = p.k_cache = i ? keys : f->keys;
        store.v_cache = p.v_cache = i ? values : f->values;
        assert_int_equal(zm_buffer_write(f->stream, f->dst.buffer, 0, before,
                                         (uint64_t)4 * f->dst.shape[0] * f->dst.shape[1]),
                         ZM_OK);
        assert_int_equal(zm_kv_store(f->stream, &store), ZM_OK);
        assert_int_equal(zm_attention(f->stream, &p), ZM_OK);
        outputs[i] = contents(f, &f->dst);
    }
    assert_memory_equal(outputs[0], outputs[1], sizeof(float) * f->dst.shape[0] * f->dst.shape[1]);
    assert_same(f, &keys, contents(f, &f->keys));
    assert_same(f, &values, contents(f, &f->values));
    free(outputs[0]);
    free(outputs[1]);
    free(before);
    zm_buffer_destroy(&keys.buffer);
    zm_buffer_destroy(&values.buffer);
}

/* So few work-groups that keys are split where there are few sequences. */
static void split_keys(fixture *f)
{
    zm_tunings tunings = *zm_tunings_get(f->device);
    tunings.gpu.row_split_keys = 16;
    tunings.gpu.row_groups = 2 * KV_HEADS * SEQUENCES;
    assert_int_equal(zm_tunings_set(f->device, &tunings), ZM_OK);
}

static void test_parts(void **state)
{
    static const char *const on_opencl[] = {"cpu_row", "cpu", "gpu", "gpu_row"};
    bool host = strcmp(spec, "host") == 0;
    (void)state;
    for (uint32_t i = 0; i < (host ? 1 : 4); i++) {
        bool row = strstr(on_opencl[i], "row") != NULL;
        fixture f;
        open_fixture(&f, host ? "ref" : on_opencl[i], row ? 1 : MOST_ROWS);
        split_keys(&f);
        for (unlike how = ALIKE; how < HOWS; how++)
            check_parts(&f, how);
        close_fixture(&f);
    }
}

/* ---- scratch memory ---- */

/* No length takes more than what is reserved, and no run makes a buffer then. */
static void test_scratch(void **state)
{
    fixture f;
    zm_graph *g = NULL;
    zm_pipeline *pipeline = NULL;
    static zm_plan plan;
    (void)state;
    if (strcmp(spec, "host") == 0)
        skip();
    open_fixture(&f, "gpu_row", 1);
    zm_tunings tunings = *zm_tunings_get(f.device);
    tunings.gpu.row_split_keys = tunings.gpu.argmax_chunk = 16;
    assert_int_equal(zm_tunings_set(f.device, &tunings), ZM_OK);
    assert_int_equal(zm_graph_create(NULL, &g), ZM_OK);
    const zm_size length = zm_graph_symbol(g, "length", 1, MOST);
    zm_attention_params p = {.q = zm_tensor_rows(f.q, 0, 1),
                             .k_cache = cache_of(&f, f.keys, 0),
                             .v_cache = cache_of(&f, f.values, 0),
                             .layout = f.layout,
                             .heads = HEADS,
                             .kv_length = length,
                             .dst = zm_tensor_rows(f.dst, 0, 1)};
    zm_graph_attention(g, &p);
    assert_int_equal(zm_pipeline_compile(g, &f.device, 1, NULL, &pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_reserve(pipeline, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_reserve(pipeline, &f.stream), ZM_OK);
    const uint64_t buffers = atomic_load(&f.device->buffers);
    const uint64_t reserved = zm_op_scratch(f.device, &zm_op_attention, &p);
    uint64_t most = 0;
    for (uint32_t n = 1; n <= MOST; n += 23) {
        p.kv_length = n;
        assert_int_equal(zm_op_plan(f.device, &zm_op_attention, &p, &plan), ZM_OK);
        most = plan.scratch_bytes > most ? plan.scratch_bytes : most;
        assert_int_equal(zm_pipeline_set(pipeline, length, n), ZM_OK);
        assert_int_equal(zm_pipeline_run(pipeline, &f.stream, NULL), ZM_OK);
    }
    assert_true(most > 0 && most <= reserved);
    assert_int_equal(atomic_load(&f.device->buffers), buffers);
    const zm_argmax_params last = {.x = f.q, .dst = f.lengths};
    assert_int_equal(zm_device_force_kernel(f.device, "argmax", "gpu"), ZM_OK);
    assert_int_equal(zm_op_plan(f.device, &zm_op_argmax, &last, &plan), ZM_OK);
    assert_true(plan.scratch_bytes > 0);
    assert_true(plan.scratch_bytes <= zm_op_scratch(f.device, &zm_op_argmax, &last));
    zm_pipeline_destroy(&pipeline);
    zm_graph_destroy(&g);
    close_fixture(&f);
}

static void test_misfit_parts(void **state)
{
    (void)state;
    fixture f;
    open_fixture(&f, strcmp(spec, "host") == 0 ? "ref" : "cpu", 1);
    zm_tensor keys = in_parts(&f, &f.keys), values = in_parts(&f, &f.values);
    const uint64_t bytes = 4 * (uint64_t)keys.shape[0];
    const zm_buffer_params odd = {.size = bytes, .part_bytes = 8 * f.layout.elements - 4};
    zm_attention_params p = {.q = f.q,
                             .k_cache = keys,
                             .v_cache = f.values,
                             .layout = f.layout,
                             .heads = HEADS,
                             .sequences = SEQUENCES,
                             .kv_length = MOST,
                             .dst = f.dst};
    assert_int_equal(zm_attention(f.stream, &p), ZM_ERROR_INVALID_ARGUMENT);
    p.v_cache = values;
    assert_int_equal(zm_attention(f.stream, &p), ZM_OK);
    zm_buffer_destroy(&keys.buffer);
    zm_buffer_destroy(&values.buffer);
    assert_int_equal(zm_buffer_create(f.device, &odd, &keys.buffer), ZM_OK);
    assert_int_equal(zm_buffer_create(f.device, &odd, &values.buffer), ZM_OK);
    p.k_cache = keys;
    p.v_cache = values;
    assert_int_equal(zm_attention(f.stream, &p), ZM_ERROR_INVALID_ARGUMENT);
    zm_buffer_destroy(&keys.buffer);
    zm_buffer_destroy(&values.buffer);
    close_fixture(&f);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention), cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_parts),     cmocka_unit_test(test_misfit_parts),
        cmocka_unit_test(test_scratch),
    };
    spec = argc > 1 ? argv[1] : "host";
    return cmocka_run_group_tests_name("sequences", tests, NULL, NULL);
}
