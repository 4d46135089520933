/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks on several devices against the same blocks on one: the same bits where the devices are of
 * one kind, the float32 budget where they are not, with lengths that grow from run to run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/block.h>
#include <zeromean/pipeline.h>

#include "common/half.h"
#include "device/device.h"
#include "scratch.h"
#include "support/random.h"

#define D 32
#define HEADS 2
#define FF 48
#define LENGTH 12 /* of the caches */
#define LAYERS 3
#define MAX_DEVICES 3
#define MAX_BUFFERS 128
#define BUDGET 1e-5

typedef struct fixture {
    scratch_log log;
    zm_device *devices[MAX_DEVICES];
    zm_stream *streams[MAX_DEVICES];
    uint32_t count;
    zm_buffer *buffers[MAX_BUFFERS];
    size_t buffer_count;
    uint32_t layer_device[LAYERS];
    zm_graph *graph;
    zm_size tokens, length;
    zm_pipeline *pipeline;
    zm_tensor x, y; /* what is bound, on the device of the first and of the last layer */
} fixture;

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

static zm_tensor make(fixture *f, uint32_t d, uint32_t rows, uint32_t cols, uint64_t seed)
{
    float values[LENGTH * D];
    double wide[LENGTH * D];
    zm_dtype real = real_of(f, d);
    uint64_t bytes = (uint64_t)rows * cols * zm_dtype_size(real);
    assert_true(rows * cols <= LENGTH * D);
    fill_random(values, rows * cols, seed);
    zm_convert_reals(wide, real, values, ZM_F32, rows * cols);
    zm_tensor tensor = zm_tensor_2d(make_buffer(f, d, bytes), real, rows, cols);
    assert_int_equal(zm_buffer_write(f->streams[d], tensor.buffer, 0, wide, bytes), ZM_OK);
    return tensor;
}

static zm_tensor make_vector(fixture *f, uint32_t d, uint32_t n, uint64_t seed)
{
    zm_tensor row = make(f, d, 1, n, seed);
    return zm_tensor_1d(row.buffer, row.dtype, n);
}

static zm_tensor make_weight(fixture *f, uint32_t d, uint32_t n, uint32_t k, uint64_t seed)
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

static zm_tensor make_cache(fixture *f, uint32_t d, const zm_kv_layout *layout)
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
    block.self.norm.weight = make_vector(f, d, D, seed + 1);
    block.self.in.weight = make_weight(f, d, 3 * D, D, seed + 2);
    block.self.in.bias = make_vector(f, d, 3 * D, seed + 3);
    block.self.out.weight = make_weight(f, d, D, D, seed + 4);
    block.self.cache = (zm_kv_cache){layout, make_cache(f, d, &layout), make_cache(f, d, &layout)};
    block.self.causal = true;
    block.mlp.norm.bias = make_vector(f, d, D, seed + 5);
    block.mlp.up.weight = make_weight(f, d, FF, D, seed + 6);
    block.mlp.down.weight = make_weight(f, d, D, FF, seed + 7);
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

static fixture *open_all(const char *const *specs, uint32_t count, const uint32_t *layer_device)
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

static zm_status compile(fixture *f)
{
    zm_status status = zm_pipeline_compile(f->graph, f->devices, f->count, NULL, &f->pipeline);
    if (status != ZM_OK)
        return status;
    uint32_t first = f->layer_device[0], last = f->layer_device[LAYERS - 1];
    f->x = make(f, first, LENGTH, D, 1);
    f->y = make(f, last, LENGTH, D, 2);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "x", &f->x), ZM_OK);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "y", &f->y), ZM_OK);
    return ZM_OK;
}

static void close_all(fixture *f)
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

static void read_reals(fixture *f, const zm_tensor *tensor, uint32_t rows, double *out)
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

typedef struct seen {
    fixture *f;
    uint32_t count;
    double sum;
} seen;

static zm_status observe(void *user, const char *what, uint32_t index, const zm_tensor *tensor)
{
    seen *self = user;
    double values[LENGTH * D];
    assert_string_equal(what, "layer");
    assert_int_equal(index, self->count % LAYERS);
    assert_ptr_equal(zm_buffer_get_device(tensor->buffer),
                     self->f->devices[self->f->layer_device[index]]);
    read_reals(self->f, tensor, tensor->shape[0], values);
    for (uint32_t i = 0; i < tensor->shape[0] * D; i++)
        self->sum += values[i];
    self->count++;
    return ZM_OK;
}

