/* SPDX-License-Identifier: Apache-2.0 */
/* Where passes must not fire because of how something is viewed: in another shape, by rows that are
 * not adjacent, or as an operand of another kind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "passes_lab.h"

#define HALF (D / 2)

static zm_tensor shaped(zm_tensor tensor, zm_size rows, uint32_t cols)
{
    tensor.rank = 2;
    tensor.shape[0] = rows;
    tensor.shape[1] = cols;
    return tensor;
}

static zm_size twice(fixture *f)
{
    return zm_graph_sum(f->graph, f->rows, f->rows);
}

/* Of twice the rows. */
static zm_tensor tall(fixture *f, uint32_t cols)
{
    return zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){twice(f), cols});
}

/* x as twice the rows of half the columns, times the i-th n of the weights of that many. */
static zm_tensor tall_head(fixture *f, uint32_t i, uint32_t n)
{
    zm_matmul_params p = {.x = shaped(f->t[X], twice(f), HALF),
                          .weight = shaped(f->t[W], n, HALF),
                          .dst = tall(f, n)};
    p.weight.offset = (uint64_t)i * n * HALF;
    zm_graph_matmul(f->graph, &p);
    return p.dst;
}

/* Columns of a wider matrix, copied. */
static zm_tensor narrow_copy(fixture *f, uint32_t first)
{
    zm_tensor wide = tall(f, D), narrow = tall(f, HALF);
    put_copy(f, f->t[X], zm_graph_rows(f->graph, wide, 0, f->rows));
    put_copy(f, f->t[X2], zm_graph_rows(f->graph, wide, f->rows, f->rows));
    put_copy(f, zm_tensor_cols(wide, first, HALF), narrow);
    return narrow;
}

/* ---- rows that are no rows of what they are read from ---- */

static void test_no_merge_of_another_shape(void **state)
{
    fixture *f = *state;
    zm_tensor q = tall_head(f, 0, HALF), k = tall_head(f, 1, HALF);
    put_softmax(f, shaped(q, f->rows, D), f->t[Y]);
    put_softmax(f, k, shaped(f->t[Y2], twice(f), HALF));
    expect(f, ZM_PASS_MERGE, 0);
}

/* The same without another shape. */
static void test_merge_of_rows(void **state)
{
    fixture *f = *state;
    zm_tensor q = tall_head(f, 0, HALF), k = tall_head(f, 1, HALF);
    zm_tensor second = shaped(q, f->rows, HALF);
    second.stride[0] = D; /* every second row */
    second.stride[1] = 1;
    put_softmax(f, second, zm_tensor_cols(f->t[Y], 0, HALF));
    second.shape[1] = 3;
    second.offset = HALF + 5; /* the last columns of the others */
    put_softmax(f, second, zm_tensor_cols(f->t[Y], HALF, 3));
    put_softmax(f, k, shaped(f->t[Y2], twice(f), HALF));
    expect(f, ZM_PASS_MERGE, 1);
}

/* One element too many. */
static void test_no_merge_across_rows(void **state)
{
    fixture *f = *state;
    zm_tensor q = tall_head(f, 0, HALF), k = tall_head(f, 1, HALF);
    zm_tensor across = zm_graph_rows(f->graph, shaped(q, 1, 4), 0, 1);
    across.offset = HALF - 3;
    put_softmax(f, across, zm_graph_rows(f->graph, zm_tensor_cols(f->t[Y], 0, 4), 0, 1));
    put_softmax(f, k, shaped(f->t[Y2], twice(f), HALF));
    expect(f, ZM_PASS_MERGE, 0);
}

static void test_no_view_of_another_shape(void **state)
{
    fixture *f = *state;
    put_softmax(f, shaped(narrow_copy(f, 0), f->rows, D), f->t[Y]);
    expect(f, ZM_PASS_VIEW, 0);
}

/* Where what was copied has no gaps either, any shape will do. */
static void test_view_of_another_shape(void **state)
{
    fixture *f = *state;
    zm_tensor copy = tall(f, HALF), x = add(f, f->t[X], f->t[X2]);
    put_copy(f, shaped(x, twice(f), HALF), copy);
    put_softmax(f, shaped(copy, f->rows, D), f->t[Y]);
    expect(f, ZM_PASS_VIEW, 1);
}

/* Four columns of a row of the copy's last ones. */
static void put_part(fixture *f, uint64_t offset, uint32_t cols)
{
    zm_tensor last = zm_tensor_cols(narrow_copy(f, 3), HALF - 4, 4);
    zm_tensor part = zm_graph_rows(f->graph, last, 0, 1);
    part.offset = offset;
    part.shape[1] = cols;
    put_softmax(f, part, zm_graph_rows(f->graph, zm_tensor_cols(f->t[Y], 0, cols), 0, 1));
}

