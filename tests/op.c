/* SPDX-License-Identifier: Apache-2.0 */
/* The op layer on the host device: which views may be the same, which kernel is chosen, and that a
 * refused call leaves everything as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/ops.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One buffer of 4096 floats; operand i of a call lies at 256 i. */
#define ELEMENTS 4096
#define APART 256

typedef struct fixture {
    zm_device *device, *other;
    zm_stream *stream;
    zm_buffer *buffer, *foreign;
    float before[ELEMENTS];
    char said[512]; /* the last error */
} fixture;

static fixture f;

static void listen(void *user, zm_log_level level, const char *message)
{
    if (level == ZM_LOG_ERROR)
        snprintf(user, sizeof(f.said), "%s", message);
}

static int set_up(void **state)
{
    (void)state;
    const zm_log log = {listen, f.said, ZM_LOG_DEBUG};
    const zm_device_params params = {.spec = "host", .log = &log, .host_threads = 1};
    const zm_buffer_params size = {.size = sizeof(f.before)};
    for (size_t i = 0; i < ELEMENTS; i++)
        f.before[i] = (float)(i % 100) / 10;
    return zm_device_open(&params, &f.device) || zm_device_open(&params, &f.other) ||
           zm_stream_create(f.device, NULL, &f.stream) ||
           zm_buffer_create(f.device, &size, &f.buffer) ||
           zm_buffer_create(f.other, &size, &f.foreign);
}

static int tear_down(void **state)
{
    (void)state;
    zm_buffer_destroy(&f.buffer);
    zm_buffer_destroy(&f.foreign);
    zm_stream_destroy(&f.stream);
    zm_device_close(&f.device);
    zm_device_close(&f.other);
    return 0;
}

static zm_tensor at(uint32_t slot, zm_dtype dtype, uint32_t rows, uint32_t cols)
{
    zm_tensor t =
        rows ? zm_tensor_2d(f.buffer, dtype, rows, cols) : zm_tensor_1d(f.buffer, dtype, cols);
    t.offset = slot * APART;
    return t;
}

static void reset(void)
{
    assert_int_equal(zm_buffer_write(f.stream, f.buffer, 0, f.before, sizeof(f.before)), ZM_OK);
    f.said[0] = '\0';
}

/* The call was refused, with a reason that names the op, and nothing has changed. */
static void assert_refused(zm_status got, zm_status wanted, const char *op)
{
    static float after[ELEMENTS];
    if (got != wanted)
        print_message("%s: %s, said '%s'\n", op, zm_status_name(got), f.said);
    assert_int_equal(got, wanted);
    assert_int_equal(strncmp(f.said, op, strlen(op)), 0);
    assert_int_equal(zm_stream_wait(f.stream), ZM_OK);
    assert_int_equal(zm_buffer_read(f.stream, f.buffer, 0, after, sizeof(after)), ZM_OK);
    assert_memory_equal(after, f.before, sizeof(after));
}

static const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;

static zm_norm_params norm_params(void)
{
    return (zm_norm_params){.x = at(0, ZM_F32, 3, 20),
                            .residual = at(1, ZM_F32, 3, 20),
                            .weight = at(2, ZM_F32, 0, 20),
                            .bias = at(3, ZM_F32, 0, 20),
                            .dst = at(4, ZM_F32, 3, 20),
                            .sum = at(5, ZM_F32, 3, 20),
                            .eps = 1e-5f};
}

/* dst and sum over each operand: the same view where the header says so, and shifted by one. */
static void test_norm_alias(void **state)
{
    (void)state;
    enum { X, RESIDUAL, WEIGHT, BIAS, DST, SUM };
    for (int output = DST; output <= SUM; output++)
        for (int input = X; input <= SUM; input++)
            for (int shift = 0; shift < 2; shift++) {
                zm_norm_params p = norm_params();
                const zm_tensor *from[] = {&p.x, &p.residual, &p.weight, &p.bias, &p.dst, &p.sum};
                zm_tensor *to = output == DST ? &p.dst : &p.sum;
                if (output == input)
                    continue;
                to->offset = from[input]->offset + (uint64_t)shift;
                reset();
                zm_status status = zm_layer_norm(f.stream, &p);
                if (shift == 0 && input <= RESIDUAL)
                    assert_int_equal(status, ZM_OK);
                else
                    assert_refused(status, bad, "layer_norm");
            }
}

