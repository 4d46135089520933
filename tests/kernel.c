/* SPDX-License-Identifier: Apache-2.0 */
/* Building and launching kernels. A run without an OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "shaders/args.h"
#include "support/capture.h"
#include "support/scale.h"

#define THREADS 4

static capture messages = CAPTURE_INIT;
static zm_log messages_log;
static scale_folder folder;

static int folder_make(void **state)
{
    (void)state;
    capture_clear(&messages);
    return scale_folder_make(&folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    scale_folder_remove(&folder);
    return 0;
}

static zm_device *open_device(bool cached)
{
    zm_device *device = NULL;
    if (scale_open(&folder, "opencl:pocl", cached, &messages_log, &device) != ZM_OK)
        fail_msg("%s", messages.text);
    return device;
}

/* ---- building ---- */

static void kernels_are_built_once_per_options(void **state)
{
    (void)state;
    zm_device *device = open_device(false);
    const zm_kernel *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(scale_kernel(device, NULL, &a), ZM_OK);
    assert_int_equal(scale_kernel(device, "", &b), ZM_OK);
    assert_ptr_equal(a, b);
    assert_int_equal(scale_kernel(device, "-DFACTOR=3.0f", &c), ZM_OK);
    assert_ptr_not_equal(a, c);
    assert_int_equal(zm_device_built_kernels(device), 2);
    assert_int_equal(zm_device_cached_kernels(device), 0);
    assert_string_equal(c->desc.options, "-DFACTOR=3.0f");
    assert_int_equal(c->desc.local[0], 1);
    zm_device_close(&device);
}

static void a_kernel_that_does_not_build_is_an_error_and_the_device_goes_on(void **state)
{
    (void)state;
    zm_device *device = open_device(true);
    const zm_kernel *kernel = NULL;
    zm_kernel_desc broken = {.name = "broken", .family = ZM_FAMILY_CPU, .buffer_count = 1};
    assert_int_equal(zm_kernel_get(device, &broken, &kernel), ZM_ERROR_DEVICE);
    assert_null(kernel);
    assert_true(capture_has(&messages, "kernel broken [-cl-std=CL1.2 ] does not build"));
    assert_true(capture_has(&messages, "no_such_thing"));
    capture_clear(&messages);
    assert_int_equal(zm_kernel_get(device, &broken, &kernel), ZM_ERROR_DEVICE);
    assert_true(capture_has(&messages, "could not be built"));
    assert_false(capture_has(&messages, "no_such_thing"));

    broken.name = "nameless";
    assert_int_equal(zm_kernel_get(device, &broken, &kernel), ZM_ERROR_DEVICE);
    assert_true(capture_has(&messages, "CL_INVALID_KERNEL_NAME"));
    broken.name = "missing";
    assert_int_equal(zm_kernel_get(device, &broken, &kernel), ZM_ERROR_NOT_FOUND);
    assert_true(capture_has(&messages, "cpu/missing.cl"));
    assert_int_equal(scale_exercise(device, 2.0f), ZM_OK);
    assert_int_equal(zm_device_built_kernels(device), 1);
    zm_device_close(&device);
}

static void bad_descriptions_are_refused(void **state)
{
    (void)state;
    zm_device *device = open_device(false);
    const zm_kernel *kernel = NULL;
    const zm_kernel_desc good = {.name = "scale", .family = ZM_FAMILY_CPU, .buffer_count = 3};
    zm_kernel_desc desc = good;
    desc.buffer_count = ZM_MAX_BINDINGS + 1;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_INVALID_ARGUMENT);
    desc = good;
    desc.args_size = ZM_MAX_ARGS + 1;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_INVALID_ARGUMENT);
    desc = good;
    desc.local[0] = zm_device_get_info(device)->limits.max_work_group + 1;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_LIMIT);
    desc = good;
    desc.local[0] = desc.local[1] = desc.local[2] = UINT32_MAX;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_LIMIT);
    desc = good;
    desc.family = ZM_FAMILY_REF;
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_UNSUPPORTED);
    assert_null(kernel);
    zm_device_close(&device);
}

static void embedded_sources_build(void **state)
{
    (void)state;
    zm_device *device = open_device(false);
    const zm_kernel *kernel = NULL;
    zm_kernel_desc desc = {.name = "matvec",
                           .family = ZM_FAMILY_CPU,
                           .buffer_count = 10,
                           .args_size = sizeof(struct zm_matmul_args)};
    assert_int_equal(zm_device_set_shader_dir(device, NULL), ZM_OK);
    if (zm_kernel_get(device, &desc, &kernel) != ZM_OK)
        fail_msg("%s", messages.text);
    desc.name = "missing";
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_NOT_FOUND);
    assert_true(capture_has(&messages, "cpu/missing.cl"));
    zm_device_close(&device);
}

