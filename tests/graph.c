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
#include "graph_lab.h"

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
    return cmocka_run_group_tests(tests, NULL, NULL);
}
