/* SPDX-License-Identifier: Apache-2.0 */
/* What the public functions of ops.h must refuse. Each op has one good call, which must work; each
 * refusal spoils one thing of it, and must come back with its status, one line of reason, and not
 * a bit written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ops/op_run.h"

#define SEED 7
#define NONE UINT8_MAX

/* A field of the parameter struct takes another value; size 0 = no patch. */
typedef struct patch {
    size_t offset, size;
    uint64_t value;
} patch;
#define PATCH(type, field, value)                                                            \
    {                                                                                        \
        offsetof(zm_##type##_params, field), sizeof(((zm_##type##_params *)0)->field), value \
    }

typedef struct refusal {
    const char *what;
    patch patches[2];
    bool same; /* first, operand `to` becomes the view of operand `from` */
    uint8_t to, from;
    zm_status status; /* 0 = ZM_ERROR_INVALID_ARGUMENT */
} refusal;

typedef struct message {
    char text[300];
    size_t count;
} message;

static void keep(void *user, zm_log_level level, const char *text)
{
    message *m = user;
    (void)level;
    snprintf(m->text, sizeof(m->text), "%s", text);
    ++m->count;
}

typedef struct fixture {
    message message;
    zm_device *device;
    zm_stream *stream;
} fixture;

static int set_up(void **state)
{
    static fixture f;
    memset(&f, 0, sizeof(f));
    zm_log log = {keep, &f.message, ZM_LOG_ERROR};
    zm_device_params params = {.spec = "host", .log = &log, .host_threads = 1};
    *state = &f;
    return zm_device_open(&params, &f.device) || zm_stream_create(f.device, NULL, &f.stream);
}

static int tear_down(void **state)
{
    fixture *f = *state;
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    return 0;
}

static void assert_untouched(op_run *run, zm_stream *stream, const char *what)
{
    assert_int_equal(op_run_download(run, stream), ZM_OK);
    for (size_t i = 0; i < run->op->operand_count; ++i) {
        const op_memory *memory = &run->memory[i];
        if (memory->buffer && memcmp(memory->before, memory->after,
                                     memory->count * zm_dtype_size(memory->dtype)) != 0) {
            fail_msg("%s, %s: refused, but %s was written", run->op->name, what,
                     run->op->operands[i].name);
        }
    }
}

static void assert_refused(fixture *f, op_run *run, const refusal *r)
{
    op_params good = run->params;
    zm_status expected = r->status ? r->status : ZM_ERROR_INVALID_ARGUMENT;
    if (r->same) {
        *op_tensor(run->op, &run->params, r->to) = *op_tensor(run->op, &run->params, r->from);
    }
    for (size_t i = 0; i < 2; ++i) {
        /* Little-endian or not: the value is copied from its low bytes. */
        const patch *p = &r->patches[i];
        uint32_t low = (uint32_t)p->value;
        uint8_t lowest = (uint8_t)p->value;
        const void *source = p->size == 8   ? (const void *)&p->value
                             : p->size == 4 ? (const void *)&low
                                            : (const void *)&lowest;
        memcpy((char *)&run->params + p->offset, source, p->size);
    }
    f->message.count = 0;
    zm_status status = op_run_call(run, f->stream);
    run->params = good;
    if (status != expected) {
        fail_msg("%s, %s: %s, not %s", run->op->name, r->what, zm_status_name(status),
                 zm_status_name(expected));
    }
    if (f->message.count != 1 || strchr(f->message.text, '\n') ||
        !strstr(f->message.text, run->op->name)) {
        fail_msg("%s, %s: %zu reasons, the last: %s", run->op->name, r->what, f->message.count,
                 f->message.text);
    }
    assert_untouched(run, f->stream, r->what);
}

static void check(fixture *f, const char *name, const op_case *good, const refusal *refusals,
                  size_t count)
{
    const op_description *op = NULL;
    op_run *run = NULL;
    for (size_t i = 0; i < op_description_count; ++i) {
        op = strcmp(op_descriptions[i]->name, name) == 0 ? op_descriptions[i] : op;
    }
    assert_non_null(op);
    assert_int_equal(op_run_create(f->device, op, good, SEED, &run), ZM_OK);
    assert_int_equal(op_run_upload(run, f->stream), ZM_OK);
    for (size_t i = 0; i < count; ++i) {
        assert_refused(f, run, &refusals[i]);
    }
    op_run_reference(run);
    op_verdict verdict = {.ok = false};
    assert_int_equal(op_run_verify(run, f->stream, ZM_F32, &verdict), ZM_OK);
    assert_true(verdict.ok);
    op_run_destroy(&run);
}
#define CHECK(f, name, good, refusals) \
    check(f, name, good, refusals, sizeof(refusals) / sizeof((refusals)[0]))

static void test_norms(void **state)
{
    enum { X, RESIDUAL, WEIGHT, BIAS, DST, SUM };
    const op_case good = {.params.norm = {.x = op_matrix(3, 8, 1, 2),
                                          .residual = op_matrix(3, 8, 0, 2),
                                          .weight = op_vector(8, 0),
                                          .bias = op_vector(8, 3),
                                          .dst = op_matrix(3, 8, 0, 2),
                                          .sum = op_matrix(3, 8, 0, 0),
                                          .eps = 1e-5f}};
    static const refusal refusals[] = {
        {.what = "no x", .patches = {PATCH(norm, x.buffer, 0)}},
        {.what = "no dst", .patches = {PATCH(norm, dst.buffer, 0)}},
        {.what = "a column less in dst", .patches = {PATCH(norm, dst.shape[1], 7)}},
        {.what = "a row more in x", .patches = {PATCH(norm, x.shape[0], 4)}},
        {.what = "a row less in the residual", .patches = {PATCH(norm, residual.shape[0], 2)}},
        {.what = "short weight", .patches = {PATCH(norm, weight.shape[0], 7)}},
        {.what = "weight as a matrix", .patches = {PATCH(norm, weight.rank, 2)}},
        {.what = "rank 0", .patches = {PATCH(norm, x.rank, 0)}},
        {.what = "rank 3", .patches = {PATCH(norm, x.rank, 3)}},
        {.what = "rank 2^32 - 1", .patches = {PATCH(norm, x.rank, UINT32_MAX)}},
        {.what = "no rows", .patches = {PATCH(norm, x.shape[0], 0)}},
        {.what = "half activations", .patches = {PATCH(norm, x.dtype, ZM_F16)}},
        {.what = "float64 on a float32 device", .patches = {PATCH(norm, bias.dtype, ZM_F64)}},
        {.what = "no type", .patches = {PATCH(norm, x.dtype, ZM_DTYPE_NONE)}},
        {.what = "unknown type", .patches = {PATCH(norm, x.dtype, 99)}},
        {.what = "activations in panels", .patches = {PATCH(norm, x.panel, 16)}},
        {.what = "stride less than a row", .patches = {PATCH(norm, dst.stride[0], 7)}},
        {.what = "stride between columns", .patches = {PATCH(norm, x.stride[1], 2)}},
        {.what = "stride of a vector", .patches = {PATCH(norm, weight.stride[0], 2)}},
        {.what = "offset out of the buffer", .patches = {PATCH(norm, x.offset, 1000)}},
        {.what = "offset that wraps", .patches = {PATCH(norm, x.offset, UINT64_MAX - 3)}},
        {.what = "stride out of the buffer", .patches = {PATCH(norm, dst.stride[0], 1000)}},
        {.what = "stride that wraps", .patches = {PATCH(norm, x.stride[0], UINT64_MAX / 2 + 1)}},
        {.what = "negative eps", .patches = {PATCH(norm, eps, 0xb7000000)}},
        {.what = "eps NaN", .patches = {PATCH(norm, eps, 0x7fc00000)}},
        {.what = "eps Inf", .patches = {PATCH(norm, eps, 0x7f800000)}},
        {.what = "sum without a residual", .patches = {PATCH(norm, residual.buffer, 0)}},
        {.what = "sum over dst", .same = true, .to = SUM, .from = DST},
        {.what = "dst over weight", .same = true, .to = DST, .from = WEIGHT},
        {.what = "dst in part over x",
         .patches = {PATCH(norm, dst.offset, 4)},
         .same = true,
         .to = DST,
         .from = X},
        {.what = "dst over other rows of x",
         .patches = {PATCH(norm, dst.stride[0], 9)},
         .same = true,
         .to = DST,
         .from = X},
        {.what = "sum in part over the residual",
         .patches = {PATCH(norm, sum.offset, 1)},
         .same = true,
         .to = SUM,
         .from = RESIDUAL},
    };
    (void)BIAS;
    CHECK(*state, "layer_norm", &good, refusals);
    CHECK(*state, "rms_norm", &good, refusals);
}

static void test_elementwise(void **state)
{
    enum { X, Y, DST };
    const op_case good = {.params.add = {.x = op_matrix(4, 5, 0, 0),
                                         .y = op_matrix(4, 5, 2, 1),
                                         .dst = op_matrix(4, 5, 0, 3)}};
    static const refusal both[] = {
        {.what = "no x", .patches = {PATCH(add, x.buffer, 0)}},
        {.what = "no dst", .patches = {PATCH(add, dst.buffer, 0)}},
        {.what = "other shapes", .patches = {PATCH(add, y.shape[1], 4)}},
        {.what = "other types", .patches = {PATCH(add, dst.dtype, ZM_I32)}},
        {.what = "rows of dst overlap", .patches = {PATCH(add, dst.stride[0], 3)}},
        {.what = "dst in part over y",
         .patches = {PATCH(add, dst.offset, 3)},
         .same = true,
         .to = DST,
         .from = Y},
        {.what = "dst in part over x",
         .patches = {PATCH(add, dst.offset, 1)},
         .same = true,
         .to = DST,
         .from = X},
    };
    static const refusal add_only[] = {{.what = "no y", .patches = {PATCH(add, y.buffer, 0)}}};
    CHECK(*state, "add", &good, both);
    CHECK(*state, "add", &good, add_only);
    CHECK(*state, "recentre", &good, both);
}

static void test_matmul(void **state)
{
    enum { X, WEIGHT, BIAS, RESIDUAL, DST };
    const op_case good = {.params.matmul = {.x = op_matrix(3, 6, 0, 1),
                                            .weight = op_weight(5, 6, ZM_F16, 0),
                                            .bias = op_vector(5, 0),
                                            .residual = op_matrix(3, 5, 0, 0),
                                            .dst = op_matrix(3, 5, 0, 1)}};
    static const refusal refusals[] = {
        {.what = "no weight", .patches = {PATCH(matmul, weight.buffer, 0)}},
        {.what = "other k", .patches = {PATCH(matmul, x.shape[1], 5)}},
        {.what = "other n", .patches = {PATCH(matmul, weight.shape[0], 4)}},
        {.what = "other m", .patches = {PATCH(matmul, residual.shape[0], 2)}},
        {.what = "short bias", .patches = {PATCH(matmul, bias.shape[0], 4)}},
        {.what = "weights out of their buffer", .patches = {PATCH(matmul, weight.offset, 25)}},
        {.what = "panels out of their buffer", .patches = {PATCH(matmul, weight.panel, 1u << 20)}},
        {.what = "panels that overflow", .patches = {PATCH(matmul, weight.panel, UINT32_MAX)}},
        {.what = "integer weights", .patches = {PATCH(matmul, weight.dtype, ZM_U8)}},
        {.what = "half x", .patches = {PATCH(matmul, x.dtype, ZM_F16)}},
        {.what = "no dst", .patches = {PATCH(matmul, dst.buffer, 0)}},
        {.what = "unknown activation", .patches = {PATCH(matmul, activation, 77)}},
        {.what = "dst in part over the residual",
         .patches = {PATCH(matmul, dst.offset, 1)},
         .same = true,
         .to = DST,
         .from = RESIDUAL},
        {.what = "dst over x",
         .same = true,
         .to = DST,
         .from = X,
         .patches = {PATCH(matmul, dst.shape[1], 5)}},
    };
    (void)WEIGHT, (void)BIAS;
    CHECK(*state, "matmul", &good, refusals);
}

static void test_conv1d(void **state)
{
    enum { X, WEIGHT, BIAS, DST };
    const op_case good = {.params.conv1d = {.x = op_matrix(7, 2, 0, 0),
                                            .weight = op_weight(2, 6, ZM_F32, 0),
                                            .bias = op_vector(2, 0),
                                            .dst = op_matrix(4, 2, 0, 1),
                                            .kernel = 3,
                                            .stride = 2,
                                            .padding = 1}};
    static const refusal refusals[] = {
        {.what = "kernel 0", .patches = {PATCH(conv1d, kernel, 0)}},
        {.what = "kernel larger than x",
         .patches = {PATCH(conv1d, kernel, 10), PATCH(conv1d, weight.shape[1], 20)}},
        {.what = "kernel that does not fit the weight", .patches = {PATCH(conv1d, kernel, 2)}},
        {.what = "kernel that overflows", .patches = {PATCH(conv1d, kernel, UINT32_MAX)}},
        {.what = "a row too few in dst", .patches = {PATCH(conv1d, dst.shape[0], 3)}},
        {.what = "another stride", .patches = {PATCH(conv1d, stride, 1)}},
        {.what = "another padding", .patches = {PATCH(conv1d, padding, 0)}},
        {.what = "padding that overflows", .patches = {PATCH(conv1d, padding, UINT32_MAX)}},
        {.what = "gaps between rows of x",
         .patches = {PATCH(conv1d, x.stride[0], 3), PATCH(conv1d, x.stride[1], 1)}},
        {.what = "dst over x",
         .same = true,
         .to = DST,
         .from = X,
         .patches = {PATCH(conv1d, dst.shape[0], 4)}},
    };
    (void)WEIGHT, (void)BIAS;
    CHECK(*state, "conv1d", &good, refusals);
}

static void test_embedding(void **state)
{
    enum { TOKENS, TABLE, POSITION, DST };
    op_case good = {.params.embedding = {.tokens = op_vector(3, 0),
                                         .table = op_weight(9, 4, ZM_F32, 0),
                                         .position = op_matrix(3, 4, 0, 0),
                                         .dst = op_matrix(3, 4, 0, 0)}};
    static const refusal refusals[] = {
        {.what = "tokens as reals", .patches = {PATCH(embedding, tokens.dtype, ZM_F32)}},
        {.what = "tokens as I64", .patches = {PATCH(embedding, tokens.dtype, ZM_I64)}},
        {.what = "a token too few", .patches = {PATCH(embedding, tokens.shape[0], 2)}},
        {.what = "no tokens", .patches = {PATCH(embedding, tokens.buffer, 0)}},
        {.what = "another width", .patches = {PATCH(embedding, table.shape[1], 3)}},
        {.what = "short position", .patches = {PATCH(embedding, position.shape[0], 2)}},
        {.what = "a table larger than its buffer",
         .patches = {PATCH(embedding, table.shape[0], 100)}},
        {.what = "dst over position", .same = true, .to = DST, .from = POSITION},
    };
    (void)TOKENS, (void)TABLE;
    good.params.embedding.tokens.dtype = ZM_I32;
    CHECK(*state, "embedding", &good, refusals);
}

static void test_kv_store(void **state)
{
    enum { K, V, K_CACHE, V_CACHE };
    const op_case good = {.params.kv_store = {.k = op_matrix(2, 6, 0, 0),
                                              .v = op_matrix(2, 6, 0, 1),
                                              .k_cache = op_vector(1, 0),
                                              .v_cache = op_vector(1, 2),
                                              .layout = {.heads = 2, .head_dim = 3, .capacity = 10},
                                              .position = 4}};
    static const refusal refusals[] = {
        {.what = "past the end", .patches = {PATCH(kv_store, position, 9)}},
        {.what = "position that wraps", .patches = {PATCH(kv_store, position, UINT32_MAX)}},
        {.what = "another width", .patches = {PATCH(kv_store, v.shape[1], 5)}},
        {.what = "other rows", .patches = {PATCH(kv_store, v.shape[0], 1)}},
        {.what = "no heads", .patches = {PATCH(kv_store, layout.heads, 0)}},
        {.what = "a head stride that lies", .patches = {PATCH(kv_store, layout.head_stride, 7)}},
        {.what = "elements that lie", .patches = {PATCH(kv_store, layout.elements, 7)}},
        {.what = "a capacity that lies", .patches = {PATCH(kv_store, layout.capacity, 1000)}},
        {.what = "a short cache", .patches = {PATCH(kv_store, k_cache.shape[0], 59)}},
        {.what = "values over keys", .same = true, .to = V_CACHE, .from = K_CACHE},
        {.what = "cache over k",
         .patches = {PATCH(kv_store, k_cache.shape[0], 12)},
         .same = true,
         .to = K_CACHE,
         .from = K},
    };
    (void)V;
    CHECK(*state, "kv_store", &good, refusals);
}

static void test_attention(void **state)
{
    enum { Q, K_CACHE, V_CACHE, SLOPES, DST };
    const op_case good = {
        .params.attention = {.q = op_matrix(3, 8, 0, 0),
                             .k_cache = op_vector(1, 0),
                             .v_cache = op_vector(1, 2),
                             .layout = {.heads = 2, .head_dim = 2, .capacity = 10},
                             .heads = 4,
                             .kv_length = 5,
                             .causal = true,
                             .dst = op_matrix(3, 8, 0, 1)}};
    static const refusal refusals[] = {
        {.what = "no keys", .patches = {PATCH(attention, kv_length, 0)}},
        {.what = "more keys than the cache holds", .patches = {PATCH(attention, kv_length, 11)}},
        {.what = "a causal row that sees nothing", .patches = {PATCH(attention, kv_length, 2)}},
        {.what = "heads that don't divide", .patches = {PATCH(attention, heads, 3)}},
        {.what = "other heads", .patches = {PATCH(attention, heads, 2)}},
        {.what = "no heads in the cache", .patches = {PATCH(attention, layout.heads, 0)}},
        {.what = "no head_dim", .patches = {PATCH(attention, layout.head_dim, 0)}},
        {.what = "elements that lie", .patches = {PATCH(attention, layout.elements, 1u << 20)}},
        {.what = "another width", .patches = {PATCH(attention, dst.shape[1], 7)}},
        {.what = "dst in part over q",
         .patches = {PATCH(attention, dst.offset, 1)},
         .same = true,
         .to = DST,
         .from = Q},
    };
    (void)K_CACHE, (void)V_CACHE, (void)SLOPES;
    CHECK(*state, "attention", &good, refusals);
}

static void test_argmax(void **state)
{
    op_case good = {.params.argmax = {.x = op_matrix(3, 4, 0, 0), .dst = op_vector(3, 0)}};
    static const refusal refusals[] = {
        {.what = "dst as reals", .patches = {PATCH(argmax, dst.dtype, ZM_F32)}},
        {.what = "short dst", .patches = {PATCH(argmax, dst.shape[0], 2)}},
        {.what = "no columns", .patches = {PATCH(argmax, x.shape[1], 0)}},
        {.what = "dst over x",
         .same = true,
         .to = 1,
         .from = 0,
         .patches = {PATCH(argmax, dst.dtype, ZM_I32), PATCH(argmax, dst.rank, 1)}},
    };
    good.params.argmax.dst.dtype = ZM_I32;
    CHECK(*state, "argmax", &good, refusals);
}

static void test_no_parameters(void **state)
{
    fixture *f = *state;
    f->message.count = 0;
    assert_int_equal(zm_matmul(f->stream, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(f->message.count, 1);
    assert_int_equal(zm_layer_norm(NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_int_equal(zm_argmax(NULL, &(zm_argmax_params){.x = {0}}), ZM_ERROR_INVALID_ARGUMENT);
}

static void test_forced_kernels(void **state)
{
    fixture *f = *state;
    zm_buffer *buffer = NULL;
    zm_buffer_params params = {.size = 64};
    assert_int_equal(zm_buffer_create(f->device, &params, &buffer), ZM_OK);
    zm_add_params add = {.x = zm_tensor_2d(buffer, ZM_F32, 1, 4),
                         .y = zm_tensor_2d(buffer, ZM_F32, 1, 4),
                         .dst = zm_tensor_2d(buffer, ZM_F32, 1, 4)};
    f->message.count = 0;
    assert_int_equal(zm_device_force_kernel(f->device, "add", "cpu"), ZM_OK);
    assert_int_equal(zm_add(f->stream, &add), ZM_ERROR_UNSUPPORTED);
    assert_int_equal(f->message.count, 1);
    assert_int_equal(zm_device_force_kernel(f->device, "add", "ref"), ZM_OK);
    assert_int_equal(zm_add(f->stream, &add), ZM_OK);
    assert_int_equal(zm_device_force_kernel(f->device, "add", NULL), ZM_OK);
    assert_int_equal(zm_add(f->stream, &add), ZM_OK);
    zm_buffer_destroy(&buffer);
}

/* The check has to see what it is there for. */
static void test_the_check_fails(void **state)
{
    fixture *f = *state;
    const op_description *op = op_descriptions[0];
    const op_case c = {.params.norm = {.x = op_matrix(3, 8, 1, 2),
                                       .weight = op_vector(8, 0),
                                       .dst = op_matrix(3, 8, 2, 1),
                                       .eps = 1e-5f}};
    op_run *run = NULL;
    op_verdict verdict = {.ok = false};
    assert_int_equal(op_run_create(f->device, op, &c, SEED, &run), ZM_OK);
    op_run_reference(run);
    assert_int_equal(op_run_verify(run, f->stream, ZM_F32, &verdict), ZM_OK);
    assert_true(verdict.ok);
    for (size_t operand = 0; operand < op->operand_count; ++operand) {
        op_memory *memory = &run->memory[operand];
        for (size_t i = 0; i < memory->count; ++i) {
            uint32_t *elements = (uint32_t *)memory->after, old = elements[i];
            elements[i] ^= 1u << 13; /* about 1e-3 of a value, or another canary */
            memcpy(memory->first, memory->after, memory->count * sizeof(float));
            assert_false(op_run_check(run, ZM_F32).ok);
            elements[i] = old;
            assert_false(op_run_check(run, ZM_F32).ok); /* differs from the first run */
            memcpy(memory->first, memory->after, memory->count * sizeof(float));
            assert_true(op_run_check(run, ZM_F32).ok);
        }
    }
    op_run_destroy(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms),           cmocka_unit_test(test_elementwise),
        cmocka_unit_test(test_matmul),          cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_embedding),       cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_attention),       cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_no_parameters),   cmocka_unit_test(test_forced_kernels),
        cmocka_unit_test(test_the_check_fails),
    };
    printf("seed %d\n", SEED);
    return cmocka_run_group_tests_name("ops_refusals", tests, set_up, tear_down);
}