static const uint32_t steps[] = {5, 1, 1, 3, 1};
#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void set_step(fixture *f, uint32_t past, uint32_t tokens)
{
    assert_int_equal(zm_pipeline_set(f->pipeline, f->tokens, tokens), ZM_OK);
    assert_int_equal(zm_pipeline_set(f->pipeline, f->length, past + tokens), ZM_OK);
}

/* The outputs of all steps, one behind the other. */
static void run_steps(fixture *f, double *out, seen *watch)
{
    const zm_run_params params = {.observe = watch ? observe : NULL, .user = watch};
    uint32_t past = 0;
    for (size_t i = 0; i < STEPS; i++) {
        set_step(f, past, steps[i]);
        if (zm_pipeline_run(f->pipeline, f->streams, &params) != ZM_OK)
            fail_msg("%s", f->log.error);
        read_reals(f, &f->y, steps[i], out + (size_t)past * D);
        past += steps[i];
    }
}

#define OUTPUTS (11 * D) /* of all steps */

static double difference(const double *a, const double *b)
{
    double error = 0, norm = 0;
    for (size_t i = 0; i < OUTPUTS; i++) {
        error += (a[i] - b[i]) * (a[i] - b[i]);
        norm += a[i] * a[i];
    }
    return sqrt(error / norm);
}

/* What the layers give on one device of this kind. */
static void run_alone(const char *spec, double *out, double *observed)
{
    static const uint32_t all[LAYERS];
    fixture *f = open_all(&spec, 1, all);
    seen watch = {.f = f};
    assert_int_equal(compile(f), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).stages, 1);
    run_steps(f, out, &watch);
    *observed = watch.sum;
    assert_int_equal(watch.count, STEPS * LAYERS);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).moves, 0);
    close_all(f);
}

/* ---- the same results ---- */

/* There and back again: two borders, on each of which the new rows move. */
static void test_same_bits(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t there_and_back[LAYERS] = {0, 1, 0};
    double one[OUTPUTS], two[OUTPUTS], sum;
    run_alone("host", one, &sum);
    fixture *f = open_all(specs, 2, there_and_back);
    seen watch = {.f = f};
    assert_int_equal(compile(f), ZM_OK);
    for (int i = 0; i < 2; i++) {
        run_steps(f, two, NULL);
        assert_memory_equal(one, two, sizeof(one));
        zm_pipeline_info info = zm_pipeline_get_info(f->pipeline);
        assert_int_equal(info.stages, 3);
        assert_int_equal(info.moves, 2);
        assert_int_equal(info.moved_bytes, 2 * steps[STEPS - 1] * D * sizeof(float));
        assert_int_equal(info.fallen, 0);
        assert_int_equal(info.copied_bytes, 0);
    }
    run_steps(f, two, &watch);
    assert_int_equal(watch.count, STEPS * LAYERS);
    assert_true(watch.sum == sum);
    assert_int_equal(f->log.errors + f->log.warnings, 0);
    uint32_t device = 7;
    assert_non_null(zm_pipeline_stage(f->pipeline, 1, &device));
    assert_int_equal(device, 1);
    assert_null(zm_pipeline_stage(f->pipeline, 3, NULL));
    close_all(f);
}

static void check_unlike(const char *a, const char *b, double budget)
{
    const char *const specs[] = {a, b};
    static const uint32_t split[LAYERS] = {0, 0, 1};
    double truth[OUTPUTS], first[OUTPUTS], again[OUTPUTS], sum;
    run_alone("host:f64", truth, &sum);
    fixture *f = open_all(specs, 2, split);
    if (compile(f) != ZM_OK)
        fail_msg("%s", f->log.error);
    run_steps(f, first, NULL);
    run_steps(f, again, NULL);
    assert_memory_equal(first, again, sizeof(first));
    double error = difference(truth, first);
    print_message("%s, %s: %.1e\n", a, b, error);
    assert_true(error < budget);
    assert_int_equal(f->log.errors + f->log.warnings, 0);
    close_all(f);
}

/* Where the types of activations differ they are converted on their way. */
static void test_unlike_devices(void **state)
{
    (void)state;
    check_unlike("host", "host:f64", BUDGET);
    check_unlike("host:f64", "host", BUDGET);
    check_unlike("host:f64", "host:f64", 1e-14);
#ifdef TEST_OPENCL
    check_unlike("opencl", "host", BUDGET);
    check_unlike("host", "opencl", BUDGET);
    check_unlike("opencl", "host:f64", BUDGET);
#endif
}

