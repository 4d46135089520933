/* SPDX-License-Identifier: Apache-2.0 */
/* The op layer on the host device: what every op refuses, which kernel it chooses, and that a
 * refused call leaves everything as it was. */
#include <math.h>
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

/* ---- one operand: everything that may be wrong with it ---- */

typedef zm_status (*run_fn)(const void *params);

/* Breaks the tensor at `place` inside params in every way and expects a refusal each time. */
static void break_tensor(const char *op, run_fn run, void *params, zm_tensor *place, bool optional)
{
    const zm_tensor good = *place;
    for (int way = 0; way < 11; way++) {
        zm_tensor t = good;
        switch (way) {
        case 0: t.buffer = optional ? f.foreign : NULL; break;
        case 1: t.buffer = f.foreign; break;
        case 2: t.dtype = ZM_F64; break;
        case 3: t.dtype = ZM_BF16; break;
        case 4: t.rank = 0; break;
        case 5: t.rank = 3; break;
        case 6: t.shape[0]++; break;
        case 7: t.shape[t.rank - 1] = 0; break;
        case 8: t.offset = ELEMENTS; break;
        case 9: t.stride[t.rank - 1] = 2; break;
        default: t.offset = UINT64_MAX; break;
        }
        reset();
        *place = t;
        assert_refused(run(params), bad, op);
    }
    *place = good;
    reset();
    assert_int_equal(run(params), ZM_OK);
}

static zm_status run_layer_norm(const void *params)
{
    return zm_layer_norm(f.stream, params);
}

static zm_status run_rms_norm(const void *params)
{
    return zm_rms_norm(f.stream, params);
}

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

