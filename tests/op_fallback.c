/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel that the driver cannot build is passed over for the next candidate. A run without an
 * OpenCL device fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zeromean/ops.h>

#include "device/device.h"
#include "scratch.h"

#define K 8
#define N 3

typedef struct fixture {
    scratch_log log;
    zm_device *device;
    zm_stream *stream;
    zm_buffer *buffer;
    zm_matmul_params params;
} fixture;

/* The sources of the cpu family, but for one that does not compile. */
static void make_shaders(void **state, const char *broken)
{
    static const char nonsense[] = "no such thing\n";
    static const char *const links[] = {"args.h",         "panel_blocks.clh",    "cpu/octets.clh",
                                        "cpu/blocks.clh", "cpu/epilogue.clh",    "cpu/math.clh",
                                        "cpu/matmul.cl",  "cpu/matmul_tile.clh", "cpu/matvec.cl",
                                        "cpu/kernel.clh", "cpu/types.clh",       "cpu/vector.clh"};
    assert_int_equal(mkdir(scratch_path(state, "cpu"), 0700), 0);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        char from[512];
        snprintf(from, sizeof(from), "%s/%s", TEST_SHADER_DIR, links[i]);
        if (strcmp(links[i], broken) == 0)
            scratch_write(scratch_path(state, broken), nonsense, sizeof(nonsense) - 1);
        else
            assert_int_equal(symlink(from, scratch_path(state, links[i])), 0);
    }
}

static void fixture_open(fixture *f, void **state)
{
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = "opencl:pocl", .log = &f->log.log};
    const zm_buffer_params size = {.size = 4096 * sizeof(float)};
    zm_weight_layout layout;
    assert_int_equal(zm_device_open(&params, &f->device), ZM_OK);
    assert_int_equal(zm_device_set_shader_dir(f->device, *state), ZM_OK);
    assert_int_equal(zm_stream_create(f->device, NULL, &f->stream), ZM_OK);
    assert_int_equal(zm_buffer_create(f->device, &size, &f->buffer), ZM_OK);
    assert_int_equal(zm_weight_layout_get(f->device, N, K, ZM_F32, &layout), ZM_OK);
    zm_tensor x = zm_tensor_2d(f->buffer, ZM_F32, 1, K);
    zm_tensor weight = zm_tensor_2d(f->buffer, ZM_F32, N, K);
    zm_tensor dst = zm_tensor_2d(f->buffer, ZM_F32, 1, N);
    weight.panel = layout.panel;
    weight.offset = 1024;
    dst.offset = 64;
    f->params = (zm_matmul_params){.x = x, .weight = weight, .dst = dst};
    float ones[4096];
    for (size_t i = 0; i < 4096; i++)
        ones[i] = 1;
    assert_int_equal(zm_buffer_write(f->stream, f->buffer, 0, ones, sizeof(ones)), ZM_OK);
}

static void fixture_close(fixture *f)
{
    zm_buffer_destroy(&f->buffer);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
}

static void the_next_candidate_takes_over(void **state)
{
    fixture f;
    make_shaders(state, "cpu/matvec.cl");
    fixture_open(&f, state);
    for (int i = 0; i < 3; i++) {
        float dst[N] = {0};
        assert_int_equal(zm_matmul(f.stream, &f.params), ZM_OK);
        assert_int_equal(zm_buffer_read(f.stream, f.buffer, 64 * sizeof(float), dst, sizeof(dst)),
                         ZM_OK);
        for (int j = 0; j < N; j++)
            assert_true(dst[j] == K);
        assert_int_equal(f.log.errors, 1); /* the compiler's reason, once */
        assert_non_null(strstr(f.log.error, "matvec"));
    }
    assert_int_equal(zm_device_force_kernel(f.device, "matmul", "cpu_matvec"), ZM_OK);
    assert_int_equal(zm_matmul(f.stream, &f.params), ZM_ERROR_DEVICE);
    assert_non_null(strstr(f.log.error, "matmul: the forced kernel cpu_matvec"));
    fixture_close(&f);
}

static void without_any_the_reason_is_the_driver(void **state)
{
    fixture f;
    make_shaders(state, "cpu/matmul_tile.clh");
    fixture_open(&f, state);
    assert_int_equal(zm_matmul(f.stream, &f.params), ZM_ERROR_DEVICE);
    assert_non_null(strstr(f.log.error, "matmul: no kernel"));
    assert_non_null(strstr(f.log.error, "cpu_matvec: it could not be built"));
    fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_next_candidate_takes_over, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(without_any_the_reason_is_the_driver, scratch_setup,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
