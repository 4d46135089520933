/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs while memory runs out, at each allocation in turn; and that a run allocates nothing. The
 * linker puts what is here in the place of the library's allocations (--wrap). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/pipeline.h>

#include "common/alloc.h"
#include "graph/graph.h"
#include "passes_lab.h"

void *__real_zm_calloc(size_t count, size_t size);
bool __real_zm_array_reserve(void **array, size_t *capacity, size_t count, size_t element_size);
char *__real_zm_strdup(const char *text);
void *__wrap_zm_calloc(size_t count, size_t size);
bool __wrap_zm_array_reserve(void **array, size_t *capacity, size_t count, size_t element_size);
char *__wrap_zm_strdup(const char *text);

static size_t asked, fails_at = SIZE_MAX;

static bool is_there(void)
{
    return asked++ != fails_at;
}

void *__wrap_zm_calloc(size_t count, size_t size)
{
    return is_there() ? __real_zm_calloc(count, size) : NULL;
}

bool __wrap_zm_array_reserve(void **array, size_t *capacity, size_t count, size_t element_size)
{
    return is_there() && __real_zm_array_reserve(array, capacity, count, element_size);
}

char *__wrap_zm_strdup(const char *text)
{
    return is_there() ? __real_zm_strdup(text) : NULL;
}

/* Something for each pass, and a tensor of each kind. */
static void put_all(fixture *f)
{
    zm_tensor copy = inner(f), real = zm_tensor_rows(f->real[ONES], 0, 1);
    put_copy(f, f->t[X], copy);
    zm_tensor x = add(f, head(f, copy, 0), f->t[X2]), norm = rms(f, x);
    zm_norm_params other = norm_of(f, x);
    other.eps = 2 * EPS;
    zm_graph_rms_norm(f->graph, &other);
    zm_tensor a = head(f, norm, 0), b = head(f, norm, 1);
    zm_matmul_params summed = product(f, other.dst, 2);
    summed.scale.column_sums = f->t[SUMS];
    summed.scale.column_sums.shape[0] = D;
    zm_graph_matmul(f->graph, &summed);
    zm_norm_params last = norm_of(f, add(f, add(f, a, b), add(f, summed.dst, x)));
    last.weight = zm_tensor_1d(real.buffer, ZM_F32, D);
    zm_graph_layer_norm(f->graph, &last);
    zm_tensor row = zm_graph_rows(f->graph, last.dst, zm_graph_difference(f->graph, f->rows, 1), 1);
    zm_graph_observe(f->graph, "row", 0, row);
    put_copy(f, last.dst, f->t[Y]);
}

/* The operations in turns on two devices. */
typedef struct pair {
    zm_device *devices[2];
    zm_stream *streams[2];
    zm_pipeline *pipeline;
} pair;

static void pair_open(fixture *f, pair *p)
{
    const zm_device_params params = {.spec = "host", .log = &f->log.log, .host_threads = 1};
    *p = (pair){.devices = {f->device}, .streams = {f->stream}};
    assert_int_equal(zm_device_open(&params, &p->devices[1]), ZM_OK);
    assert_int_equal(zm_stream_create(p->devices[1], NULL, &p->streams[1]), ZM_OK);
}

static void pair_close(pair *p)
{
    zm_pipeline_destroy(&p->pipeline);
    zm_stream_destroy(&p->streams[1]);
    zm_device_close(&p->devices[1]);
}

static zm_status pair_compile_and_run(fixture *f, pair *p)
{
    for (size_t n = 0; n < f->graph->node_count; n++)
        f->graph->nodes[n].device = n % 3 == 1;
    zm_status status = zm_pipeline_compile(f->graph, p->devices, 2, NULL, &p->pipeline);
    for (int i = 0; status == ZM_OK && i < EXTERNS; i++)
        status = lab_bind_pipeline(f, p->pipeline, i);
    return status == ZM_OK ? zm_pipeline_run(p->pipeline, p->streams, NULL) : status;
}