/* Named twice it is one device. */
static void test_one_device_twice(void **state)
{
    (void)state;
    static const char *const specs[] = {"host"};
    static const uint32_t all[LAYERS];
    fixture *f = open_all(specs, 1, all);
    zm_device *const twice[] = {f->devices[0], f->devices[0]};
    assert_int_equal(zm_pipeline_compile(f->graph, twice, 2, NULL, &f->pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).stages, 1);
    close_all(f);
}

/* ---- what is bound ---- */

/* y = w (w x + b) + b and z = z + x + x, each half on another device. */
static void build_externs(fixture *f)
{
    zm_graph *g = NULL;
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    const zm_size all[] = {LENGTH, D}, square[] = {D, D}, vector[] = {D};
    zm_tensor x = zm_graph_extern(g, "x", ZM_F32, 2, all),
              y = zm_graph_extern(g, "y", ZM_F32, 2, all);
    zm_tensor z = zm_graph_extern(g, "z", ZM_F32, 2, all);
    zm_tensor w = zm_graph_extern(g, "w", ZM_F32, 2, square);
    zm_tensor b = zm_graph_extern(g, "b", ZM_F32, 1, vector);
    zm_tensor a = zm_graph_tensor(g, "a", ZM_F32, 2, all);
    zm_graph_matmul(g, &(zm_matmul_params){.x = x, .weight = w, .bias = b, .dst = a});
    zm_graph_add(g, &(zm_add_params){z, x, z});
    zm_graph_device(g, 1);
    zm_graph_matmul(g, &(zm_matmul_params){.x = a, .weight = w, .bias = b, .dst = y});
    zm_graph_add(g, &(zm_add_params){z, x, z});
    assert_int_equal(zm_graph_status(g), ZM_OK);
    zm_graph_destroy(&f->graph);
    f->graph = g;
}

/* What the externs are bound to lies on these devices. */
typedef struct homes {
    uint32_t x, y, z, w;
    bool both; /* weights on the other one, too */
} homes;

static void bind_to(fixture *f, const char *name, zm_tensor tensor)
{
    if (zm_pipeline_bind(f->pipeline, name, &tensor) != ZM_OK)
        fail_msg("%s", f->log.error);
}

/* y and z after three runs, the last one with other weights. */
static void run_externs(fixture *f, homes at, double *y, double *z)
{
    build_externs(f);
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, f->count, NULL, &f->pipeline),
                     ZM_OK);
    zm_tensor out = make(f, at.y, LENGTH, D, 5), sum = make(f, at.z, LENGTH, D, 6);
    bind_to(f, "x", make(f, at.x, LENGTH, D, 7));
    bind_to(f, "y", out);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "extern z is not bound"));
    bind_to(f, "z", sum);
    bind_to(f, "b", make_vector(f, at.w, D, 8));
    for (uint64_t seed = 10; seed < 12; seed++) {
        bind_to(f, "w", make_weight(f, at.w, D, D, seed));
        if (at.both) {
            bind_to(f, "w", make_weight(f, 1 - at.w, D, D, seed));
            bind_to(f, "b", make_vector(f, 1 - at.w, D, 8));
        }
        for (uint64_t i = seed; i < 12; i++)
            if (zm_pipeline_run(f->pipeline, f->streams, NULL) != ZM_OK)
                fail_msg("%s", f->log.error);
    }
    read_reals(f, &out, LENGTH - 1, y);
    read_reals(f, &sum, LENGTH - 1, z);
}

/* With both halves on the only device. */
static void run_externs_alone(fixture *f, double *y, double *z)
{
    f->devices[1] = f->devices[0];
    f->streams[1] = f->streams[0];
    f->count = 2;
    run_externs(f, (homes){0}, y, z);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).stages, 1);
    f->devices[1] = NULL;
    f->streams[1] = NULL;
    f->count = 1;
}

