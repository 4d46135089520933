/* SPDX-License-Identifier: Apache-2.0 */
/* What the ops and options beyond those of ops_refusals.c must refuse. Each op has one good call on
 * the host device; spoilt in one thing it must come back with a status, one line of reason that
 * names the op, and not a bit written. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/ops.h>

/* One buffer of 4096 floats; operand i of a call lies at 256 i. */
#define ELEMENTS 4096
#define APART 256

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    zm_buffer *buffer;
    float before[ELEMENTS];
    char said[512];
    size_t errors;
} fixture;

static fixture f;

static void listen(void *user, zm_log_level level, const char *message)
{
    (void)user;
    if (level != ZM_LOG_ERROR)
        return;
    snprintf(f.said, sizeof(f.said), "%s", message);
    f.errors++;
}

static int set_up(void **state)
{
    (void)state;
    const zm_log log = {listen, NULL, ZM_LOG_ERROR};
    const zm_device_params params = {.spec = "host", .log = &log, .host_threads = 1};
    const zm_buffer_params size = {.size = sizeof(f.before)};
    for (size_t i = 0; i < ELEMENTS; i++)
        f.before[i] = (float)(i % 100) / 10;
    return zm_device_open(&params, &f.device) || zm_stream_create(f.device, NULL, &f.stream) ||
           zm_buffer_create(f.device, &size, &f.buffer);
}

static int tear_down(void **state)
{
    (void)state;
    zm_buffer_destroy(&f.buffer);
    zm_stream_destroy(&f.stream);
    zm_device_close(&f.device);
    return 0;
}

static zm_tensor vector(uint32_t slot, uint32_t n)
{
    zm_tensor t = zm_tensor_1d(f.buffer, ZM_F32, n);
    t.offset = slot * APART;
    return t;
}

static zm_tensor matrix(uint32_t slot, uint32_t rows, uint32_t cols)
{
    zm_tensor t = zm_tensor_2d(f.buffer, ZM_F32, rows, cols);
    t.offset = slot * APART;
    return t;
}

static zm_tensor cube(uint32_t slot, uint32_t batch, uint32_t rows, uint32_t cols)
{
    return (zm_tensor){.buffer = f.buffer,
                       .offset = slot * APART,
                       .dtype = ZM_F32,
                       .rank = 3,
                       .shape = {batch, rows, cols}};
}

static zm_tensor integers(zm_tensor tensor)
{
    tensor.dtype = ZM_I32;
    return tensor;
}

static const zm_status bad = ZM_ERROR_INVALID_ARGUMENT;
static const zm_status cannot = ZM_ERROR_UNSUPPORTED;

static void reset(void)
{
    assert_int_equal(zm_buffer_write(f.stream, f.buffer, 0, f.before, sizeof(f.before)), ZM_OK);
    f.said[0] = '\0';
    f.errors = 0;
}

static void assert_refused(zm_status got, zm_status wanted, const char *op, int which)
{
    static float after[ELEMENTS];
    if (got != wanted || f.errors != 1 || strncmp(f.said, op, strlen(op)) != 0)
        fail_msg("%s, line %d: %s, %zu errors, the last '%s'", op, which, zm_status_name(got),
                 f.errors, f.said);
    assert_int_equal(zm_buffer_read(f.stream, f.buffer, 0, after, sizeof(after)), ZM_OK);
    assert_memory_equal(after, f.before, sizeof(after));
}