static zm_status compile_and_run(fixture *f, zm_executable **exe)
{
    zm_status status = zm_graph_compile(f->graph, f->device, NULL, exe);
    for (int i = 0; status == ZM_OK && i < EXTERNS; i++)
        status = lab_bind(f, *exe, i);
    return status == ZM_OK ? zm_executable_run(*exe, f->stream, NULL) : status;
}

/* The first allocation that fails has to be the last thing that is tried. */
static void check_out_of_memory(bool on_two)
{
    size_t failures = 0, named = 0;
    for (size_t i = 0;; i++) {
        void *lab = NULL;
        zm_executable *exe = NULL;
        assert_int_equal(lab_open(&lab), 0);
        fixture *f = lab;
        pair p;
        pair_open(f, &p);
        asked = 0;
        fails_at = i;
        put_all(f);
        zm_status status = on_two ? pair_compile_and_run(f, &p) : compile_and_run(f, &exe);
        bool failed = asked > i;
        fails_at = SIZE_MAX;
        named += strstr(f->log.error, "graph: the inner tensors take ") != NULL;
        zm_executable_destroy(&exe);
        pair_close(&p);
        lab_close(&lab);
        if (!failed) {
            assert_int_equal(status, ZM_OK);
            break;
        }
        assert_int_equal(status, ZM_ERROR_OUT_OF_MEMORY);
        failures++;
    }
    print_message("%zu allocations failed one after the other\n", failures);
    assert_true(failures > (on_two ? 300 : 100));
    assert_true(named > 0 || on_two); /* where none is inner */
}

static void test_out_of_memory(void **state)
{
    (void)state;
    check_out_of_memory(false);
    check_out_of_memory(true);
}

static void test_pipelines_run_without_allocation(void **state)
{
    fixture *f = *state;
    pair p;
    pair_open(f, &p);
    put_all(f);
    assert_int_equal(pair_compile_and_run(f, &p), ZM_OK);
    asked = 0;
    for (uint32_t rows = 1; rows <= ROWS; rows++) {
        assert_int_equal(zm_pipeline_set(p.pipeline, f->rows, rows), ZM_OK);
        assert_int_equal(zm_pipeline_run(p.pipeline, p.streams, NULL), ZM_OK);
        assert_true(zm_pipeline_get_info(p.pipeline).moves > 0);
    }
    assert_int_equal(asked, 0);
    pair_close(&p);
}

static void test_runs_without_allocation(void **state)
{
    fixture *f = *state;
    zm_executable *exe = NULL;
    put_all(f);
    assert_int_equal(compile_and_run(f, &exe), ZM_OK);
    asked = 0;
    for (uint32_t rows = 1; rows <= ROWS; rows++) {
        assert_int_equal(zm_executable_set(exe, f->rows, rows), ZM_OK);
        assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
        assert_true(zm_executable_get_info(exe).planned > 0 || rows == ROWS);
    }
    assert_int_equal(asked, 0);
    zm_executable_destroy(&exe);
}

/* The first run, too, where the device has the kernels already. */
static void test_first_run_without_allocation(void **state)
{
    fixture *f = *state;
    zm_executable *one = NULL, *other = NULL;
    put_all(f);
    assert_int_equal(compile_and_run(f, &one), ZM_OK);
    assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &other), ZM_OK);
    asked = 0;
    for (int i = 0; i < EXTERNS; i++)
        assert_int_equal(lab_bind(f, other, i), ZM_OK);
    assert_int_equal(zm_executable_run(other, f->stream, NULL), ZM_OK);
    assert_int_equal(asked, 0);
    zm_executable_destroy(&one);
    zm_executable_destroy(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_out_of_memory),
        TEST(test_runs_without_allocation),
        TEST(test_first_run_without_allocation),
        TEST(test_pipelines_run_without_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