static void check_externs(const char *a, const char *b, homes at, double budget)
{
    const char *const specs[] = {a, b};
    static const uint32_t all[LAYERS];
    double y[2][LENGTH * D], z[2][LENGTH * D];
    fixture *one = open_all(specs, 1, all), *two = open_all(specs, 2, all);
    /* On one device all of it is done there. */
    run_externs_alone(one, y[0], z[0]);
    run_externs(two, at, y[1], z[1]);
    zm_pipeline_info info = zm_pipeline_get_info(two->pipeline);
    assert_true(difference(y[0], y[1]) <= budget);
    assert_true(difference(z[0], z[1]) <= budget);
    assert_int_equal(info.stages, 2);
    if (at.both)
        assert_int_equal(info.copied_bytes, 0);
    else
        assert_true(info.copied_bytes >= (D * D + D) * sizeof(float));
    close_all(one);
    close_all(two);
}

static void test_externs(void **state)
{
    (void)state;
    check_externs("host", "host", (homes){0, 1, 0, 0, false}, 0);
    check_externs("host", "host", (homes){1, 0, 1, 1, false}, 0);
    check_externs("host", "host", (homes){1, 1, 0, 1, true}, 0);
#ifdef TEST_OPENCL
    check_externs("host", "opencl", (homes){1, 0, 1, 0, false}, BUDGET);
    check_externs("host", "opencl", (homes){0, 0, 0, 1, false}, BUDGET);
#endif
}

/* ---- what a device can't do ---- */

/* All of an op's nodes go to the other device, and come back. */
static void check_fallback(const char *a, const char *b, const char *const *ops, const char *kernel,
                           uint32_t fallen)
{
    const char *const specs[] = {a, b};
    static const uint32_t all[LAYERS];
    double truth[OUTPUTS], first[OUTPUTS], again[OUTPUTS], sum;
    run_alone("host:f64", truth, &sum);
    fixture *f = open_all(specs, 2, all);
    for (; *ops; ops++)
        assert_int_equal(zm_device_force_kernel(f->devices[0], *ops, kernel), ZM_OK);
    if (compile(f) != ZM_OK)
        fail_msg("%s", f->log.error);
    run_steps(f, first, NULL);
    run_steps(f, again, NULL);
    assert_memory_equal(first, again, sizeof(first));
    double error = difference(truth, first);
    assert_true(error < BUDGET);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).fallen, fallen);
    assert_int_equal(f->log.errors, 0);
    assert_int_equal(f->log.warnings, 1);
    if (!strstr(f->log.warning, zm_device_get_info(f->devices[1])->spec) ||
        !strstr(f->log.warning, kernel))
        fail_msg("the warning says nothing: %s", f->log.warning);
    print_message("%s (%.1e)\n", f->log.warning, error);
    close_all(f);
}

static void test_fallback(void **state)
{
    (void)state;
    static const char *const norm[] = {"layer_norm", NULL}, *const product[] = {"matmul", NULL};
    check_fallback("host", "host", norm, "cpu", 2 * LAYERS);
    check_fallback("host", "host", product, "cpu", 4 * LAYERS);
#ifdef TEST_OPENCL
    /* Weights are packed again, and caches move. */
    static const char *const cache[] = {"kv_store", "attention", NULL}, *const row[] = {"copy",
                                                                                        NULL};
    check_fallback("opencl", "host", product, "ref", 4 * LAYERS);
    check_fallback("opencl", "host", cache, "ref", 2 * LAYERS);
    check_fallback("opencl", "host", row, "ref", 1);
    check_fallback("host", "opencl", product, "cpu", 4 * LAYERS);
    check_fallback("opencl", "host:f64", product, "ref", 4 * LAYERS);
#endif
}

static void test_nobody_can(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 1, 1};
    fixture *f = open_all(specs, 2, split);
    for (int d = 0; d < 2; d++)
        assert_int_equal(zm_device_force_kernel(f->devices[d], "attention", "cpu"), ZM_OK);
    assert_int_equal(compile(f), ZM_ERROR_UNSUPPORTED);
    assert_null(f->pipeline);
    assert_int_equal(f->log.errors, 1);
    assert_non_null(strstr(f->log.error, "attention"));
    assert_non_null(strstr(f->log.error, "no device can do it (host: cpu: the host device runs"));
    assert_non_null(strstr(f->log.error, "; host: cpu: the host device runs"));
    close_all(f);
}

/* ---- failures ---- */

