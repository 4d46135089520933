/* SPDX-License-Identifier: Apache-2.0 */
/* Layers on several devices against the same layers on one: the same bits where the devices are of
 * one kind, the float32 budget where they are not, with lengths that grow from run to run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "device/device.h"
#include "pipeline_lab.h"
#include "support/patience.h"

/* ---- the same results ---- */

/* There and back again: two borders, on each of which the new rows move. */
static void test_same_bits(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t there_and_back[LAYERS] = {0, 1, 0};
    double one[OUTPUTS], two[OUTPUTS], sum;
    lab_run_alone("host", one, &sum);
    fixture *f = lab_open(specs, 2, there_and_back);
    seen watch = {.f = f};
    assert_int_equal(lab_compile(f), ZM_OK);
    for (int i = 0; i < 2; i++) {
        lab_run(f, two, NULL);
        assert_memory_equal(one, two, sizeof(one));
        zm_pipeline_info info = zm_pipeline_get_info(f->pipeline);
        assert_int_equal(info.stages, 3);
        assert_int_equal(info.moves, 2);
        assert_int_equal(info.moved_bytes, 2 * lab_steps[STEPS - 1] * D * sizeof(float));
        assert_int_equal(info.fallen, 0);
        assert_int_equal(info.copied_bytes, 0);
        assert_int_equal(info.work.memory_bytes, info.work.least_bytes);
    }
    lab_run(f, two, &watch);
    assert_int_equal(watch.count, STEPS * LAYERS);
    assert_true(watch.sum == sum);
    assert_true(zm_pipeline_get_info(f->pipeline).work.planned > 0);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).work.planned, 0);
    assert_int_equal(f->log.errors + f->log.warnings, 0);
    uint32_t device = 7;
    assert_non_null(zm_pipeline_stage(f->pipeline, 1, &device));
    assert_int_equal(device, 1);
    assert_null(zm_pipeline_stage(f->pipeline, 3, NULL));
    lab_close(f);
}

static void check_unlike(const char *a, const char *b, double budget)
{
    const char *const specs[] = {a, b};
    static const uint32_t split[LAYERS] = {0, 0, 1};
    double truth[OUTPUTS], first[OUTPUTS], again[OUTPUTS], sum;
    lab_run_alone("host:f64", truth, &sum);
    fixture *f = lab_open(specs, 2, split);
    if (lab_compile(f) != ZM_OK)
        fail_msg("%s", f->log.error);
    lab_run(f, first, NULL);
    lab_run(f, again, NULL);
    assert_memory_equal(first, again, sizeof(first));
    double error = lab_difference(truth, first);
    print_message("%s, %s: %.1e\n", a, b, error);
    assert_true(error < budget);
    assert_int_equal(f->log.errors + f->log.warnings, 0);
    lab_close(f);
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
    fixture *f = lab_open(specs, 1, all);
    zm_device *const twice[] = {f->devices[0], f->devices[0]};
    assert_int_equal(zm_pipeline_compile(f->graph, twice, 2, NULL, &f->pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).stages, 1);
    lab_close(f);
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
    zm_tensor out = lab_make(f, at.y, LENGTH, D, 5), sum = lab_make(f, at.z, LENGTH, D, 6);
    bind_to(f, "x", lab_make(f, at.x, LENGTH, D, 7));
    bind_to(f, "y", out);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "extern z is not bound"));
    bind_to(f, "z", sum);
    bind_to(f, "b", lab_vector(f, at.w, D, 8));
    for (uint64_t seed = 10; seed < 12; seed++) {
        bind_to(f, "w", lab_weight(f, at.w, D, D, seed));
        if (at.both) {
            bind_to(f, "w", lab_weight(f, 1 - at.w, D, D, seed));
            bind_to(f, "b", lab_vector(f, 1 - at.w, D, 8));
        }
        for (uint64_t i = seed; i < 12; i++)
            if (zm_pipeline_run(f->pipeline, f->streams, NULL) != ZM_OK)
                fail_msg("%s", f->log.error);
    }
    lab_read(f, &out, LENGTH - 1, y);
    lab_read(f, &sum, LENGTH - 1, z);
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
    fixture *one = lab_open(specs, 1, all), *two = lab_open(specs, 2, all);
    /* On one device all of it is done there. */
    run_externs_alone(one, y[0], z[0]);
    run_externs(two, at, y[1], z[1]);
    zm_pipeline_info info = zm_pipeline_get_info(two->pipeline);
    assert_true(lab_difference(y[0], y[1]) <= budget);
    assert_true(lab_difference(z[0], z[1]) <= budget);
    assert_int_equal(info.stages, 2);
    if (at.both)
        assert_int_equal(info.copied_bytes, 0);
    else
        assert_true(info.copied_bytes >= (D * D + D) * sizeof(float));
    lab_close(one);
    lab_close(two);
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

