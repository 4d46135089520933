/* SPDX-License-Identifier: Apache-2.0 */
/* A block as a graph against the same operations called one by one: the same bits, on the host
 * device and on OpenCL, with lengths that grow from run to run. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/graph.h>

#include "graph/executable.h"
#include "scratch.h"
#include "support/random.h"

#define D 64
#define HEADS 2
#define FF 96
#define LENGTH 12 /* of the cache */

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    scratch_log log;
    uint64_t random;
    zm_buffer *buffers[32];
    size_t buffer_count;
    zm_tensor input; /* [LENGTH][D] */
    zm_tensor qkv_weight, out_weight, up_weight, down_weight, norm_weight, bias;
    zm_kv_layout layout;
    zm_tensor caches[4]; /* keys and values, of the graph and of the calls */
    zm_tensor outputs[2];
} fixture;

static zm_tensor make(fixture *f, uint32_t rank, uint32_t rows, uint32_t cols)
{
    static float values[LENGTH * D + 3 * D * D];
    const zm_buffer_params params = {.size = (uint64_t)rows * cols * sizeof(float)};
    zm_buffer **buffer = &f->buffers[f->buffer_count++];
    assert_true(params.size <= sizeof(values));
    for (uint32_t i = 0; i < rows * cols; i++)
        values[i] = (float)test_random_between(&f->random, -0.3, 0.3);
    assert_int_equal(zm_buffer_create(f->device, &params, buffer), ZM_OK);
    assert_int_equal(zm_buffer_write(f->stream, *buffer, 0, values, params.size), ZM_OK);
    return rank == 1 ? zm_tensor_1d(*buffer, ZM_F32, cols)
                     : zm_tensor_2d(*buffer, ZM_F32, rows, cols);
}

/* Any numbers do for the weights, in whatever order the device packs them. */
static zm_tensor make_weight(fixture *f, uint32_t n, uint32_t k)
{
    zm_weight_layout layout;
    assert_int_equal(zm_weight_layout_get(f->device, n, k, ZM_F32, &layout), ZM_OK);
    zm_tensor weight = make(f, 2, (uint32_t)(layout.elements / k), k);
    weight.shape[0] = n;
    weight.panel = layout.panel;
    return weight;
}

static int open_device(void **state, const char *spec)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = spec, .log = &f->log.log, .host_threads = 1};
    if (zm_device_open(&params, &f->device) || zm_stream_create(f->device, NULL, &f->stream) ||
        zm_kv_layout_get(f->device, ZM_F32, HEADS, D / HEADS, LENGTH, &f->layout))
        return 1;
    f->input = make(f, 2, LENGTH, D);
    f->qkv_weight = make_weight(f, 3 * D, D);
    f->out_weight = make_weight(f, D, D);
    f->up_weight = make_weight(f, FF, D);
    f->down_weight = make_weight(f, D, FF);
    f->norm_weight = make(f, 1, 1, D);
    f->bias = make(f, 1, 1, FF);
    for (int i = 0; i < 4; i++) {
        f->caches[i] = make(f, 1, 1, (uint32_t)f->layout.elements);
        zm_buffer_fill(f->stream, f->caches[i].buffer, 0, f->layout.elements * sizeof(float), 0);
    }
    for (int i = 0; i < 2; i++)
        f->outputs[i] = make(f, 2, LENGTH, D);
    *state = f;
    return 0;
}

static int open_host(void **state)
{
    return open_device(state, "host");
}

static int open_opencl(void **state)
{
    return open_device(state, "opencl");
}