static void test_view_of_part(void **state)
{
    fixture *f = *state;
    put_part(f, 1, 3);
    put_part(f, HALF + 1, 3);
    expect(f, ZM_PASS_VIEW, 2);
}

static void test_no_view_of_part_across_rows(void **state)
{
    fixture *f = *state;
    put_part(f, 1, 4);
    put_part(f, 4, 4); /* the first ones of the next row */
    expect(f, ZM_PASS_VIEW, 0);
}

/* ---- statistics ---- */

static void put_second_rows(fixture *f, uint64_t step)
{
    zm_tensor h = tall_head(f, 0, D), rows = zm_graph_rows(f->graph, h, 0, twice(f));
    rows.shape[0] = f->rows;
    rows.stride[0] = step;
    rows.stride[1] = 1;
    put_softmax(f, head(f, rms(f, rows), 1), f->t[Y]);
}

static void test_no_writer_statistic_of_second_rows(void **state)
{
    fixture *f = *state;
    put_second_rows(f, 2 * (uint64_t)D);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

static void test_writer_statistic_of_first_rows(void **state)
{
    fixture *f = *state;
    put_second_rows(f, D);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

/* Rows behind those that the matmul writes are there, but it has no statistics of them. */
static void test_no_writer_statistic_of_rows_behind(void **state)
{
    fixture *f = *state;
    zm_tensor all = tall(f, D), first = all;
    first.shape[0] = f->rows;
    put_copy(f, f->t[X2], zm_graph_rows(f->graph, all, f->rows, f->rows));
    zm_matmul_params p = product(f, f->t[X], 0);
    p.dst = first;
    zm_graph_matmul(f->graph, &p);
    zm_tensor rows = zm_graph_rows(f->graph, first, f->rows, f->rows);
    put_softmax(f, head(f, rms(f, rows), 1), f->t[Y]);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* What reads a norm of x writes there, in one way or another. */
static void put_writer_of_x(fixture *f, bool weighted)
{
    zm_tensor x = inner(f);
    put_softmax(f, f->t[X], x);
    zm_matmul_params p = product(f, rms(f, x), 1);
    uint32_t group = zm_statistics_group(f->device), sums = 2 * ((D + group - 1) / group);
    p.statistics = shaped(x, f->rows, sums);
    if (weighted) {
        p.statistics = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){f->rows, sums});
        p.norm_weight = f->t[ONES];
        p.weighted = x;
    }
    zm_graph_matmul(f->graph, &p);
    put_copy(f, p.dst, f->t[Y]);
    put_copy(f, x, f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0);
}

static void test_norm_under_statistics_stays(void **state)
{
    put_writer_of_x(*state, false);
}

static void test_norm_under_weighted_stays(void **state)
{
    put_writer_of_x(*state, true);
}

/* ---- vectors that the sum is, or may be ---- */

static zm_tensor first_row(zm_tensor matrix)
{
    matrix.rank = 1;
    matrix.shape[0] = D;
    return matrix;
}

static void test_no_residual_norm_by_the_sum(void **state)
{
    fixture *f = *state;
    zm_norm_params p = norm_of(f, add(f, f->t[X], f->t[X2]));
    p.weight = first_row(p.x);
    zm_graph_layer_norm(f->graph, &p);
    put_copy(f, p.dst, f->t[Y]);
    p = norm_of(f, add(f, f->t[X], f->t[X2]));
    p.bias = first_row(p.x);
    zm_graph_layer_norm(f->graph, &p);
    put_copy(f, p.dst, f->t[Y2]);
    expect(f, ZM_PASS_RESIDUAL_NORM, 0);
}

/* Externs may be bound to one memory. */
static void test_no_residual_norm_by_an_extern(void **state)
{
    fixture *f = *state;
    put_add(f, f->t[X], f->t[X2], f->t[Y]);
    zm_norm_params p = norm_of(f, f->t[Y]);
    p.weight = f->t[ONES];
    zm_graph_layer_norm(f->graph, &p);
    put_copy(f, p.dst, f->t[Y2]);
    expect(f, ZM_PASS_RESIDUAL_NORM, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_merge_of_another_shape),      TEST(test_merge_of_rows),
        TEST(test_no_merge_across_rows),           TEST(test_no_view_of_another_shape),
        TEST(test_view_of_another_shape),          TEST(test_view_of_part),
        TEST(test_no_view_of_part_across_rows),    TEST(test_no_writer_statistic_of_second_rows),
        TEST(test_writer_statistic_of_first_rows), TEST(test_no_writer_statistic_of_rows_behind),
        TEST(test_norm_under_statistics_stays),    TEST(test_norm_under_weighted_stays),
        TEST(test_no_residual_norm_by_the_sum),    TEST(test_no_residual_norm_by_an_extern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