/* What crosses a border can't be what an extern is bound to: a copy of it is read where it is, in
 * spite of the output that is written in between. */
static void test_borders_are_no_externs(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t all[LAYERS];
    fixture *f = lab_open(specs, 2, all);
    zm_graph *g = NULL;
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    const zm_size shape[] = {LENGTH, D};
    zm_tensor x = zm_graph_extern(g, "x", ZM_F32, 2, shape);
    zm_tensor y = zm_graph_extern(g, "y", ZM_F32, 2, shape);
    zm_tensor z = zm_graph_extern(g, "z", ZM_F32, 2, shape);
    zm_tensor t = zm_graph_tensor(g, "t", ZM_F32, 2, shape);
    zm_tensor copy = zm_graph_tensor(g, "copy", ZM_F32, 2, shape);
    zm_graph_add(g, &(zm_add_params){x, x, t});
    zm_graph_device(g, 1);
    zm_graph_copy(g, &(zm_copy_params){.x = t, .dst = copy});
    zm_graph_add(g, &(zm_add_params){t, t, y});
    zm_graph_add(g, &(zm_add_params){copy, copy, z});
    assert_int_equal(zm_pipeline_compile(g, f->devices, 2, NULL, &f->pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).work.fired[ZM_PASS_VIEW], 1);
    zm_graph_destroy(&g);
    lab_close(f);
}

/* ---- what a device can't do ---- */

/* All of an op's nodes go to the other device, and come back. */
static void check_fallback(const char *a, const char *b, const char *const *ops, const char *kernel,
                           uint32_t fallen)
{
    const char *const specs[] = {a, b};
    static const uint32_t all[LAYERS];
    double truth[OUTPUTS], first[OUTPUTS], again[OUTPUTS], sum;
    lab_run_alone("host:f64", truth, &sum);
    fixture *f = lab_open(specs, 2, all);
    for (; *ops; ops++)
        assert_int_equal(zm_device_force_kernel(f->devices[0], *ops, kernel), ZM_OK);
    if (lab_compile(f) != ZM_OK)
        fail_msg("%s", f->log.error);
    lab_run(f, first, NULL);
    lab_run(f, again, NULL);
    assert_memory_equal(first, again, sizeof(first));
    double error = lab_difference(truth, first);
    assert_true(error < BUDGET);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).fallen, fallen);
    assert_int_equal(f->log.errors, 0);
    assert_int_equal(f->log.warnings, 1);
    if (!strstr(f->log.warning, zm_device_get_info(f->devices[1])->spec) ||
        !strstr(f->log.warning, kernel))
        fail_msg("the warning says nothing: %s", f->log.warning);
    print_message("%s (%.1e)\n", f->log.warning, error);
    lab_close(f);
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
    fixture *f = lab_open(specs, 2, split);
    for (int d = 0; d < 2; d++)
        assert_int_equal(zm_device_force_kernel(f->devices[d], "attention", "cpu"), ZM_OK);
    assert_int_equal(lab_compile(f), ZM_ERROR_UNSUPPORTED);
    assert_null(f->pipeline);
    assert_int_equal(f->log.errors, 1);
    assert_non_null(strstr(f->log.error, "attention"));
    assert_non_null(strstr(f->log.error, "no device can do it (host: cpu: the host device runs"));
    assert_non_null(strstr(f->log.error, "; host: cpu: the host device runs"));
    lab_close(f);
}

