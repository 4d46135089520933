/* SPDX-License-Identifier: Apache-2.0 */
#include "refusal.h"

#include <stdio.h>

refusal f;

static const char *spec;

static void listen(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level != ZM_LOG_ERROR)
        return;
    snprintf(f.said, sizeof(f.said), "%s", message);
    f.errors++;
}

zm_tensor vector(uint32_t slot, uint32_t n)
{
    zm_tensor t = zm_tensor_1d(f.buffer, ZM_F32, n);
    t.offset = slot * APART;
    return t;
}

zm_tensor matrix(uint32_t slot, uint32_t rows, uint32_t cols)
{
    zm_tensor t = zm_tensor_2d(f.buffer, ZM_F32, rows, cols);
    t.offset = slot * APART;
    return t;
}

zm_tensor cube(uint32_t slot, uint32_t batch, uint32_t rows, uint32_t cols)
{
    return (zm_tensor){.buffer = f.buffer,
                       .offset = slot * APART,
                       .dtype = ZM_F32,
                       .rank = 3,
                       .shape = {batch, rows, cols}};
}

zm_tensor integers(zm_tensor tensor)
{
    tensor.dtype = ZM_I32;
    return tensor;
}

void narrow(zm_tensor *tensor, zm_dtype dtype)
{
    tensor->dtype = dtype;
    tensor->offset *= 2;
}

zm_tensor weight(uint32_t slot, uint32_t n, uint32_t k)
{
    zm_tensor t = matrix(slot, n, k);
    zm_weight_layout layout;
    assert_int_equal(zm_weight_layout_get(f.device, n, k, ZM_F32, &layout), ZM_OK);
    assert_true(layout.elements <= APART);
    t.panel = layout.panel;
    return t;
}

zm_tensor with_stride(zm_tensor matrix, uint64_t stride)
{
    matrix.stride[0] = stride;
    matrix.stride[1] = 1;
    return matrix;
}

void refusal_reset(void)
{
    assert_int_equal(zm_buffer_write(f.stream, f.buffer, 0, f.before, sizeof(f.before)), ZM_OK);
    f.said[0] = '\0';
    f.errors = 0;
}

void assert_refused(zm_status got, zm_status wanted, const char *op, int which)
{
    static float after[ELEMENTS];
    if (got != wanted || f.errors != 1 || strncmp(f.said, op, strlen(op)) != 0 ||
        strchr(f.said, '\n'))
        fail_msg("%s, %d: %s, %zu errors, the last '%s'", op, which, zm_status_name(got), f.errors,
                 f.said);
    assert_int_equal(zm_stream_wait(f.stream), ZM_OK);
    assert_int_equal(zm_buffer_read(f.stream, f.buffer, 0, after, sizeof(after)), ZM_OK);
    assert_memory_equal(after, f.before, sizeof(after));
}

void assert_accepted(zm_status got, const char *op, int which)
{
    if (got != ZM_OK || f.errors)
        fail_msg("%s, %d: %s, '%s'", op, which, zm_status_name(got), f.said);
}

static int set_up(void **state)
{
    (void)state;
    const zm_log log = {listen, NULL, ZM_LOG_ERROR};
    const zm_device_params params = {.spec = spec, .log = &log, .host_threads = 1};
    const zm_buffer_params size = {.size = sizeof(f.before)};
    for (size_t i = 0; i < ELEMENTS; i++)
        f.before[i] = (float)(i % 100) / 10;
    if (zm_device_open(&params, &f.device) || zm_stream_create(f.device, NULL, &f.stream) ||
        zm_buffer_create(f.device, &size, &f.buffer)) {
        print_error("%s: %s\n", spec, f.said);
        return -1;
    }
    f.on_host = zm_device_get_info(f.device)->backend == ZM_BACKEND_HOST;
    f.group = zm_statistics_group(f.device);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    zm_buffer_destroy(&f.buffer);
    zm_stream_destroy(&f.stream);
    zm_device_close(&f.device);
    return 0;
}

int refusal_main(int argc, char **argv, const char *name, const struct CMUnitTest *tests,
                 size_t count)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s DEVICE\n", argv[0]);
        return 2;
    }
    spec = argv[1];
    return _cmocka_run_group_tests(name, tests, count, set_up, tear_down);
}