/* A copy of the good call with one thing changed; must be refused. */
#define REFUSE(op, wanted, change)                                    \
    do {                                                              \
        zm_##op##_params p = good_##op();                             \
        change;                                                       \
        reset();                                                      \
        assert_refused(zm_##op(f.stream, &p), wanted, #op, __LINE__); \
    } while (0)

/* The same, must work. */
#define ACCEPT(op, change)                                      \
    do {                                                        \
        zm_##op##_params p = good_##op();                       \
        change;                                                 \
        reset();                                                \
        zm_status status = zm_##op(f.stream, &p);               \
        if (status != ZM_OK)                                    \
            fail_msg("%s, line %d: %s", #op, __LINE__, f.said); \
    } while (0)

/* ---- matmul ---- */

/* On the host device a group of statistics has 64 columns. */
static zm_matmul_params good_matmul(void)
{
    return (zm_matmul_params){.x = matrix(0, 3, 70),
                              .weight = matrix(1, 6, 70),
                              .bias = vector(3, 6),
                              .residual = matrix(4, 3, 3),
                              .dst = matrix(5, 3, 3),
                              .activation = ZM_ACTIVATION_SILU,
                              .gated = true,
                              .scale = {.kind = ZM_ROW_SCALE_LAYER,
                                        .statistics = matrix(6, 3, 4),
                                        .column_sums = vector(7, 6),
                                        .eps = 1e-5f},
                              .statistics = matrix(8, 3, 2)};
}

static void test_matmul(void **state)
{
    (void)state;
    ACCEPT(matmul, (void)0);
    ACCEPT(matmul, p.dst = p.residual);
    REFUSE(matmul, bad, p.activation = ZM_ACTIVATION_RELU + 1);
    REFUSE(matmul, bad, p.weight.shape[0] = p.bias.shape[0] = 7);
    REFUSE(matmul, bad, p.bias.shape[0] = 3);
    REFUSE(matmul, bad, p.dst.shape[1] = 6);
    REFUSE(matmul, bad, p.residual.shape[1] = 6);
    REFUSE(matmul, bad, p.gated = false);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_NONE);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_RMS);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_CRMS + 1);
    REFUSE(matmul, bad, p.scale.statistics.buffer = NULL);
    REFUSE(matmul, bad, p.scale.column_sums.buffer = NULL);
    REFUSE(matmul, bad, p.scale.statistics.shape[1] = 2);
    REFUSE(matmul, bad, p.scale.statistics.shape[0] = 2);
    REFUSE(matmul, bad, p.scale.column_sums.shape[0] = 3);
    REFUSE(matmul, bad, p.scale.eps = -1);
    REFUSE(matmul, bad, p.scale.eps = NAN);
    REFUSE(matmul, bad, p.scale.statistics.dtype = ZM_F16);
    REFUSE(matmul, bad, p.statistics.shape[1] = 4);
    REFUSE(matmul, bad, p.statistics.shape[0] = 2);
    REFUSE(matmul, bad, p.statistics.dtype = ZM_F16);
    REFUSE(matmul, bad, p.statistics.offset = ELEMENTS);
    /* statistics over each other operand */
    REFUSE(matmul, bad, p.statistics.offset = p.x.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.weight.offset + 6 * 70 - 1);
    REFUSE(matmul, bad, p.statistics.offset = p.bias.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.residual.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.dst.offset + 8);
    REFUSE(matmul, bad, p.statistics.offset = p.scale.statistics.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.scale.column_sums.offset);
    REFUSE(matmul, bad, p.dst.offset = p.scale.statistics.offset + 11);
    /* types */
    ACCEPT(matmul, p.weight.dtype = ZM_BF16);
    ACCEPT(matmul, p.weight.dtype = ZM_F16);
    REFUSE(matmul, bad, p.weight.dtype = ZM_F64);
    REFUSE(matmul, bad, p.residual.dtype = ZM_BF16);
    REFUSE(matmul, bad, p.x.dtype = ZM_F64);
    REFUSE(matmul, cannot, p.x.dtype = p.residual.dtype = p.dst.dtype = ZM_F16);
    assert_non_null(strstr(f.said, "f16"));
    REFUSE(matmul, cannot, p.x.dtype = p.residual.dtype = p.dst.dtype = ZM_BF16);
    /* rows of weights with gaps */
    ACCEPT(matmul, (p.weight.stride[0] = 72, p.weight.stride[1] = 1));
    REFUSE(matmul, bad, (p.weight.stride[0] = 69, p.weight.stride[1] = 1));
    REFUSE(matmul, bad, (p.weight.stride[0] = 72, p.weight.stride[1] = 2));
    REFUSE(matmul, bad, (p.weight.panel = 4, p.weight.stride[0] = 72));
}