/* A device has no room for a tensor: the next one has. */
static void test_tensor_that_is_too_large(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 0, 1};
    double one[OUTPUTS], two[OUTPUTS], sum;
    lab_run_alone("host", one, &sum);
    fixture *f = lab_open(specs, 2, split);
    f->devices[1]->info.limits.max_buffer_bytes = LENGTH * D * sizeof(float);
    assert_int_equal(lab_compile(f), ZM_OK);
    /* The product for q, k and v, what takes it apart, and what is between up and down. */
    assert_int_equal(zm_pipeline_get_info(f->pipeline).fallen, 5);
    assert_int_equal(f->log.warnings, 1);
    assert_non_null(strstr(f->log.warning, "is over the device's limit of 1536 for a buffer"));
    lab_run(f, two, NULL);
    assert_true(lab_difference(one, two) < BUDGET); /* norms are not deferred over borders */
    lab_close(f);
}

#ifdef TEST_OPENCL
enum { WIDE = 1040, WIDE_ROWS = 2 };

/* One head that is wider than any kernel for devices has room for. */
static void build_wide_head(fixture *f)
{
    zm_kv_layout layout;
    zm_tensor cache[2], q = lab_make(f, 0, WIDE_ROWS, WIDE, 1);
    zm_device *device = f->devices[0];
    assert_int_equal(zm_kv_layout_get(device, ZM_DTYPE_NONE, 1, WIDE, WIDE_ROWS, &layout), ZM_OK);
    for (int i = 0; i < 2; i++)
        cache[i] = lab_cache(f, 0, &layout);
    f->y = lab_make(f, 0, WIDE_ROWS, WIDE, 4);
    zm_graph_destroy(&f->graph);
    assert_int_equal(zm_graph_create(&f->log.log, &f->graph), ZM_OK);
    const zm_kv_store_params store = {
        .k = q, .v = q, .k_cache = cache[0], .v_cache = cache[1], .layout = layout};
    const zm_attention_params p = {.q = q,
                                   .k_cache = cache[0],
                                   .v_cache = cache[1],
                                   .layout = layout,
                                   .kv_length = WIDE_ROWS,
                                   .dst = f->y};
    zm_graph_kv_store(f->graph, &store);
    zm_graph_attention(f->graph, &p);
    zm_graph_observe(f->graph, "y", 0, p.dst);
    assert_int_equal(zm_graph_status(f->graph), ZM_OK);
}

static double sum_of_wide_head(fixture *f)
{
    float values[WIDE_ROWS * WIDE];
    double sum = 0;
    assert_int_equal(zm_buffer_read(f->streams[0], f->y.buffer, 0, values, sizeof(values)), ZM_OK);
    for (int i = 0; i < WIDE_ROWS * WIDE; i++)
        sum += (double)values[i] * (i % 7);
    return sum;
}

static zm_status observe_home(void *user, const char *what, uint32_t index, const zm_tensor *tensor)
{
    const fixture *f = user;
    (void)index;
    assert_string_equal(what, "y");
    return zm_buffer_get_device(tensor->buffer) == f->devices[0] ? ZM_OK : ZM_ERROR_DEVICE;
}

