/* SPDX-License-Identifier: Apache-2.0 */
/* Graphs with all passes against the same graphs without any, on the host device. */
#ifndef ZM_TESTS_PASSES_LAB_H
#define ZM_TESTS_PASSES_LAB_H

#include <zeromean/pipeline.h>

#include "scratch.h"

#define ROWS 6
#define D 16
#define HEADS 3
#define EPS 1e-3f

/* What graphs here are made of. All externs have memory of their own. */
enum { X, X2, Y, Y2, W, BIAS, SUMS, ONES, EXTERNS };

typedef struct fixture {
    zm_device *device;
    zm_stream *stream;
    scratch_log log;
    zm_graph *graph;
    zm_size rows; /* 1 .. ROWS */
    zm_buffer *buffers[EXTERNS];
    float values[EXTERNS][HEADS * D * D]; /* at the start of a run */
    zm_tensor real[EXTERNS], t[EXTERNS];
} fixture;

int lab_open(void **state);
int lab_close(void **state);

/* Fills the i-th extern with its numbers and binds it. */
zm_status lab_bind(fixture *f, zm_executable *exe, int i);
zm_status lab_bind_pipeline(fixture *f, zm_pipeline *pipeline, int i);

/* ---- parts of graphs ---- */

zm_tensor inner(fixture *f);
void put_add(fixture *f, zm_tensor x, zm_tensor y, zm_tensor dst);
void put_copy(fixture *f, zm_tensor x, zm_tensor dst);
void put_softmax(fixture *f, zm_tensor x, zm_tensor dst);
zm_tensor add(fixture *f, zm_tensor x, zm_tensor y);
/* By the i-th of the weights, which lie one behind the other. */
zm_matmul_params product(fixture *f, zm_tensor x, uint32_t i);
zm_tensor head(fixture *f, zm_tensor x, uint32_t i);
zm_norm_params norm_of(fixture *f, zm_tensor x);
zm_tensor rms(fixture *f, zm_tensor x);

/* ---- with and without ---- */

/* The pass fires so often where all may, and Y and Y2 are the same as without any, for each number
 * of rows. */
void expect(fixture *f, zm_pass pass, uint32_t times);
/* The same where only these may. */
void expect_with(fixture *f, const zm_compile_params *passes, zm_pass pass, uint32_t times);
/* Y and Y2 are the same with all passes. */
void expect_same(fixture *f);
/* That are left by all passes. */
uint32_t operations(fixture *f);

#define TEST(name) cmocka_unit_test_setup_teardown(name, lab_open, lab_close)

#endif