/* Three matrices of four rows, interleaved in x: a head is a part of each row. */
static zm_matmul_params good_batch(void)
{
    zm_matmul_params p = {.x = cube(0, 3, 4, 5),
                          .weight = cube(1, 3, 7, 5),
                          .bias = vector(2, 7),
                          .residual = cube(3, 3, 4, 7),
                          .dst = cube(4, 3, 4, 7)};
    p.x.stride[0] = 5;
    p.x.stride[1] = 15;
    p.x.stride[2] = 1;
    return p;
}

static zm_status run_batch(const zm_matmul_params *p)
{
    reset();
    return zm_matmul(f.stream, p);
}

static void test_batch(void **state)
{
    (void)state;
    enum { GOOD = 2 };
    for (int i = 0; i < 16; i++) {
        zm_matmul_params p = good_batch();
        switch (i) {
        case 0: break;
        case 1: p.dst = p.residual; break;
        case 2: p.weight.panel = 4; break;
        case 3: p.weight.rank = 2; break;
        case 4: p.x.rank = 4; break;
        case 5: p.x.shape[0] = 2; break;
        case 6: p.weight.shape[0] = 2; break;
        case 7: p.dst.shape[0] = 2; break;
        case 8: p.residual.shape[0] = 4; break;
        case 9:
            p.scale = (zm_row_scale){.kind = ZM_ROW_SCALE_RMS, .statistics = matrix(6, 4, 2)};
            break;
        case 10: p.statistics = matrix(6, 4, 2); break;
        case 11: p.x.stride[0] = 4; break;                    /* matrices overlap */
        case 12: p.x.stride[1] = 14; break;                   /* rows overlap */
        case 13: p.dst.offset = p.residual.offset + 7; break; /* in part */
        case 14: p.dst.offset = p.x.offset + 59; break;       /* the last element of x */
        default: p.bias.shape[0] = 21; break;
        }
        zm_status status = run_batch(&p);
        if (i < GOOD)
            assert_int_equal(status, ZM_OK);
        else
            assert_refused(status, bad, "matmul", i);
    }
}

/* dst over a residual of the same bytes, but with rows and matrices exchanged. */
static void test_batch_alias(void **state)
{
    (void)state;
    zm_matmul_params p = {.x = cube(0, 2, 2, 5), .weight = cube(1, 2, 7, 5)};
    p.residual = p.dst = cube(3, 2, 2, 7);
    assert_int_equal(run_batch(&p), ZM_OK);
    p.residual.stride[0] = 7;
    p.residual.stride[1] = 14;
    p.residual.stride[2] = 1;
    assert_refused(run_batch(&p), bad, "matmul", 0);
    p.dst = p.residual;
    assert_int_equal(run_batch(&p), ZM_OK);
    /* Matrices that lie between each other's rows share nothing. */
    p.residual.stride[0] = p.dst.stride[0] = 56;
    p.residual.stride[1] = p.dst.stride[1] = 14;
    p.dst.offset = p.residual.offset + 7;
    assert_int_equal(run_batch(&p), ZM_OK);
    p.dst.offset--;
    assert_refused(run_batch(&p), bad, "matmul", 1);
}

/* ---- rows ---- */

static zm_row_statistics_params good_row_statistics(void)
{
    return (zm_row_statistics_params){.x = matrix(0, 3, 65), .statistics = matrix(1, 3, 4)};
}

static void test_row_statistics(void **state)
{
    (void)state;
    assert_int_equal(zm_statistics_group(f.device), 64);
    assert_int_equal(zm_statistics_group(NULL), 0);
    ACCEPT(row_statistics, (void)0);
    ACCEPT(row_statistics, (p.statistics.stride[0] = 9, p.statistics.stride[1] = 1));
    REFUSE(row_statistics, bad, p.statistics.shape[1] = 2);
    REFUSE(row_statistics, bad, p.x.shape[1] = 129);
    REFUSE(row_statistics, bad, p.statistics.shape[0] = 2);
    REFUSE(row_statistics, bad, p.statistics.dtype = ZM_I32);
    REFUSE(row_statistics, bad, p.statistics.offset = p.x.offset + 194);
    REFUSE(row_statistics, bad, p.x.buffer = NULL);
    REFUSE(row_statistics, cannot, p.x.dtype = ZM_F16);
}