/* ---- launching ---- */

static void launches_compute_and_check(void **state)
{
    (void)state;
    float x[SCALE_ITEMS], y[SCALE_ITEMS], result[SCALE_ITEMS];
    for (uint32_t i = 0; i < SCALE_ITEMS; i++) {
        x[i] = (float)i - 300.0f;
        y[i] = (float)(i % 7);
    }
    zm_device *device = open_device(false), *other = open_device(false);
    zm_buffer_params params = {.size = sizeof(x)};
    zm_buffer *a = NULL, *b = NULL, *c = NULL, *foreign = NULL;
    zm_stream *stream = NULL;
    const zm_kernel *kernel = NULL;
    assert_int_equal(zm_buffer_create(device, &params, &a), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &params, &b), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &params, &c), ZM_OK);
    assert_int_equal(zm_buffer_create(other, &params, &foreign), ZM_OK);
    assert_int_equal(zm_stream_create(device, NULL, &stream), ZM_OK);
    assert_int_equal(scale_kernel(device, "-DFACTOR=0.5f", &kernel), ZM_OK);
    assert_int_equal(zm_buffer_write(stream, a, 0, x, sizeof(x)), ZM_OK);
    assert_int_equal(zm_buffer_write(stream, b, 0, y, sizeof(y)), ZM_OK);
    for (int with_y = 0; with_y < 2; with_y++) {
        assert_int_equal(scale_run(stream, kernel, a, with_y ? b : NULL, c, 4.0f, NULL), ZM_OK);
        assert_int_equal(zm_buffer_read(stream, c, 0, result, sizeof(result)), ZM_OK);
        for (uint32_t i = 0; i < SCALE_ITEMS; i++)
            assert_true(result[i] == x[i] * 2.0f + (with_y ? y[i] : 0.0f));
    }
    assert_int_equal(scale_run(stream, kernel, foreign, b, c, 4.0f, NULL),
                     ZM_ERROR_INVALID_ARGUMENT);
    zm_dispatch empty = {.kernel = kernel, .buffers = {a, b, c}, .groups = {1, 0, 1}};
    assert_int_equal(zm_device_dispatch(stream, &empty, NULL), ZM_ERROR_INVALID_ARGUMENT);
    zm_stream_destroy(&stream);
    zm_buffer_destroy(&a);
    zm_buffer_destroy(&b);
    zm_buffer_destroy(&c);
    zm_buffer_destroy(&foreign);
    zm_device_close(&device);
    zm_device_close(&other);
}

static void two_devices_interleave(void **state)
{
    (void)state;
    zm_device *a = open_device(false), *b = open_device(false);
    for (int i = 1; i < 4; i++) {
        assert_int_equal(scale_exercise(a, (float)i), ZM_OK);
        assert_int_equal(scale_exercise(b, (float)-i), ZM_OK);
    }
    zm_device_close(&a);
    assert_int_equal(scale_exercise(b, 9.0f), ZM_OK);
    a = open_device(false);
    assert_int_equal(scale_exercise(a, 5.0f), ZM_OK);
    zm_device_close(&b);
    assert_int_equal(scale_exercise(a, 6.0f), ZM_OK);
    zm_device_close(&a);
}

typedef struct worker {
    pthread_t thread;
    zm_device *device;
    float factor;
    zm_status status;
} worker;

/* All threads ask for the kernel at once and launch the same one, each with its own arguments. */
static void *worker_main(void *argument)
{
    worker *w = argument;
    for (int i = 0; i < 25 && w->status == ZM_OK; i++)
        w->status = scale_exercise(w->device, w->factor + (float)i);
    return NULL;
}