/* What the second device can't do is said before the first one has done anything. */
static void test_failing_device(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 0, 1};
    double one[OUTPUTS], two[OUTPUTS], sum;
    run_alone("host", one, &sum);
    fixture *f = open_all(specs, 2, split);
    /* The border does not fit. */
    uint64_t limit = f->devices[1]->info.limits.max_buffer_bytes;
    f->devices[1]->info.limits.max_buffer_bytes = LENGTH * D * sizeof(float) - 1;
    assert_int_equal(compile(f), ZM_ERROR_LIMIT);
    assert_null(f->pipeline);
    f->devices[1]->info.limits.max_buffer_bytes = limit;
    assert_int_equal(compile(f), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f->devices[1], "attention", "cpu"), ZM_OK);
    set_step(f, 0, 5);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(f->log.error, "attention"));
    assert_int_equal(zm_pipeline_get_info(f->pipeline).work.launches, 0);
    assert_int_equal(zm_device_force_kernel(f->devices[1], "attention", NULL), ZM_OK);
    run_steps(f, two, NULL);
    assert_memory_equal(one, two, sizeof(one));
    close_all(f);
}

typedef struct patience {
    unsigned asked, stop;
} patience;

static bool still_patient(void *user)
{
    patience *self = user;
    return ++self->asked != self->stop;
}

static void test_stopping(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 1, 1};
    double one[OUTPUTS], two[OUTPUTS], sum;
    patience user = {0};
    const zm_run_params params = {.go_on = still_patient, .user = &user};
    run_alone("host", one, &sum);
    fixture *f = open_all(specs, 2, split);
    assert_int_equal(compile(f), ZM_OK);
    set_step(f, 0, 5);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, &params), ZM_OK);
    assert_int_equal(user.asked, zm_pipeline_get_info(f->pipeline).work.operations);
    for (unsigned i = 1, all = user.asked; i <= all; i++) {
        user = (patience){.stop = i};
        assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, &params), ZM_ERROR_CANCELLED);
        assert_int_equal(user.asked, i);
    }
    run_steps(f, two, NULL);
    assert_memory_equal(one, two, sizeof(one));
    close_all(f);
}

static void test_misuse(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host", "host"};
    static const uint32_t split[LAYERS] = {0, 1, 1};
    fixture *f = open_all(specs, 3, split);
    zm_pipeline *none = NULL;
    zm_device *many[ZM_PIPELINE_DEVICES + 1] = {0};
    for (int i = 0; i <= ZM_PIPELINE_DEVICES; i++)
        many[i] = f->devices[0];
    assert_int_equal(zm_pipeline_compile(f->graph, many, ZM_PIPELINE_DEVICES + 1, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    many[1] = NULL;
    assert_int_equal(zm_pipeline_compile(f->graph, many, 2, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_compile(f->graph, NULL, 1, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_compile(NULL, f->devices, 2, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    /* Weights of a device that is not named. */
    assert_int_equal(zm_pipeline_compile(f->graph, &f->devices[1], 2, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    f->count = 2;
    assert_int_equal(compile(f), ZM_OK);
    f->count = 3;
    zm_tensor other = make(f, 2, LENGTH, D, 1), small = make(f, 0, LENGTH - 1, D, 1);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "z", &f->x), ZM_ERROR_NOT_FOUND);
    assert_int_equal(zm_pipeline_bind(f->pipeline, "x", &other), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "extern x: its buffer is of another device"));
    assert_int_equal(zm_pipeline_bind(f->pipeline, "x", &small), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_bind(f->pipeline, NULL, &f->x), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_set(f->pipeline, f->tokens, 0), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_set(f->pipeline, f->tokens, 5), ZM_OK);
    assert_int_equal(zm_pipeline_set(f->pipeline, f->length, 4), ZM_OK);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "length - tokens"));
    set_step(f, 0, 4);
    zm_stream *const wrong[] = {f->streams[0], f->streams[2]};
    assert_int_equal(zm_pipeline_run(f->pipeline, wrong, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_run(f->pipeline, NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_OK);
    zm_graph_device(f->graph, 2);
    zm_graph_observe(f->graph, "x", 0, f->x);
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 2, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "device 2 of 2"));
    assert_null(none);
    assert_int_equal(zm_pipeline_get_info(NULL).stages, 0);
    zm_pipeline_destroy(NULL);
    close_all(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),        cmocka_unit_test(test_unlike_devices),
        cmocka_unit_test(test_one_device_twice), cmocka_unit_test(test_externs),
        cmocka_unit_test(test_fallback),         cmocka_unit_test(test_nobody_can),
        cmocka_unit_test(test_failing_device),   cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