static int close_device(void **state)
{
    fixture *f = *state;
    for (size_t i = 0; i < f->buffer_count; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

/* ---- the block, once for both ---- */

typedef struct block {
    zm_tensor x, h, qkv, a, y, z, up, out, k_cache, v_cache;
    zm_tensor qkv_weight, out_weight, up_weight, down_weight;
    uint32_t length, past;
} block;

typedef struct calls {
    zm_norm_params norms[2];
    zm_matmul_params products[4];
    zm_kv_store_params store;
    zm_attention_params attention;
} calls;

static calls calls_of(const fixture *f, const block *b)
{
    calls c = {
        .norms = {{.x = b->x, .weight = f->norm_weight, .dst = b->h, .eps = 1e-5f},
                  {.x = b->y, .weight = f->norm_weight, .dst = b->z, .eps = 1e-5f}},
        .products = {{.x = b->h, .weight = b->qkv_weight, .dst = b->qkv},
                     {.x = b->a, .weight = b->out_weight, .residual = b->x, .dst = b->y},
                     {.x = b->z,
                      .weight = b->up_weight,
                      .bias = f->bias,
                      .dst = b->up,
                      .activation = ZM_ACTIVATION_GELU},
                     {.x = b->up, .weight = b->down_weight, .residual = b->y, .dst = b->out}},
        .store = {.k = zm_tensor_cols(b->qkv, D, D),
                  .v = zm_tensor_cols(b->qkv, 2 * D, D),
                  .k_cache = b->k_cache,
                  .v_cache = b->v_cache,
                  .layout = f->layout,
                  .position = b->past},
        .attention = {.q = zm_tensor_cols(b->qkv, 0, D),
                      .k_cache = b->k_cache,
                      .v_cache = b->v_cache,
                      .layout = f->layout,
                      .kv_length = b->length,
                      .causal = true,
                      .dst = b->a}};
    return c;
}

static void call_directly(const fixture *f, const calls *c)
{
    assert_int_equal(zm_layer_norm(f->stream, &c->norms[0]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[0]), ZM_OK);
    assert_int_equal(zm_kv_store(f->stream, &c->store), ZM_OK);
    assert_int_equal(zm_attention(f->stream, &c->attention), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[1]), ZM_OK);
    assert_int_equal(zm_layer_norm(f->stream, &c->norms[1]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[2]), ZM_OK);
    assert_int_equal(zm_matmul(f->stream, &c->products[3]), ZM_OK);
}

static void put_in_graph(zm_graph *graph, const calls *c)
{
    zm_graph_layer_norm(graph, &c->norms[0]);
    zm_graph_matmul(graph, &c->products[0]);
    zm_graph_kv_store(graph, &c->store);
    zm_graph_attention(graph, &c->attention);
    zm_graph_matmul(graph, &c->products[1]);
    zm_graph_layer_norm(graph, &c->norms[1]);
    zm_graph_matmul(graph, &c->products[2]);
    zm_graph_matmul(graph, &c->products[3]);
}

typedef struct symbols {
    zm_size tokens, length;
} symbols;

/* The input's rows from past on, weights and caches by name, norms and bias as they are. */
static zm_graph *block_graph(fixture *f, symbols *s)
{
    zm_graph *g = NULL;
    uint32_t cache = (uint32_t)f->layout.elements;
    assert_int_equal(zm_graph_create(&f->log.log, &g), ZM_OK);
    s->tokens = zm_graph_symbol(g, "tokens", 1, LENGTH);
    s->length = zm_graph_symbol(g, "length", 1, LENGTH);
    const zm_size rows[] = {s->tokens, D}, qkv[] = {s->tokens, 3 * D}, up[] = {s->tokens, FF};
    block b = {
        .h = zm_graph_tensor(g, "h", ZM_DTYPE_NONE, 2, rows),
        .qkv = zm_graph_tensor(g, "qkv", ZM_DTYPE_NONE, 2, qkv),
        .a = zm_graph_tensor(g, "a", ZM_F32, 2, rows),
        .y = zm_graph_tensor(g, NULL, ZM_F32, 2, rows),
        .z = zm_graph_tensor(g, "z", ZM_F32, 2, rows),
        .up = zm_graph_tensor(g, "up", ZM_F32, 2, up),
        .out = zm_graph_extern(g, "out", ZM_F32, 2, rows),
        .k_cache = zm_graph_extern(g, "k", ZM_F32, 1, &cache),
        .v_cache = zm_graph_extern(g, "v", ZM_F32, 1, &cache),
        .qkv_weight = zm_graph_extern(g, "qkv.weight", ZM_F32, 2, (zm_size[]){3 * D, D}),
        .out_weight = zm_graph_extern(g, "out.weight", ZM_F32, 2, (zm_size[]){D, D}),
        .up_weight = zm_graph_extern(g, "up.weight", ZM_F32, 2, (zm_size[]){FF, D}),
        .down_weight = zm_graph_extern(g, "down.weight", ZM_F32, 2, (zm_size[]){D, FF}),
        .length = s->length,
        .past = zm_graph_difference(g, s->length, s->tokens),
    };
    b.x = zm_graph_rows(g, f->input, b.past, s->tokens);
    const calls c = calls_of(f, &b);
    put_in_graph(g, &c);
    assert_int_equal(zm_graph_status(g), ZM_OK);
    return g;
}

static zm_executable *block_compile(fixture *f, const zm_graph *g)
{
    zm_executable *exe = NULL;
    const struct {
        const char *name;
        const zm_tensor *tensor;
    } bindings[] = {{"k", &f->caches[0]},           {"v", &f->caches[1]},
                    {"qkv.weight", &f->qkv_weight}, {"out.weight", &f->out_weight},
                    {"up.weight", &f->up_weight},   {"down.weight", &f->down_weight},
                    {"out", &f->outputs[0]}};
    assert_int_equal(zm_graph_compile(g, f->device, NULL, &exe), ZM_OK);
    for (size_t i = 0; i < sizeof(bindings) / sizeof(bindings[0]); i++)
        assert_int_equal(zm_executable_bind(exe, bindings[i].name, bindings[i].tensor), ZM_OK);
    return exe;
}

static void run_directly(fixture *f, uint32_t past, uint32_t tokens)
{
    block b = {.x = zm_tensor_rows(f->input, past, tokens),
               .h = make(f, 2, tokens, D),
               .qkv = make(f, 2, tokens, 3 * D),
               .a = make(f, 2, tokens, D),
               .y = make(f, 2, tokens, D),
               .z = make(f, 2, tokens, D),
               .up = make(f, 2, tokens, FF),
               .out = zm_tensor_rows(f->outputs[1], 0, tokens),
               .k_cache = f->caches[2],
               .v_cache = f->caches[3],
               .qkv_weight = f->qkv_weight,
               .out_weight = f->out_weight,
               .up_weight = f->up_weight,
               .down_weight = f->down_weight,
               .length = past + tokens,
               .past = past};
    const calls c = calls_of(f, &b);
    call_directly(f, &c);
    assert_int_equal(zm_stream_wait(f->stream), ZM_OK);
    for (int i = 0; i < 6; i++)
        zm_buffer_destroy(&f->buffers[--f->buffer_count]);
}

static void assert_outputs_equal(fixture *f, uint32_t tokens)
{
    static float got[2][LENGTH * D];
    size_t bytes = (size_t)tokens * D * sizeof(float);
    for (int i = 0; i < 2; i++)
        assert_int_equal(zm_buffer_read(f->stream, f->outputs[i].buffer, 0, got[i], bytes), ZM_OK);
    assert_memory_equal(got[0], got[1], bytes);
    assert_true(got[0][0] != 0 && got[0][0] == got[0][0]);
}

/* A prompt, then tokens one by one, then some at once. */
static void test_block(void **state)
{
    fixture *f = *state;
    symbols s;
    zm_graph *g = block_graph(f, &s);
    zm_executable *exe = block_compile(f, g);
    zm_graph_destroy(&g); /* what was compiled stays */
    static const uint32_t steps[] = {5, 1, 1, 3, 1};
    uint32_t past = 0;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        assert_int_equal(zm_executable_set(exe, s.tokens, steps[i]), ZM_OK);
        assert_int_equal(zm_executable_set(exe, s.length, past + steps[i]), ZM_OK);
        assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
        zm_executable_info info = zm_executable_get_info(exe);
        assert_int_equal(info.operations, 8);
        assert_true(info.launches >= 8);
        /* Of a second token in a row only the input's place, the cache and attention change: the
         * first norm and the residual of the first product read the input. */
        assert_int_equal(info.planned, i == 2 ? 4 : 8);
        run_directly(f, past, steps[i]);
        assert_outputs_equal(f, steps[i]);
        past += steps[i];
    }
    /* The same once more: nothing is planned. */
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    assert_int_equal(zm_executable_get_info(exe).planned, 0);
    assert_outputs_equal(f, 1);
    /* An order that changes nothing is looked at all the same. */
    assert_int_equal(zm_device_force_kernel(f->device, "matmul", NULL), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    assert_int_equal(zm_executable_get_info(exe).planned, 8);
    assert_outputs_equal(f, 1);
    /* The output in another place. */
    zm_tensor other = make(f, 2, LENGTH, D);
    assert_int_equal(zm_executable_bind(exe, "out", &other), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    assert_int_equal(zm_executable_get_info(exe).planned, 1);
    f->outputs[0] = other;
    assert_outputs_equal(f, 1);
    zm_executable_destroy(&exe);
    assert_int_equal(f->log.errors, 0);
}

/* What is live at most is qkv beside h, then beside a; y, z and up together are smaller. */
static void test_memory(void **state)
{
    fixture *f = *state;
    symbols s;
    zm_graph *g = block_graph(f, &s);
    zm_executable *exe = block_compile(f, g);
    zm_executable_info info = zm_executable_get_info(exe);
    uint64_t row = LENGTH * sizeof(float);
    assert_int_equal(info.least_bytes, row * (3 * D + D));
    assert_true(info.memory_bytes <= info.least_bytes * 105 / 100);
    zm_executable_destroy(&exe);
    zm_graph_destroy(&g);
}

static bool go_on_twice(void *user)
{
    return (*(int *)user)++ < 2;
}

static void test_cancel(void **state)
{
    fixture *f = *state;
    symbols s;
    int asked = 0;
    zm_graph *g = block_graph(f, &s);
    zm_executable *exe = block_compile(f, g);
    const zm_run_params params = {.go_on = go_on_twice, .user = &asked};
    assert_int_equal(zm_executable_run(exe, f->stream, &params), ZM_ERROR_CANCELLED);
    assert_int_equal(asked, 3);
    assert_int_equal(zm_stream_wait(f->stream), ZM_OK);
    zm_executable_destroy(&exe);
    zm_graph_destroy(&g);
}

/* What is more than the device should be given at a time is handed over in between. */
static void test_submits(void **state)
{
    fixture *f = *state;
    symbols s;
    zm_graph *g = block_graph(f, &s);
    zm_executable *exe = block_compile(f, g);
    const uint64_t products = UINT64_C(2) * LENGTH * D * (4 * D + 2 * FF);
    const uint64_t limits[] = {1, products / 2, 2 * products}, wanted[] = {8, 1, 0};
    for (int i = 0; i < 3; i++) {
        exe->submit_work = limits[i];
        assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
        assert_int_equal(zm_executable_get_info(exe).submits, wanted[i]);
    }
    zm_executable_destroy(&exe);
    zm_graph_destroy(&g);
}

/* ---- threads ---- */

#define THREADS 4

/* One graph, compiled and run by each thread for itself. */
typedef struct worker {
    pthread_t thread;
    fixture *f;
    const zm_graph *graph;
    symbols s;
    zm_tensor k, v, out;
    zm_status status;
    float result[LENGTH * D];
} worker;

static zm_status work(worker *w, zm_stream *stream, zm_executable **exe)
{
    zm_status status = zm_graph_compile(w->graph, w->f->device, NULL, exe);
    const struct {
        const char *name;
        const zm_tensor *tensor;
    } bindings[] = {{"k", &w->k},
                    {"v", &w->v},
                    {"out", &w->out},
                    {"qkv.weight", &w->f->qkv_weight},
                    {"out.weight", &w->f->out_weight},
                    {"up.weight", &w->f->up_weight},
                    {"down.weight", &w->f->down_weight}};
    for (size_t i = 0; status == ZM_OK && i < sizeof(bindings) / sizeof(bindings[0]); i++)
        status = zm_executable_bind(*exe, bindings[i].name, bindings[i].tensor);
    for (uint32_t length = 3; status == ZM_OK && length <= LENGTH; length += 3) {
        status = zm_executable_set(*exe, w->s.tokens, 3);
        if (status == ZM_OK)
            status = zm_executable_set(*exe, w->s.length, length);
        if (status == ZM_OK)
            status = zm_executable_run(*exe, stream, NULL);
    }
    return status == ZM_OK
               ? zm_buffer_read(stream, w->out.buffer, 0, w->result, 3 * D * sizeof(float))
               : status;
}

static void *worker_run(void *user)
{
    worker *w = user;
    zm_stream *stream = NULL;
    zm_executable *exe = NULL;
    w->status = zm_stream_create(w->f->device, NULL, &stream);
    if (w->status == ZM_OK)
        w->status = work(w, stream, &exe);
    zm_stream_destroy(&stream);
    zm_executable_destroy(&exe);
    return NULL;
}

static void test_threads(void **state)
{
    fixture *f = *state;
    static worker workers[THREADS];
    symbols s;
    zm_graph *g = block_graph(f, &s);
    for (int i = 0; i < THREADS; i++) {
        uint32_t elements = (uint32_t)f->layout.elements;
        workers[i] = (worker){.f = f, .graph = g, .s = s};
        workers[i].k = make(f, 1, 1, elements);
        workers[i].v = make(f, 1, 1, elements);
        workers[i].out = make(f, 2, LENGTH, D);
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, ZM_OK);
        assert_memory_equal(workers[i].result, workers[0].result, 3 * D * sizeof(float));
    }
    assert_true(workers[0].result[0] != 0);
    zm_graph_destroy(&g);
}

/* ---- runs that are refused ---- */

static void assert_said(fixture *f, const char *words)
{
    if (!strstr(f->log.error, words))
        print_message("said '%s', not '%s'\n", f->log.error, words);
    assert_non_null(strstr(f->log.error, words));
    assert_int_equal(f->log.errors, 1);
    f->log.errors = 0;
    f->log.error[0] = '\0';
}

static void test_refused_runs(void **state)
{
    fixture *f = *state;
    symbols s;
    zm_executable *exe = NULL;
    zm_graph *g = block_graph(f, &s);
    assert_int_equal(zm_graph_compile(g, f->device, NULL, &exe), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "extern out is not bound");
    assert_int_equal(zm_executable_bind(exe, "outt", &f->outputs[0]), ZM_ERROR_NOT_FOUND);
    assert_said(f, "no extern outt");
    assert_int_equal(zm_executable_bind(exe, "h", &f->outputs[0]), ZM_ERROR_NOT_FOUND);
    assert_said(f, "no extern h");
    zm_tensor wrong = zm_tensor_rows(f->outputs[0], 0, LENGTH - 1);
    assert_int_equal(zm_executable_bind(exe, "out", &wrong), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "extern out: size 11 of dimension 0, not 12 or more");
    wrong = f->outputs[0];
    wrong.dtype = ZM_F16;
    assert_int_equal(zm_executable_bind(exe, "out", &wrong), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "extern out: f16 of rank 2, not f32");
    wrong = zm_tensor_cols(f->outputs[0], 0, D - 1);
    assert_int_equal(zm_executable_bind(exe, "out", &wrong), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "extern out: size 63 of dimension 1, not 64");
    wrong = f->outputs[0];
    wrong.offset = 1;
    assert_int_equal(zm_executable_bind(exe, "out", &wrong), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "extern out: reaches outside its buffer");
    zm_executable_destroy(&exe);

    exe = block_compile(f, g);
    assert_int_equal(zm_executable_set(exe, s.tokens, LENGTH + 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "tokens = 13 is not in 1 .. 12");
    assert_int_equal(zm_executable_set(exe, 3, 1), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "no symbol");
    assert_int_equal(zm_executable_set(exe, s.length, 4), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "length - tokens is 4 - 12, less than 0");
    assert_int_equal(zm_executable_set(exe, s.length, LENGTH), ZM_OK);
    /* Two externs in one place, which the operation may not have. */
    assert_int_equal(zm_executable_bind(exe, "v", &f->caches[0]), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "graph: node 2 (kv_store -> k): v_cache and k_cache overlap");
    assert_int_equal(zm_executable_bind(exe, "v", &f->caches[1]), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    assert_int_equal(zm_executable_run(exe, NULL, NULL), ZM_ERROR_INVALID_ARGUMENT);
    assert_said(f, "a stream of the device");
    zm_executable_destroy(&exe);
    zm_graph_destroy(&g);
}

#define WITH(name, open) cmocka_unit_test_setup_teardown(name, open, close_device)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH(test_block, open_host),   WITH(test_memory, open_host),
        WITH(test_cancel, open_host),  WITH(test_submits, open_host),
        WITH(test_threads, open_host), WITH(test_refused_runs, open_host),
#ifdef TEST_OPENCL
        WITH(test_block, open_opencl), WITH(test_threads, open_opencl),
#endif
    };
    (void)open_opencl;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