static zm_norm_params good_norm(void)
{
    return (zm_norm_params){.x = matrix(0, 3, 20), .dst = matrix(1, 3, 20)};
}
#define good_crms_norm good_norm
#define zm_crms_norm_params zm_norm_params

static void test_crms_norm(void **state)
{
    (void)state;
    ACCEPT(crms_norm, (void)0);
    ACCEPT(crms_norm, p.true_d = 21);
    ACCEPT(crms_norm, p.dst = p.x);
    REFUSE(crms_norm, bad, p.eps = INFINITY);
    REFUSE(crms_norm, bad, p.sum = matrix(2, 3, 20));
    REFUSE(crms_norm, bad, p.dst.shape[1] = 21);
    REFUSE(crms_norm, cannot, p.x.dtype = p.dst.dtype = ZM_BF16);
}

static zm_softmax_params good_softmax(void)
{
    return (zm_softmax_params){.x = matrix(0, 3, 20), .dst = matrix(1, 3, 20)};
}

static void test_softmax(void **state)
{
    (void)state;
    ACCEPT(softmax, (void)0);
    ACCEPT(softmax, p.dst = p.x);
    REFUSE(softmax, bad, p.scale = NAN);
    REFUSE(softmax, bad, p.scale = INFINITY);
    REFUSE(softmax, bad, p.dst.shape[1] = 19);
    REFUSE(softmax, bad, p.dst.offset = 1);
    REFUSE(softmax, bad, p.x.rank = 1);
    REFUSE(softmax, cannot, p.x.dtype = p.dst.dtype = ZM_F16);
}

static zm_top_k_params good_top_k(void)
{
    return (zm_top_k_params){
        .x = matrix(0, 2, 20), .values = matrix(1, 2, 5), .indices = integers(matrix(2, 2, 5))};
}

static void test_top_k(void **state)
{
    (void)state;
    ACCEPT(top_k, (void)0);
    ACCEPT(top_k, p.values.shape[1] = p.indices.shape[1] = 20);
    REFUSE(top_k, bad, p.values.shape[1] = p.indices.shape[1] = 21);
    REFUSE(top_k, bad, p.values.shape[1] = p.indices.shape[1] = 0);
    REFUSE(top_k, bad,
           (p.x.shape[1] = 300, p.values = matrix(3, 2, 257),
            p.indices = integers(matrix(6, 2, 257))));
    REFUSE(top_k, bad, p.indices.shape[1] = 4);
    REFUSE(top_k, bad, p.indices.dtype = ZM_F32);
    REFUSE(top_k, bad, p.values.dtype = ZM_F16);
    REFUSE(top_k, bad, p.values.offset = p.x.offset);
    REFUSE(top_k, bad, p.indices.offset = p.values.offset);
    REFUSE(top_k, cannot, p.x.dtype = p.values.dtype = ZM_F16);
}

/* ---- positions and attention ---- */

static zm_rope_params good_rope(void)
{
    return (zm_rope_params){.x = matrix(0, 3, 24),
                            .positions = integers(vector(1, 3)),
                            .factors = vector(2, 3),
                            .dst = matrix(3, 3, 24),
                            .head_dim = 8,
                            .rotary_dim = 6};
}