/* Every operand with a buffer of another device. */
static void test_foreign(void **state)
{
    (void)state;
    zm_norm_params p = norm_params();
    zm_tensor *const operands[] = {&p.x, &p.residual, &p.weight, &p.bias, &p.dst, &p.sum};
    for (size_t i = 0; i < COUNT(operands); i++) {
        reset();
        operands[i]->buffer = f.foreign;
        assert_refused(zm_rms_norm(f.stream, &p), bad, "rms_norm");
        operands[i]->buffer = f.buffer;
    }
    assert_int_equal(zm_rms_norm(f.stream, &p), ZM_OK);
    reset();
    assert_refused(zm_rms_norm(f.stream, NULL), bad, "rms_norm");
    assert_int_equal(zm_rms_norm(NULL, &p), bad);
}

/* Weights of a convolution have no gaps between their rows; those of a matmul and a table may have
 * them. */
static void test_gaps(void **state)
{
    (void)state;
    zm_tensor weight = at(1, ZM_F32, 7, 20);
    weight.stride[0] = 24;
    weight.stride[1] = 1;
    zm_conv1d_params c = {
        .x = at(0, ZM_F32, 3, 20), .weight = weight, .dst = at(4, ZM_F32, 3, 7), .kernel = 1};
    reset();
    assert_refused(zm_conv1d(f.stream, &c), bad, "conv1d");
    zm_matmul_params m = {.x = at(0, ZM_F32, 3, 20), .weight = weight, .dst = at(4, ZM_F32, 3, 7)};
    assert_int_equal(zm_matmul(f.stream, &m), ZM_OK);
    zm_embedding_params e = {
        .tokens = at(0, ZM_I32, 0, 3), .table = weight, .dst = at(4, ZM_F32, 3, 20)};
    assert_int_equal(zm_embedding(f.stream, &e), ZM_OK);
}

/* Keys and values may be one and the same input; the caches may not be one output. */
static void test_kv_alias(void **state)
{
    (void)state;
    zm_kv_store_params p = {.k = at(4, ZM_F32, 2, 8),
                            .v = at(4, ZM_F32, 2, 8),
                            .k_cache = at(1, ZM_F32, 0, 2 * 4 * 6),
                            .v_cache = at(2, ZM_F32, 0, 2 * 4 * 6),
                            .position = 4};
    assert_int_equal(zm_kv_layout_get(f.device, ZM_DTYPE_NONE, 2, 4, 6, &p.layout), ZM_OK);
    reset();
    assert_int_equal(zm_kv_store(f.stream, &p), ZM_OK);
    p.v_cache = p.k_cache;
    reset();
    assert_refused(zm_kv_store(f.stream, &p), bad, "kv_store");
}

/* ---- candidates ---- */

static void test_force(void **state)
{
    (void)state;
    zm_norm_params p = norm_params();
    reset();
    assert_int_equal(zm_device_force_kernel(f.device, "layer_norm", "cpu"), ZM_OK);
    assert_refused(zm_layer_norm(f.stream, &p), ZM_ERROR_UNSUPPORTED, "layer_norm");
    assert_non_null(strstr(f.said, "cpu"));
    assert_int_equal(zm_device_force_kernel(f.device, "layer_norm", "no-such"), ZM_OK);
    assert_refused(zm_layer_norm(f.stream, &p), ZM_ERROR_NOT_FOUND, "layer_norm");
    assert_non_null(strstr(f.said, "no-such"));
    assert_int_equal(zm_device_force_kernel(f.device, "layer_norm", "ref"), ZM_OK);
    assert_int_equal(zm_layer_norm(f.stream, &p), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f.device, "layer_norm", NULL), ZM_OK);
    assert_int_equal(zm_layer_norm(f.stream, &p), ZM_OK);
}

static void test_list(void **state)
{
    (void)state;
    size_t count = 0;
    const zm_op_info *ops = zm_op_list(&count);
    assert_int_equal(count, 18);
    for (size_t i = 0; i < count; i++) {
        assert_true(ops[i].candidate_count >= 2);
        for (size_t j = 0; j < ops[i].candidate_count; j++)
            assert_non_null(ops[i].candidates[j]);
        assert_string_equal(ops[i].candidates[ops[i].candidate_count - 1], "ref");
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(ops[i].name, ops[j].name);
    }
    assert_ptr_equal(zm_op_list(NULL), ops);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norm_alias), cmocka_unit_test(test_foreign),
        cmocka_unit_test(test_gaps),       cmocka_unit_test(test_kv_alias),
        cmocka_unit_test(test_force),      cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