static void test_norm(void **state)
{
    (void)state;
    zm_norm_params p = norm_params();
    break_tensor("rms_norm", run_rms_norm, &p, &p.residual, true);
    break_tensor("layer_norm", run_layer_norm, &p, &p.weight, true);
    break_tensor("layer_norm", run_layer_norm, &p, &p.bias, true);
    break_tensor("layer_norm", run_layer_norm, &p, &p.dst, false);
    break_tensor("layer_norm", run_layer_norm, &p, &p.sum, true);

    const float wrong_eps[] = {-1e-5f, NAN, INFINITY};
    for (size_t i = 0; i < COUNT(wrong_eps); i++) {
        p.eps = wrong_eps[i];
        reset();
        assert_refused(zm_layer_norm(f.stream, &p), bad, "layer_norm");
    }
    p = norm_params();
    p.residual = (zm_tensor){0};
    reset();
    assert_refused(zm_rms_norm(f.stream, &p), bad, "rms_norm");
    assert_refused(zm_rms_norm(f.stream, NULL), bad, "rms_norm");
    assert_int_equal(zm_rms_norm(NULL, &p), bad);
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

static zm_status run_matmul(const void *params)
{
    return zm_matmul(f.stream, params);
}

static void test_matmul(void **state)
{
    (void)state;
    zm_matmul_params p = {.x = at(0, ZM_F32, 3, 20),
                          .weight = at(1, ZM_F32, 7, 20),
                          .bias = at(2, ZM_F32, 0, 7),
                          .residual = at(3, ZM_F32, 3, 7),
                          .dst = at(4, ZM_F32, 3, 7)};
    break_tensor("matmul", run_matmul, &p, &p.weight, false);
    break_tensor("matmul", run_matmul, &p, &p.bias, true);
    break_tensor("matmul", run_matmul, &p, &p.residual, true);
    break_tensor("matmul", run_matmul, &p, &p.dst, false);

    zm_matmul_params q = p;
    q.activation = (zm_activation)7;
    reset();
    assert_refused(zm_matmul(f.stream, &q), bad, "matmul");
    q = p;
    q.weight.stride[0] = 24; /* weights have no gaps */
    q.weight.stride[1] = 1;
    assert_refused(zm_matmul(f.stream, &q), bad, "matmul");
    q = p;
    q.dst.offset = q.x.offset;
    assert_refused(zm_matmul(f.stream, &q), bad, "matmul");
    q = p;
    q.dst.offset = q.residual.offset;
    assert_int_equal(zm_matmul(f.stream, &q), ZM_OK);
    q.weight.dtype = ZM_F16; /* half as long, so it still fits */
    reset();
    assert_int_equal(zm_matmul(f.stream, &q), ZM_OK);
}

static zm_status run_conv1d(const void *params)
{
    return zm_conv1d(f.stream, params);
}

static void test_conv1d(void **state)
{
    (void)state;
    zm_conv1d_params p = {.x = at(0, ZM_F32, 10, 5),
                          .weight = at(1, ZM_F32, 4, 15),
                          .bias = at(2, ZM_F32, 0, 4),
                          .dst = at(3, ZM_F32, 5, 4),
                          .kernel = 3,
                          .stride = 2,
                          .padding = 1};
    break_tensor("conv1d", run_conv1d, &p, &p.weight, false);
    break_tensor("conv1d", run_conv1d, &p, &p.dst, false);
    zm_conv1d_params q = p;
    q.x.stride[0] = 6;
    q.x.stride[1] = 1;
    reset();
    assert_refused(zm_conv1d(f.stream, &q), bad, "conv1d");
    static const uint32_t kernels[] = {0, 2, 4, 13, UINT32_MAX};
    for (size_t i = 0; i < COUNT(kernels); i++) {
        q = p;
        q.kernel = kernels[i];
        assert_refused(zm_conv1d(f.stream, &q), bad, "conv1d");
    }
    q = p;
    q.padding = UINT32_MAX;
    assert_refused(zm_conv1d(f.stream, &q), bad, "conv1d");
    q = p;
    q.stride = 0; /* = 1 */
    assert_refused(zm_conv1d(f.stream, &q), bad, "conv1d");
    q.dst = at(3, ZM_F32, 10, 4);
    assert_int_equal(zm_conv1d(f.stream, &q), ZM_OK);
}

static zm_status run_attention(const void *params)
{
    return zm_attention(f.stream, params);
}

static zm_attention_params attention_params(void)
{
    zm_attention_params p = {.q = at(0, ZM_F32, 3, 16),
                             .k_cache = at(1, ZM_F32, 0, 2 * 4 * 6),
                             .v_cache = at(2, ZM_F32, 0, 2 * 4 * 6),
                             .heads = 4,
                             .kv_length = 5,
                             .causal = true,
                             .dst = at(3, ZM_F32, 3, 16)};
    assert_int_equal(zm_kv_layout_get(f.device, 2, 4, 6, &p.layout), ZM_OK);
    return p;
}

static void test_attention(void **state)
{
    (void)state;
    zm_attention_params p = attention_params();
    break_tensor("attention", run_attention, &p, &p.q, false);
    break_tensor("attention", run_attention, &p, &p.k_cache, false);
    break_tensor("attention", run_attention, &p, &p.v_cache, false);
    break_tensor("attention", run_attention, &p, &p.dst, false);
    for (int way = 0; way < 9; way++) {
        p = attention_params();
        switch (way) {
        case 0: p.heads = 3; break;
        case 1: p.heads = 0; break; /* = 2: not as wide as q */
        case 2: p.kv_length = 0; break;
        case 3: p.kv_length = 7; break;
        case 4: p.kv_length = 2; break; /* causal: row 0 would see none */
        case 5: p.layout.capacity = 0; break;
        case 6: p.layout.head_stride--; break;
        case 7: p.layout.elements++; break;
        default: p.dst.offset = p.q.offset + 1; break;
        }
        reset();
        assert_refused(zm_attention(f.stream, &p), bad, "attention");
    }
    p = attention_params();
    p.dst.offset = p.q.offset;
    assert_int_equal(zm_attention(f.stream, &p), ZM_OK);
}

static zm_status run_kv_store(const void *params)
{
    return zm_kv_store(f.stream, params);
}

static void test_kv_store(void **state)
{
    (void)state;
    const zm_attention_params a = attention_params();
    zm_kv_store_params p = {.k = at(4, ZM_F32, 2, 8),
                            .v = at(5, ZM_F32, 2, 8),
                            .k_cache = a.k_cache,
                            .v_cache = a.v_cache,
                            .layout = a.layout,
                            .position = 4};
    break_tensor("kv_store", run_kv_store, &p, &p.v, false);
    break_tensor("kv_store", run_kv_store, &p, &p.k_cache, false);
    break_tensor("kv_store", run_kv_store, &p, &p.v_cache, false);
    static const uint32_t positions[] = {5, UINT32_MAX};
    for (size_t i = 0; i < COUNT(positions); i++) {
        zm_kv_store_params q = p;
        q.position = positions[i];
        reset();
        assert_refused(zm_kv_store(f.stream, &q), bad, "kv_store");
    }
    zm_kv_store_params q = p;
    q.v_cache = q.k_cache;
    reset();
    assert_refused(zm_kv_store(f.stream, &q), bad, "kv_store");
    q = p;
    q.k = q.v; /* inputs may be one and the same */
    assert_int_equal(zm_kv_store(f.stream, &q), ZM_OK);
}

static zm_status run_embedding(const void *params)
{
    return zm_embedding(f.stream, params);
}

static zm_status run_argmax(const void *params)
{
    return zm_argmax(f.stream, params);
}

static zm_status run_add(const void *params)
{
    return zm_add(f.stream, params);
}

static void test_others(void **state)
{
    (void)state;
    zm_embedding_params e = {.tokens = at(0, ZM_I32, 0, 3),
                             .table = at(1, ZM_F32, 9, 8),
                             .position = at(2, ZM_F32, 3, 8),
                             .dst = at(3, ZM_F32, 3, 8)};
    break_tensor("embedding", run_embedding, &e, &e.position, true);
    break_tensor("embedding", run_embedding, &e, &e.dst, false);
    e.tokens.dtype = ZM_F32;
    reset();
    assert_refused(zm_embedding(f.stream, &e), bad, "embedding");

    zm_argmax_params m = {.x = at(0, ZM_F32, 3, 20), .dst = at(1, ZM_I32, 0, 3)};
    break_tensor("argmax", run_argmax, &m, &m.dst, false);
    m.dst.dtype = ZM_F32;
    reset();
    assert_refused(zm_argmax(f.stream, &m), bad, "argmax");

    zm_add_params a = {
        .x = at(0, ZM_F32, 3, 20), .y = at(1, ZM_F32, 3, 20), .dst = at(2, ZM_F32, 3, 20)};
    break_tensor("add", run_add, &a, &a.y, false);
    break_tensor("add", run_add, &a, &a.dst, false);
    a.y = (zm_tensor){0};
    reset();
    assert_refused(zm_add(f.stream, &a), bad, "add");
    assert_int_equal(zm_recentre(f.stream, &a), ZM_OK);
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
    assert_int_equal(count, 10);
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
        cmocka_unit_test(test_norm),      cmocka_unit_test(test_norm_alias),
        cmocka_unit_test(test_matmul),    cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_attention), cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_others),    cmocka_unit_test(test_force),
        cmocka_unit_test(test_list),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
