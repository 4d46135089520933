/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "passes_lab.h"
#include "support/passes.h"
#include "support/random.h"

#define TOLERANCE 1e-5f

static const struct {
    const char *name;
    uint32_t rank, rows, cols;
} externs[EXTERNS] = {
    [X] = {"x", 2, ROWS, D},           [X2] = {"x2", 2, ROWS, D},
    [Y] = {"y", 2, ROWS, D},           [Y2] = {"y2", 2, ROWS, D},
    [W] = {"w", 2, (HEADS * D), D},    [BIAS] = {"bias", 1, 1, (HEADS * D)},
    [SUMS] = {"s", 1, 1, (HEADS * D)}, [ONES] = {"ones", 1, 1, D},
};

static void fill(fixture *f)
{
    uint64_t random = 1;
    for (int i = 0; i < EXTERNS; i++)
        for (uint32_t j = 0; j < externs[i].rows * externs[i].cols; j++)
            f->values[i][j] = (float)test_random_between(&random, -1, 1);
    for (uint32_t n = 0; n < HEADS * D; n++) {
        double sum = 0;
        for (uint32_t k = 0; k < D; k++)
            sum += (double)f->values[W][n * D + k];
        f->values[SUMS][n] = (float)sum;
    }
}

int lab_open(void **state)
{
    fixture *f = calloc(1, sizeof(*f));
    scratch_log_init(&f->log);
    const zm_device_params params = {.spec = "host", .log = &f->log.log, .host_threads = 1};
    if (!f || zm_device_open(&params, &f->device) ||
        zm_stream_create(f->device, NULL, &f->stream) || zm_graph_create(&f->log.log, &f->graph))
        return 1;
    fill(f);
    f->rows = zm_graph_symbol(f->graph, "rows", 1, ROWS);
    for (int i = 0; i < EXTERNS; i++) {
        const zm_size shape[] = {i <= Y2 ? f->rows : externs[i].rows, externs[i].cols};
        const zm_buffer_params size = {.size = externs[i].rows * externs[i].cols * sizeof(float)};
        if (zm_buffer_create(f->device, &size, &f->buffers[i]))
            return 1;
        bool vector = externs[i].rank == 1;
        f->real[i] = vector ? zm_tensor_1d(f->buffers[i], ZM_F32, externs[i].cols)
                            : zm_tensor_2d(f->buffers[i], ZM_F32, externs[i].rows, externs[i].cols);
        f->t[i] = zm_graph_extern(f->graph, externs[i].name, ZM_F32, externs[i].rank,
                                  vector ? &shape[1] : shape);
    }
    *state = f;
    return 0;
}

int lab_close(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < EXTERNS; i++)
        zm_buffer_destroy(&f->buffers[i]);
    zm_graph_destroy(&f->graph);
    zm_stream_destroy(&f->stream);
    zm_device_close(&f->device);
    free(f);
    return 0;
}

static zm_status fill_extern(fixture *f, int i)
{
    const uint64_t size = externs[i].rows * externs[i].cols * sizeof(float);
    return zm_buffer_write(f->stream, f->buffers[i], 0, f->values[i], size);
}

zm_status lab_bind(fixture *f, zm_executable *exe, int i)
{
    zm_status status = fill_extern(f, i);
    return status == ZM_OK ? zm_executable_bind(exe, externs[i].name, &f->real[i]) : status;
}

zm_status lab_bind_pipeline(fixture *f, zm_pipeline *pipeline, int i)
{
    zm_status status = fill_extern(f, i);
    return status == ZM_OK ? zm_pipeline_bind(pipeline, externs[i].name, &f->real[i]) : status;
}

/* ---- parts of graphs ---- */

zm_tensor inner(fixture *f)
{
    return zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){f->rows, D});
}

void put_add(fixture *f, zm_tensor x, zm_tensor y, zm_tensor dst)
{
    zm_graph_add(f->graph, &(zm_add_params){x, y, dst});
}

void put_copy(fixture *f, zm_tensor x, zm_tensor dst)
{
    zm_graph_copy(f->graph, &(zm_copy_params){x, dst});
}

void put_softmax(fixture *f, zm_tensor x, zm_tensor dst)
{
    zm_graph_softmax(f->graph, &(zm_softmax_params){.x = x, .dst = dst});
}

zm_tensor add(fixture *f, zm_tensor x, zm_tensor y)
{
    zm_tensor dst = inner(f);
    put_add(f, x, y, dst);
    return dst;
}

zm_matmul_params product(fixture *f, zm_tensor x, uint32_t i)
{
    return (zm_matmul_params){.x = x, .weight = zm_tensor_rows(f->t[W], i * D, D), .dst = inner(f)};
}

zm_tensor head(fixture *f, zm_tensor x, uint32_t i)
{
    const zm_matmul_params p = product(f, x, i);
    zm_graph_matmul(f->graph, &p);
    return p.dst;
}

zm_norm_params norm_of(fixture *f, zm_tensor x)
{
    return (zm_norm_params){.x = x, .dst = inner(f), .eps = EPS};
}

zm_tensor rms(fixture *f, zm_tensor x)
{
    const zm_norm_params p = norm_of(f, x);
    zm_graph_rms_norm(f->graph, &p);
    return p.dst;
}

/* ---- with and without ---- */

/* Y and Y2 after a run, and what was done to the graph. */
typedef struct outcome {
    float y[2][ROWS * D];
    zm_executable_info info;
} outcome;

static const zm_compile_params all;

static outcome run(fixture *f, const zm_compile_params *passes, uint32_t rows)
{
    outcome out;
    zm_executable *exe = NULL;
    assert_int_equal(zm_graph_compile(f->graph, f->device, passes, &exe), ZM_OK);
    for (int i = 0; i < EXTERNS; i++)
        assert_int_equal(lab_bind(f, exe, i), ZM_OK);
    assert_int_equal(zm_executable_set(exe, f->rows, rows), ZM_OK);
    assert_int_equal(zm_executable_run(exe, f->stream, NULL), ZM_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(
            zm_buffer_read(f->stream, f->buffers[Y + i], 0, out.y[i], sizeof(out.y[i])), ZM_OK);
    out.info = zm_executable_get_info(exe);
    zm_executable_destroy(&exe);
    return out;
}

static void compare(const float *got, const float *wanted)
{
    for (uint32_t j = 0; j < ROWS * D; j++)
        assert_true(fabsf(got[j] - wanted[j]) <= TOLERANCE * (1 + fabsf(wanted[j])));
}

void expect_same(fixture *f)
{
    const outcome out = run(f, &all, ROWS);
    compare(out.y[0], out.y[1]);
}

void expect_with(fixture *f, const zm_compile_params *passes, zm_pass pass, uint32_t times)
{
    const zm_compile_params none = passes_none();
    for (uint32_t rows = 1; rows <= ROWS; rows += ROWS - 1) {
        const outcome wanted = run(f, &none, rows), got = run(f, passes, rows);
        assert_int_equal(got.info.fired[pass], times);
        for (int i = 0; i < ZM_PASS_COUNT; i++)
            assert_int_equal(wanted.info.fired[i], 0);
        for (int i = 0; i < 2; i++)
            compare(got.y[i], wanted.y[i]);
    }
}

void expect(fixture *f, zm_pass pass, uint32_t times)
{
    expect_with(f, &all, pass, times);
}

uint32_t operations(fixture *f)
{
    return run(f, &all, ROWS).info.operations;
}