static void test_rope(void **state)
{
    (void)state;
    ACCEPT(rope, (void)0);
    ACCEPT(rope, p.dst = p.x);
    ACCEPT(rope, (p.rotary_dim = 0, p.factors.buffer = NULL, p.layout = ZM_ROPE_PAIRS));
    REFUSE(rope, bad, p.head_dim = 0);
    REFUSE(rope, bad, p.head_dim = 7);
    REFUSE(rope, bad, p.rotary_dim = 5);
    REFUSE(rope, bad, p.rotary_dim = 10);
    REFUSE(rope, bad, (p.rotary_dim = 0, p.factors.buffer = NULL, p.head_dim = 3));
    REFUSE(rope, bad, p.factors.shape[0] = 4);
    REFUSE(rope, bad, p.layout = ZM_ROPE_PAIRS + 1);
    REFUSE(rope, bad, p.base = -1);
    REFUSE(rope, bad, p.base = NAN);
    REFUSE(rope, bad, p.frequency_scale = INFINITY);
    REFUSE(rope, bad, p.magnitude = NAN);
    REFUSE(rope, bad, p.positions.shape[0] = 2);
    REFUSE(rope, bad, p.positions.dtype = ZM_F32);
    REFUSE(rope, bad, p.dst.offset = p.positions.offset);
    REFUSE(rope, bad, p.dst.offset = p.x.offset + 1);
    REFUSE(rope, cannot, p.x.dtype = p.dst.dtype = ZM_BF16);
}

static zm_attention_params good_attention(void)
{
    zm_attention_params p = {.q = matrix(0, 3, 16),
                             .k_cache = vector(1, 2 * 4 * 6),
                             .v_cache = vector(2, 2 * 4 * 6),
                             .heads = 4,
                             .kv_length = 5,
                             .causal = true,
                             .window = 2,
                             .soft_cap = 30,
                             .slopes = vector(3, 4),
                             .dst = matrix(4, 3, 16)};
    assert_int_equal(zm_kv_layout_get(f.device, ZM_DTYPE_NONE, 2, 4, 6, &p.layout), ZM_OK);
    assert_int_equal(p.layout.dtype, ZM_F32);
    return p;
}

static void test_attention(void **state)
{
    (void)state;
    ACCEPT(attention, (void)0);
    ACCEPT(attention, p.window = UINT32_MAX);
    ACCEPT(attention, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_F16);
    REFUSE(attention, bad, p.causal = false);
    REFUSE(attention, bad, p.soft_cap = -1);
    REFUSE(attention, bad, p.soft_cap = INFINITY);
    REFUSE(attention, bad, p.scale = NAN);
    REFUSE(attention, bad, p.slopes.shape[0] = 2);
    REFUSE(attention, bad, p.slopes.dtype = ZM_F16);
    REFUSE(attention, bad, p.dst.offset = p.slopes.offset);
    REFUSE(attention, bad, p.layout.dtype = ZM_F16);
    REFUSE(attention, bad, p.layout.dtype = ZM_DTYPE_NONE);
    REFUSE(attention, bad, p.v_cache.dtype = ZM_F16);
    REFUSE(attention, bad, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_I32);
    REFUSE(attention, bad, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_F64);
    REFUSE(attention, cannot, p.q.dtype = p.dst.dtype = ZM_F16);
}

static void test_kv_layout(void **state)
{
    (void)state;
    zm_kv_layout layout;
    assert_int_equal(zm_kv_layout_get(f.device, ZM_BF16, 2, 4, 6, &layout), ZM_OK);
    assert_int_equal(layout.dtype, ZM_BF16);
    static const zm_dtype wrong[] = {ZM_F64, ZM_I32, ZM_I64, ZM_U8, ZM_DTYPE_COUNT};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        f.errors = 0;
        assert_int_equal(zm_kv_layout_get(f.device, wrong[i], 2, 4, 6, &layout), bad);
        assert_int_equal(f.errors, 1);
    }
}

/* ---- images and copies ---- */

static zm_patch_embedding_params good_patch_embedding(void)
{
    return (zm_patch_embedding_params){.x = cube(0, 3, 4, 6),
                                       .weight = matrix(1, 5, 12),
                                       .bias = vector(2, 5),
                                       .position = matrix(3, 6, 5),
                                       .dst = matrix(4, 6, 5),
                                       .patch = 2};
}