/* The host was not named, but it is there, and says so. */
static void test_last_resort(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "opencl"};
    static const uint32_t all[LAYERS];
    fixture *host = lab_open(specs, 1, all), *f = lab_open(specs + 1, 1, all);
    const zm_compile_params strict = {.no_host = true};
    build_wide_head(f);
    build_wide_head(host);
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 1, &strict, &f->pipeline), ZM_OK);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_UNSUPPORTED);
    zm_pipeline_destroy(&f->pipeline);
    zm_device *const twice[] = {f->devices[0], f->devices[0]};
    assert_int_equal(zm_pipeline_compile(f->graph, twice, 2, &strict, &f->pipeline),
                     ZM_ERROR_UNSUPPORTED);
    assert_int_equal(zm_device_force_kernel(f->devices[0], "attention", "cpu"), ZM_OK);
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 1, NULL, &f->pipeline),
                     ZM_ERROR_UNSUPPORTED);
    assert_int_equal(zm_device_force_kernel(f->devices[0], "attention", NULL), ZM_OK);
    f->log.errors = 0;
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 1, NULL, &f->pipeline), ZM_OK);
    assert_int_equal(f->log.errors, 0);
    assert_int_equal(f->log.warnings, 1);
    assert_non_null(strstr(f->log.warning, "to host: "));
    assert_non_null(strstr(f->log.warning, "head_dim 1040 is over 1024"));
    uint32_t device = 7;
    assert_non_null(zm_pipeline_stage(f->pipeline, 1, &device));
    assert_int_equal(device, 1);
    assert_int_equal(zm_pipeline_run(f->pipeline, NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    const zm_run_params watched = {.observe = observe_home, .user = f};
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, &watched), ZM_OK);
    assert_int_equal(zm_pipeline_compile(host->graph, host->devices, 1, NULL, &host->pipeline),
                     ZM_OK);
    assert_int_equal(zm_pipeline_run(host->pipeline, host->streams, NULL), ZM_OK);
    assert_true(sum_of_wide_head(f) == sum_of_wide_head(host));
    assert_int_equal(host->log.warnings, 0);
    lab_close(f);
    lab_close(host);
}

/* Layers that partly fit, and what is shown of them. */
static void test_partly_last_resort(void **state)
{
    (void)state;
    static const char *const specs[] = {"opencl"};
    static const uint32_t all[LAYERS];
    double truth[OUTPUTS], first[OUTPUTS], again[OUTPUTS], sum;
    lab_run_alone("host:f64", truth, &sum);
    fixture *f = lab_open(specs, 1, all);
    seen watch = {.f = f};
    f->devices[0]->info.limits.max_buffer_bytes = LENGTH * D * sizeof(float);
    assert_int_equal(lab_compile(f), ZM_OK);
    assert_int_equal(zm_pipeline_get_info(f->pipeline).fallen, 5 * LAYERS);
    lab_run(f, first, NULL);
    lab_run(f, again, &watch);
    assert_memory_equal(first, again, sizeof(first));
    assert_int_equal(watch.count, STEPS * LAYERS);
    assert_true(lab_difference(truth, first) < BUDGET);
    assert_int_equal(f->log.errors, 0);
    assert_int_equal(f->log.warnings, 1);
    lab_close(f);
}

/* Where the device can do everything no other one is there. */
static void test_no_resort_needed(void **state)
{
    (void)state;
    static const char *const specs[] = {"opencl"};
    static const uint32_t all[LAYERS];
    fixture *f = lab_open(specs, 1, all);
    assert_int_equal(lab_compile(f), ZM_OK);
    const zm_pipeline_info info = zm_pipeline_get_info(f->pipeline);
    assert_int_equal(info.stages, 1);
    assert_int_equal(info.fallen + info.copied_bytes, 0);
    assert_int_equal(f->log.warnings, 0);
    lab_close(f);
}
#endif

/* ---- failures ---- */