static void run_workers(zm_device *device)
{
    worker workers[THREADS];
    for (int i = 0; i < THREADS; i++) {
        workers[i] = (worker){.device = device, .factor = (float)(100 * i)};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(workers[i].thread, NULL);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(workers[i].status, ZM_OK);
}

static void threads_share_a_kernel(void **state)
{
    (void)state;
    zm_device *device = open_device(false);
    run_workers(device);
    assert_int_equal(zm_device_built_kernels(device), 1);
    zm_device_close(&device);
}

/* ---- the host device ---- */

static void host_add(const char *spec, uint32_t threads, uint32_t rows, uint32_t d, void *out)
{
    zm_device_params params = {.spec = spec, .log = &messages_log, .host_threads = threads};
    zm_device *device = NULL;
    zm_stream *stream = NULL;
    zm_event *event = NULL;
    const zm_kernel *kernel = NULL;
    zm_buffer *x = NULL, *y = NULL, *dst = NULL;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    size_t real = zm_dtype_size(zm_device_get_info(device)->real_type);
    zm_buffer_params bytes = {.size = (uint64_t)rows * d * real};
    assert_int_equal(zm_stream_create(device, &(zm_stream_params){.timestamps = true}, &stream),
                     ZM_OK);
    assert_int_equal(zm_event_create(device, &event), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &bytes, &x), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &bytes, &y), ZM_OK);
    assert_int_equal(zm_buffer_create(device, &bytes, &dst), ZM_OK);
    void *values = NULL;
    assert_int_equal(zm_buffer_map(stream, x, 0, bytes.size, &values), ZM_OK);
    for (size_t i = 0; i < (size_t)rows * d; i++) {
        if (real == sizeof(double))
            ((double *)values)[i] = 0.1 * (double)i;
        else
            ((float *)values)[i] = 0.1f * (float)i;
    }
    assert_int_equal(zm_buffer_unmap(stream, x, values), ZM_OK);
    assert_int_equal(zm_buffer_copy(stream, y, 0, x, 0, bytes.size), ZM_OK);

    zm_kernel_desc desc = {.name = "add",
                           .family = ZM_FAMILY_REF,
                           .buffer_count = 3,
                           .args_size = sizeof(struct zm_add_args)};
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_OK);
    zm_dispatch dispatch = {.kernel = kernel, .buffers = {x, y, dst}, .groups = {rows, 1, 1}};
    struct zm_add_args args = {.rows = rows,
                               .d = d,
                               .x_stride = d,
                               .y_stride = d,
                               .dst_stride = d,
                               .flags = ZM_FLAG_RESIDUAL};
    memcpy(dispatch.args.bytes, &args, sizeof(args));
    assert_int_equal(zm_device_dispatch(stream, &dispatch, event), ZM_OK);
    uint64_t start = 0, end = 0;
    assert_int_equal(zm_event_times(event, &start, &end), ZM_OK);
    assert_true(start > 0 && start <= end);
    assert_int_equal(zm_buffer_read(stream, dst, 0, out, bytes.size), ZM_OK);
    zm_event_destroy(&event);
    zm_buffer_destroy(&x);
    zm_buffer_destroy(&y);
    zm_buffer_destroy(&dst);
    zm_stream_destroy(&stream);
    zm_device_close(&device);
}

static void the_host_shares_items_among_threads(void **state)
{
    (void)state;
    static const uint32_t shapes[][2] = {{1, 1}, {1, 999}, {7, 3}, {64, 4096}, {1001, 257}};
    for (size_t s = 0; s < sizeof(shapes) / sizeof(shapes[0]); s++) {
        uint32_t rows = shapes[s][0], d = shapes[s][1];
        size_t count = (size_t)rows * d;
        float *single = calloc(count, sizeof(float));
        double *twice = calloc(count, sizeof(double));
        assert_true(single && twice);
        for (uint32_t threads = 0; threads < 6; threads++) {
            memset(single, 0xff, count * sizeof(float));
            host_add("host", threads, rows, d, single);
            for (size_t i = 0; i < count; i++)
                assert_true(single[i] == 2.0f * (0.1f * (float)i));
            memset(twice, 0xff, count * sizeof(double));
            host_add("host:f64", threads, rows, d, twice);
            for (size_t i = 0; i < count; i++)
                assert_true(twice[i] == 2.0 * (0.1 * (double)i));
        }
        free(single);
        free(twice);
    }
}

static void the_host_has_plain_c_kernels_only(void **state)
{
    (void)state;
    zm_device_params params = {.spec = "host", .log = &messages_log};
    zm_device *device = NULL;
    const zm_kernel *kernel = NULL;
    assert_int_equal(zm_device_open(&params, &device), ZM_OK);
    zm_kernel_desc desc = {.name = "add", .family = ZM_FAMILY_CPU, .buffer_count = 3};
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_NOT_FOUND);
    desc = (zm_kernel_desc){.name = "no such op", .family = ZM_FAMILY_REF};
    assert_int_equal(zm_kernel_get(device, &desc, &kernel), ZM_ERROR_NOT_FOUND);
    assert_true(capture_has(&messages, "no such op"));
    zm_device_close(&device);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    messages_log = capture_log(&messages, ZM_LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        IN_FOLDER(kernels_are_built_once_per_options),
        IN_FOLDER(a_kernel_that_does_not_build_is_an_error_and_the_device_goes_on),
        IN_FOLDER(bad_descriptions_are_refused),
        IN_FOLDER(embedded_sources_build),
        IN_FOLDER(launches_compute_and_check),
        IN_FOLDER(two_devices_interleave),
        IN_FOLDER(threads_share_a_kernel),
        IN_FOLDER(the_host_shares_items_among_threads),
        IN_FOLDER(the_host_has_plain_c_kernels_only),
    };
    return cmocka_run_group_tests_name("kernel", tests, NULL, NULL);
}