static void test_patch_embedding(void **state)
{
    (void)state;
    ACCEPT(patch_embedding, (void)0);
    ACCEPT(patch_embedding, p.weight.dtype = ZM_BF16);
    REFUSE(patch_embedding, bad, p.patch = 0);
    REFUSE(patch_embedding, bad, p.patch = 4);
    REFUSE(patch_embedding, bad, p.patch = UINT32_MAX);
    REFUSE(patch_embedding, cannot, p.x.shape[1] = p.x.shape[2] = p.patch = 1u << 31);
    REFUSE(patch_embedding, bad, p.x.rank = 2);
    REFUSE(patch_embedding, bad, p.x.shape[0] = 2);
    REFUSE(patch_embedding, bad, (p.x.stride[0] = 24, p.x.stride[1] = 7, p.x.stride[2] = 1));
    REFUSE(patch_embedding, bad, (p.x.stride[0] = 30, p.x.stride[1] = 6, p.x.stride[2] = 1));
    REFUSE(patch_embedding, bad, (p.weight.stride[0] = 13, p.weight.stride[1] = 1));
    REFUSE(patch_embedding, bad, p.position.shape[0] = 5);
    REFUSE(patch_embedding, bad, p.position.dtype = ZM_F16);
    REFUSE(patch_embedding, bad, p.dst.shape[0] = 5);
    REFUSE(patch_embedding, bad, p.dst.offset = p.x.offset + 71);
    REFUSE(patch_embedding, bad, p.dst = p.position);
    REFUSE(patch_embedding, cannot, p.x.dtype = p.dst.dtype = ZM_F16);
}

/* A transpose: x is [5][4] read by columns. */
static zm_copy_params good_copy(void)
{
    zm_copy_params p = {.x = matrix(0, 4, 5), .dst = matrix(1, 4, 5)};
    p.x.stride[0] = 1;
    p.x.stride[1] = 4;
    return p;
}

static void test_copy(void **state)
{
    (void)state;
    ACCEPT(copy, (void)0);
    ACCEPT(copy, p.dst.dtype = ZM_BF16);
    ACCEPT(copy, p.x.dtype = ZM_F16);
    ACCEPT(copy, p.x.dtype = p.dst.dtype = ZM_I32);
    ACCEPT(copy, p.x.offset = p.dst.offset + 20);
    REFUSE(copy, bad, p.dst.shape[0] = 3);
    REFUSE(copy, bad, p.dst.rank = 3);
    REFUSE(copy, bad, p.x.rank = p.dst.rank = 0);
    REFUSE(copy, bad, p.x.rank = p.dst.rank = 5);
    REFUSE(copy, bad, p.x.dtype = ZM_I32);
    REFUSE(copy, bad, p.dst.dtype = ZM_I32);
    REFUSE(copy, bad, p.dst.dtype = ZM_F64);
    REFUSE(copy, bad, p.x.dtype = p.dst.dtype = ZM_U8);
    REFUSE(copy, bad, p.x.stride[1] = 3);
    REFUSE(copy, bad, (p.dst.stride[0] = 4, p.dst.stride[1] = 1));
    REFUSE(copy, bad, p.dst = p.x);
    REFUSE(copy, bad, p.dst.offset = p.x.offset + 19);
    REFUSE(copy, bad, p.x.offset = ELEMENTS - 19);
    REFUSE(copy, bad, p.x.stride[1] = UINT64_MAX);
    /* Even elements to odd ones: views that lie within each other and share nothing. */
    ACCEPT(copy, (p.x = p.dst = matrix(0, 4, 5), p.x.stride[0] = p.dst.stride[0] = 10,
                  p.x.stride[1] = p.dst.stride[1] = 2, p.dst.offset = 1));
    REFUSE(copy, bad,
           (p.x = p.dst = matrix(0, 4, 5), p.x.stride[0] = p.dst.stride[0] = 10,
            p.x.stride[1] = p.dst.stride[1] = 2, p.dst.offset = 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),          cmocka_unit_test(test_batch),
        cmocka_unit_test(test_batch_alias),     cmocka_unit_test(test_row_statistics),
        cmocka_unit_test(test_crms_norm),       cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_top_k),           cmocka_unit_test(test_rope),
        cmocka_unit_test(test_attention),       cmocka_unit_test(test_kv_layout),
        cmocka_unit_test(test_patch_embedding), cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