/* What the second device can't do is said before the first one has done anything. */
static void test_failing_device(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 0, 1};
    double one[OUTPUTS], two[OUTPUTS], sum;
    lab_run_alone("host", one, &sum);
    fixture *f = lab_open(specs, 2, split);
    /* The layers' tensors don't fit. */
    uint64_t limit = f->devices[1]->info.limits.max_buffer_bytes;
    for (int d = 0; d < 2; d++)
        f->devices[d]->info.limits.max_buffer_bytes = LENGTH * D * sizeof(float) - 1;
    assert_int_equal(lab_compile(f), ZM_ERROR_LIMIT);
    assert_null(f->pipeline);
    for (int d = 0; d < 2; d++)
        f->devices[d]->info.limits.max_buffer_bytes = limit;
    assert_int_equal(lab_compile(f), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f->devices[1], "attention", "cpu"), ZM_OK);
    lab_set(f, 0, 5);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_ERROR_UNSUPPORTED);
    assert_non_null(strstr(f->log.error, "attention"));
    assert_int_equal(zm_pipeline_get_info(f->pipeline).work.launches, 0);
    assert_int_equal(zm_device_force_kernel(f->devices[1], "attention", NULL), ZM_OK);
    lab_run(f, two, NULL);
    assert_memory_equal(one, two, sizeof(one));
    lab_close(f);
}

static void test_stopping(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host"};
    static const uint32_t split[LAYERS] = {0, 1, 1};
    double one[OUTPUTS], two[OUTPUTS], sum;
    patience user = {0};
    const zm_run_params params = {.go_on = still_patient, .user = &user};
    lab_run_alone("host", one, &sum);
    fixture *f = lab_open(specs, 2, split);
    assert_int_equal(lab_compile(f), ZM_OK);
    lab_set(f, 0, 5);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, &params), ZM_OK);
    assert_int_equal(user.asked, zm_pipeline_get_info(f->pipeline).work.operations);
    for (unsigned i = 1, all = user.asked; i <= all; i++) {
        user = (patience){.stop = i};
        assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, &params), ZM_ERROR_CANCELLED);
        assert_int_equal(user.asked, i);
    }
    lab_run(f, two, NULL);
    assert_memory_equal(one, two, sizeof(one));
    lab_close(f);
}

static void test_misuse(void **state)
{
    (void)state;
    static const char *const specs[] = {"host", "host", "host"};
    static const uint32_t split[LAYERS] = {0, 1, 1};
    fixture *f = lab_open(specs, 3, split);
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
    assert_int_equal(lab_compile(f), ZM_OK);
    f->count = 3;
    zm_tensor other = lab_make(f, 2, LENGTH, D, 1), small = lab_make(f, 0, LENGTH - 1, D, 1);
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
    lab_set(f, 0, 4);
    zm_stream *const wrong[] = {f->streams[0], f->streams[2]};
    assert_int_equal(zm_pipeline_run(f->pipeline, wrong, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_run(f->pipeline, NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_pipeline_run(f->pipeline, f->streams, NULL), ZM_OK);
    zm_graph_device(f->graph, 2);
    zm_graph_observe(f->graph, "x", 0, f->x);
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 2, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "device 2 of 2"));
    assert_int_equal(zm_pipeline_compile(f->graph, f->devices, 1, NULL, &none),
                     ZM_ERROR_INVALID_ARGUMENT);
    assert_null(none);
    assert_int_equal(zm_pipeline_get_info(NULL).stages, 0);
    zm_pipeline_destroy(NULL);
    lab_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_unlike_devices),
        cmocka_unit_test(test_one_device_twice),
        cmocka_unit_test(test_externs),
        cmocka_unit_test(test_borders_are_no_externs),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_nobody_can),
        cmocka_unit_test(test_tensor_that_is_too_large),
#ifdef TEST_OPENCL
        cmocka_unit_test(test_last_resort),
        cmocka_unit_test(test_partly_last_resort),
        cmocka_unit_test(test_no_resort_needed),
#endif
        cmocka_unit_test(test_failing_device),
        cmocka_unit_test(test_stopping),
        cmocka_unit_test(test_misuse),
    };
    return cmocka_run_group_tests_name("pipeline", tests, NULL, NULL);
}
