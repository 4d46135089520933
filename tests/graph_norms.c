/* SPDX-License-Identifier: Apache-2.0 */
/* Where passes fire that are about norms, and where they must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <zeromean/block.h>

#include "passes_lab.h"

/* ---- residual and norm ---- */

static void test_residual_norm(void **state)
{
    fixture *f = *state;
    zm_norm_params p = norm_of(f, add(f, f->t[X], f->t[X2]));
    p.weight = f->t[ONES];
    zm_graph_layer_norm(f->graph, &p);
    put_copy(f, p.dst, f->t[Y]); /* only the norm is read */
    p = norm_of(f, add(f, f->t[X2], f->t[X]));
    zm_graph_rms_norm(f->graph, &p);
    put_add(f, p.dst, p.x, f->t[Y2]); /* the sum as well */
    expect(f, ZM_PASS_RESIDUAL_NORM, 2);
    assert_int_equal(operations(f), 4);
}

static void test_no_residual_norm(void **state)
{
    fixture *f = *state;
    zm_norm_params p = norm_of(f, add(f, f->t[X], f->t[X2]));
    p.residual = f->t[X2];
    zm_graph_layer_norm(f->graph, &p); /* has one already */
    put_copy(f, p.dst, f->t[Y]);
    zm_tensor sum = add(f, f->t[X], f->t[X2]);
    put_softmax(f, sum, sum);
    put_copy(f, rms(f, sum), f->t[Y2]); /* something has changed it */
    sum = add(f, f->t[X], f->t[X2]);
    p = norm_of(f, zm_graph_rows(f->graph, sum, 0, 1));
    p.dst = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, D});
    zm_graph_rms_norm(f->graph, &p); /* of some rows only */
    put_copy(f, p.dst, zm_graph_rows(f->graph, f->t[Y], 0, 1));
    expect(f, ZM_PASS_RESIDUAL_NORM, 0);
}

/* Its weight is not there yet where the sum is. */
static void test_no_residual_norm_before_weight(void **state)
{
    fixture *f = *state;
    zm_tensor sum = add(f, f->t[X], f->t[X2]);
    zm_tensor weight = zm_graph_tensor(f->graph, "weight", ZM_F32, 1, (zm_size[]){D});
    put_copy(f, f->t[ONES], weight);
    put_copy(f, f->t[ONES], weight);
    zm_norm_params p = norm_of(f, sum);
    p.weight = weight;
    zm_graph_rms_norm(f->graph, &p);
    put_copy(f, p.dst, f->t[Y]);
    expect(f, ZM_PASS_RESIDUAL_NORM, 0);
}

/* ---- deferred norms ---- */

typedef void put_norm(zm_graph *graph, const zm_norm_params *params);

/* The i-th of the fixture's column sums. */
static zm_tensor sums_of(const fixture *f, uint32_t i)
{
    zm_tensor sums = f->t[SUMS];
    sums.shape[0] = D;
    sums.offset = i * D;
    return sums;
}

/* By weights of which the column sums are known. */
static zm_matmul_params summed(fixture *f, zm_tensor x, uint32_t i)
{
    zm_matmul_params p = product(f, x, i);
    p.scale.column_sums = sums_of(f, i);
    return p;
}

/* A writer, the norm of what it writes, and two readers. */
static void put_block(fixture *f, put_norm *norm, uint32_t true_d, bool sums)
{
    zm_tensor x = add(f, head(f, f->t[X], 0), f->t[X]);
    zm_norm_params p = norm_of(f, x);
    p.true_d = true_d;
    norm(f->graph, &p);
    zm_matmul_params up = sums ? summed(f, p.dst, 1) : product(f, p.dst, 1);
    up.activation = ZM_ACTIVATION_GELU;
    zm_graph_matmul(f->graph, &up);
    put_add(f, head(f, up.dst, 2), x, f->t[Y]);
    zm_matmul_params other = sums ? summed(f, p.dst, 0) : product(f, p.dst, 0);
    zm_graph_matmul(f->graph, &other);
    put_add(f, other.dst, x, f->t[Y2]);
}

static void test_deferred_norm(void **state)
{
    fixture *f = *state;
    put_block(f, zm_graph_rms_norm, 0, false);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
    assert_int_equal(operations(f), 4); /* products */
}

static void test_deferred_crms_norm(void **state)
{
    fixture *f = *state;
    put_block(f, zm_graph_crms_norm, 0, false);
    put_block(f, zm_graph_crms_norm, D + 1, false);
    expect(f, ZM_PASS_DEFERRED_NORM, 2);
}

static void test_deferred_layer_norm(void **state)
{
    fixture *f = *state;
    put_block(f, zm_graph_layer_norm, 0, false);
    expect(f, ZM_PASS_DEFERRED_NORM, 0); /* column sums are not known */
    put_block(f, zm_graph_layer_norm, 0, true);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
}

/* A decoder asks for its last row only. */
static void test_deferred_norm_of_rows(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 0);
    zm_tensor last = zm_graph_rows(f->graph, x, zm_graph_difference(f->graph, f->rows, 1), 1);
    zm_norm_params p = {.x = last,
                        .dst = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, D}),
                        .eps = EPS};
    zm_graph_rms_norm(f->graph, &p);
    zm_graph_matmul(f->graph, &(zm_matmul_params){.x = p.dst,
                                                  .weight = zm_tensor_rows(f->t[W], D, D),
                                                  .dst = zm_graph_rows(f->graph, f->t[Y], 0, 1)});
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

static void test_norm_with_bias_stays(void **state)
{
    fixture *f = *state;
    zm_norm_params p = norm_of(f, f->t[X]);
    p.weight = p.bias = f->t[ONES];
    zm_graph_rms_norm(f->graph, &p);
    put_copy(f, head(f, p.dst, 0), f->t[Y]);
    p = norm_of(f, f->t[X]);
    p.bias = f->t[ONES];
    zm_graph_rms_norm(f->graph, &p);
    put_copy(f, head(f, p.dst, 0), f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0);
}

static void test_norm_with_other_readers_stays(void **state)
{
    fixture *f = *state;
    zm_tensor norm = rms(f, f->t[X]);
    put_add(f, head(f, norm, 0), norm, f->t[Y]); /* a sum */
    norm = rms(f, f->t[X]);
    zm_matmul_params p = product(f, norm, 0);
    p.residual = norm;
    zm_graph_matmul(f->graph, &p); /* the residual */
    put_copy(f, p.dst, f->t[Y2]);
    norm = rms(f, f->t[X]);
    zm_graph_observe(f->graph, "norm", 0, norm); /* an observer */
    put_copy(f, head(f, norm, 0), f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0);
}

static void test_norm_of_what_changes_stays(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 2), norm = rms(f, x);
    put_add(f, x, f->t[X], x);
    zm_tensor other = head(f, norm, 0);
    put_softmax(f, x, x);
    put_add(f, other, x, f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0);
}

/* A reader that writes where its input was: it can't read x instead. */
static void test_norm_of_what_is_written_stays(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 2);
    zm_matmul_params p = product(f, rms(f, x), 0);
    p.dst = x;
    zm_graph_matmul(f->graph, &p);
    put_copy(f, x, f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0);
}

/* ---- norms with a weight ---- */

/* The norm's weight: of the fixture's vectors the one that is called so is not what it is called.
 */
static zm_tensor weighted(fixture *f, put_norm *norm, zm_tensor x, zm_tensor weight)
{
    zm_norm_params p = norm_of(f, x);
    p.weight = weight;
    norm(f->graph, &p);
    return p.dst;
}

static void test_weighted_norm(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, head(f, f->t[X], 0), f->t[X]);
    zm_tensor norm = weighted(f, zm_graph_rms_norm, x, f->t[ONES]);
    put_add(f, head(f, head(f, norm, 1), 2), x, f->t[Y]); /* x is there as ever */
    put_add(f, head(f, norm, 0), x, f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
    assert_int_equal(operations(f), 4); /* products */
    const zm_compile_params unmoved = {.off = {[ZM_PASS_WRITER_STATISTIC] = true}};
    expect_with(f, &unmoved, ZM_PASS_DEFERRED_NORM, 1);
}

/* Readers of what is weighted may write where x was, even before others read it. */
static void test_weighted_norm_in_place(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 2), norm = weighted(f, zm_graph_crms_norm, x, f->t[ONES]);
    zm_matmul_params p = product(f, norm, 0);
    p.dst = x;
    zm_graph_matmul(f->graph, &p);
    put_add(f, head(f, norm, 1), x, f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

static void test_weighted_norm_of_f16_stays(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        const zm_size shape[] = {f->rows, D};
        const zm_dtype type = i ? ZM_F16 : ZM_BF16;
        zm_tensor narrow[3];
        for (int j = 0; j < 3; j++)
            narrow[j] = zm_graph_tensor(f->graph, NULL, type, 2, shape);
        put_copy(f, f->t[X], narrow[0]);
        zm_norm_params p = {.x = narrow[0], .weight = f->t[ONES], .dst = narrow[1], .eps = EPS};
        zm_graph_rms_norm(f->graph, &p);
        zm_matmul_params reader = product(f, p.dst, 0);
        reader.dst = narrow[2];
        zm_graph_matmul(f->graph, &reader);
        zm_executable *exe = NULL;
        put_copy(f, narrow[2], f->t[Y + i]);
        assert_int_equal(zm_graph_compile(f->graph, f->device, NULL, &exe), ZM_OK);
        assert_int_equal(zm_executable_get_info(exe).fired[ZM_PASS_DEFERRED_NORM], 1);
        zm_executable_destroy(&exe);
    }
}

/* Column sums of the i-th weights and a norm's weight in the place of the j-th. */
static zm_tensor sums_with(fixture *f, uint32_t i, const float *weight, uint32_t j)
{
    for (uint32_t n = 0; n < D; n++) {
        double sum = 0;
        for (uint32_t k = 0; k < D; k++)
            sum += (double)f->values[W][(i * D + n) * D + k] * (double)weight[k];
        f->values[SUMS][j * D + n] = (float)sum;
    }
    return sums_of(f, j);
}

static void test_weighted_layer_norm(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, head(f, f->t[X], 0), f->t[X]);
    put_copy(f, head(f, weighted(f, zm_graph_layer_norm, x, f->t[ONES]), 1), f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 0); /* they are not known */
    x = add(f, head(f, f->t[X2], 0), f->t[X]);
    zm_matmul_params p = product(f, weighted(f, zm_graph_layer_norm, x, f->t[ONES]), 1);
    p.scale.column_sums = sums_with(f, 1, f->values[ONES], 0);
    zm_graph_matmul(f->graph, &p);
    put_copy(f, p.dst, f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

/* Layers that share their weights, but not their norms. */
static void test_one_weight_behind_two_norms(void **state)
{
    fixture *f = *state;
    zm_tensor other = f->t[BIAS], weight = zm_tensor_rows(f->t[W], D, D);
    other.shape[0] = D;
    const zm_linear linears[] = {
        {.weight = weight, .column_sums = sums_with(f, 1, f->values[ONES], 0)},
        {.weight = weight, .column_sums = sums_with(f, 1, f->values[BIAS], 1)},
        {.weight = weight}};
    for (int i = 0; i < 3; i++) {
        zm_tensor norm = weighted(f, zm_graph_layer_norm, f->t[X], i ? other : f->t[ONES]);
        put_add(f, zm_graph_linear(f->graph, NULL, &linears[i], ZM_ACTIVATION_NONE, norm),
                i == 1 ? f->t[Y] : f->t[X], i == 2 ? f->t[Y2] : f->t[Y]);
    }
    expect(f, ZM_PASS_EPILOGUE, 3);      /* no output is bound as they are */
    expect(f, ZM_PASS_DEFERRED_NORM, 2); /* of the third, they are not known */
}

/* Adjacent ones stay known when their weights are merged. */
static void test_merged_column_sums(void **state)
{
    fixture *f = *state;
    zm_norm_params norm = norm_of(f, f->t[X]);
    for (int i = 0; i < 2; i++) {
        zm_graph_layer_norm(f->graph, &norm);
        zm_matmul_params p = summed(f, norm.dst, 0), q = summed(f, norm.dst, 1);
        if (i)
            q.scale.column_sums = sums_of(f, 2); /* which are not read */
        zm_graph_matmul(f->graph, &p);
        zm_graph_matmul(f->graph, &q);
        put_add(f, p.dst, q.dst, i ? f->t[Y2] : f->t[Y]);
        norm = norm_of(f, f->t[X2]);
    }
    expect(f, ZM_PASS_MERGE, 2);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
}

static void test_unfit_column_sums(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = summed(f, f->t[X], 1);
    p.scale.column_sums.shape[0] = D - 1;
    zm_graph_matmul(f->graph, &p);
    assert_int_equal(zm_graph_status(f->graph), ZM_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(f->log.error, "matmul: column sums need"));
}

/* A product has room for one of them, and what the other weighs stays an operation. The statistics
 * are those of all of them. */
static void test_weighted_norms_of_one_tensor(void **state)
{
    fixture *f = *state;
    zm_tensor other = f->t[BIAS], x = add(f, head(f, f->t[X], 0), f->t[X]);
    other.shape[0] = D;
    zm_tensor a = weighted(f, zm_graph_rms_norm, x, f->t[ONES]);
    zm_tensor b = weighted(f, zm_graph_rms_norm, x, other);
    put_add(f, head(f, a, 1), head(f, b, 2), f->t[Y]);
    put_add(f, head(f, rms(f, x), 0), x, f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 3);
    expect(f, ZM_PASS_SHARED_STATISTIC, 2);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
    assert_int_equal(operations(f), 5);
    const zm_compile_params unshared = {.off = {[ZM_PASS_SHARED_STATISTIC] = true}};
    expect_with(f, &unshared, ZM_PASS_SHARED_STATISTIC, 0);
}

/* The statistics are there without a weight, then the product has room for what is weighted. */
static void test_weighted_norm_behind_another(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, head(f, f->t[X], 0), f->t[X]), plain = rms(f, x);
    zm_tensor norm = weighted(f, zm_graph_layer_norm, x, f->t[ONES]);
    zm_matmul_params p = product(f, norm, 1);
    p.scale.column_sums = sums_with(f, 1, f->values[ONES], 0);
    zm_graph_matmul(f->graph, &p);
    put_add(f, p.dst, head(f, plain, 2), f->t[Y]);
    put_copy(f, x, f->t[Y2]);
    expect(f, ZM_PASS_SHARED_STATISTIC, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 2);
    assert_int_equal(operations(f), 4); /* products and the copy */
}

/* What changes between two norms has statistics of its own. */
static void test_weighted_norms_of_what_changes(void **state)
{
    fixture *f = *state;
    zm_tensor other = f->t[BIAS], x = head(f, f->t[X], 2);
    other.shape[0] = D;
    zm_tensor one = head(f, weighted(f, zm_graph_rms_norm, x, f->t[ONES]), 0);
    put_softmax(f, x, x);
    put_add(f, one, head(f, weighted(f, zm_graph_rms_norm, x, other), 1), f->t[Y]);
    /* Some of the rows are another tensor. */
    zm_tensor y = head(f, f->t[X2], 0);
    zm_norm_params p = {.x = zm_graph_rows(f->graph, y, 0, 1),
                        .weight = other,
                        .dst = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, D}),
                        .eps = EPS};
    zm_graph_rms_norm(f->graph, &p);
    zm_matmul_params first = product(f, p.dst, 1);
    first.dst = zm_graph_rows(f->graph, f->t[Y2], 0, 1);
    put_copy(f, head(f, weighted(f, zm_graph_rms_norm, y, f->t[ONES]), 2), f->t[Y2]);
    zm_graph_matmul(f->graph, &first);
    expect(f, ZM_PASS_DEFERRED_NORM, 4);
    expect(f, ZM_PASS_SHARED_STATISTIC, 0);
}

/* All rows would be weighted for the sake of one. */
static void test_weighted_norm_of_rows(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 0);
    zm_norm_params p = {.x = zm_graph_rows(f->graph, x, 0, 1),
                        .weight = f->t[ONES],
                        .dst = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, D}),
                        .eps = EPS};
    zm_graph_rms_norm(f->graph, &p);
    zm_matmul_params last = product(f, p.dst, 1);
    last.dst = zm_graph_rows(f->graph, f->t[Y], 0, 1);
    zm_graph_matmul(f->graph, &last);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* A product's bias and the norm's weight share a type. */
static void test_weight_of_another_type(void **state)
{
    fixture *f = *state;
    zm_tensor half = zm_graph_tensor(f->graph, NULL, ZM_F16, 1, (zm_size[]){D});
    zm_matmul_params writer = product(f, f->t[X], 0);
    put_copy(f, f->t[ONES], half);
    writer.bias = f->t[BIAS];
    writer.bias.shape[0] = D;
    zm_graph_matmul(f->graph, &writer);
    put_copy(f, head(f, weighted(f, zm_graph_rms_norm, writer.dst, half), 1), f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
    writer.bias = (zm_tensor){0};
    writer.dst = inner(f);
    zm_graph_matmul(f->graph, &writer);
    put_copy(f, head(f, weighted(f, zm_graph_rms_norm, writer.dst, half), 1), f->t[Y2]);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

/* A product has what is weighted together with statistics only. */
static void test_weights_of_two_types(void **state)
{
    fixture *f = *state;
    zm_tensor half = zm_graph_tensor(f->graph, NULL, ZM_F16, 1, (zm_size[]){D});
    zm_matmul_params writer = product(f, f->t[X], 0);
    put_copy(f, f->t[ONES], half);
    writer.bias = f->t[BIAS];
    writer.bias.shape[0] = D;
    zm_graph_matmul(f->graph, &writer);
    zm_tensor one = weighted(f, zm_graph_rms_norm, writer.dst, half);
    zm_tensor other = weighted(f, zm_graph_rms_norm, writer.dst, f->t[ONES]);
    put_add(f, head(f, one, 1), head(f, other, 2), f->t[Y]);
    expect(f, ZM_PASS_SHARED_STATISTIC, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* The weight is written after the product, or by it for all that is known. */
static void test_weight_that_changes(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 0);
    zm_tensor weight = zm_graph_tensor(f->graph, NULL, ZM_F32, 1, (zm_size[]){D});
    put_copy(f, f->t[ONES], weight);
    put_copy(f, f->t[ONES], weight); /* so that it is no view */
    put_copy(f, head(f, weighted(f, zm_graph_rms_norm, x, weight), 1), f->t[Y]);
    zm_matmul_params writer = product(f, f->t[X], 0);
    writer.dst = f->t[Y2];
    zm_graph_matmul(f->graph, &writer);
    put_add(f, head(f, weighted(f, zm_graph_rms_norm, f->t[Y2], f->t[ONES]), 1), f->t[X], f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 2);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* What is weighted goes to memory that others use before. */
static void test_weighted_elsewhere(void **state)
{
    fixture *f = *state;
    const uint32_t groups = (D - 1) / zm_statistics_group(f->device) + 1;
    zm_tensor x = head(f, f->t[X], 0), before = inner(f);
    zm_row_statistics_params p = {.x = x, .weight = f->t[ONES], .weighted = f->t[Y2]};
    p.statistics = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){f->rows, 2 * groups});
    put_copy(f, f->t[Y2], before);
    zm_graph_row_statistics(f->graph, &p);
    zm_matmul_params reader = product(f, f->t[Y2], 1);
    reader.scale = (zm_row_scale){.kind = ZM_ROW_SCALE_RMS, .statistics = p.statistics};
    zm_graph_matmul(f->graph, &reader);
    put_add(f, reader.dst, before, f->t[Y]);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* What is weighted is made where the norm was: writing the weight later does no harm. */
static void test_weighted_norm_of_written_weight(void **state)
{
    fixture *f = *state;
    zm_tensor weight = zm_graph_tensor(f->graph, NULL, ZM_F32, 1, (zm_size[]){D});
    put_copy(f, f->t[ONES], weight);
    zm_tensor x = head(f, f->t[X], 0), norm = weighted(f, zm_graph_rms_norm, x, weight);
    zm_tensor other = f->t[BIAS];
    other.shape[0] = D;
    put_copy(f, other, weight);
    put_copy(f, head(f, norm, 1), f->t[Y]);
    expect(f, ZM_PASS_DEFERRED_NORM, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

/* ---- statistics ---- */

static void test_shared_statistic(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, head(f, f->t[X], 0), f->t[X]);
    zm_norm_params p = norm_of(f, x), q = norm_of(f, x);
    q.eps = 30 * EPS;
    zm_graph_rms_norm(f->graph, &p);
    zm_graph_rms_norm(f->graph, &q);
    put_add(f, head(f, p.dst, 1), head(f, q.dst, 2), f->t[Y]);
    expect(f, ZM_PASS_SHARED_STATISTIC, 1);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
    assert_int_equal(operations(f), 3);
}

static void test_no_shared_statistic(void **state)
{
    fixture *f = *state;
    zm_tensor x = head(f, f->t[X], 2), one = head(f, rms(f, x), 0);
    put_softmax(f, x, x);
    put_add(f, one, head(f, rms(f, x), 1), f->t[Y]);
    expect(f, ZM_PASS_SHARED_STATISTIC, 0);
    expect(f, ZM_PASS_WRITER_STATISTIC, 1);
}

/* A product has room for the statistics of one norm. */
static void test_statistics_not_shared(void **state)
{
    fixture *f = *state;
    const zm_compile_params unshared = {.off = {[ZM_PASS_SHARED_STATISTIC] = true}};
    zm_tensor x = head(f, f->t[X], 2), one = rms(f, x), other = rms(f, x);
    put_add(f, head(f, one, 0), head(f, other, 1), f->t[Y]);
    expect_with(f, &unshared, ZM_PASS_DEFERRED_NORM, 2);
    expect_with(f, &unshared, ZM_PASS_WRITER_STATISTIC, 1);
}

/* A product gives statistics of whole rows. */
static void test_statistic_of_columns(void **state)
{
    fixture *f = *state;
    zm_tensor rows = zm_graph_rows(f->graph, head(f, f->t[X], 2), 0, 1);
    const uint32_t cols =
        2 * ((D / 2 + zm_statistics_group(f->device) - 1) / zm_statistics_group(f->device));
    zm_tensor statistics = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){1, cols});
    zm_graph_row_statistics(
        f->graph,
        &(zm_row_statistics_params){.x = zm_tensor_cols(rows, 0, D / 2), .statistics = statistics});
    put_copy(f, statistics, zm_tensor_cols(zm_graph_rows(f->graph, f->t[Y], 0, 1), 0, cols));
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

/* What no product writes, or what is changed afterwards. */
static void test_statistic_of_its_own(void **state)
{
    fixture *f = *state;
    zm_tensor x = inner(f), y = head(f, f->t[X], 0);
    put_softmax(f, f->t[X2], x);
    put_copy(f, head(f, rms(f, x), 1), f->t[Y]);
    put_softmax(f, y, y);
    put_copy(f, head(f, rms(f, y), 2), f->t[Y2]);
    expect(f, ZM_PASS_DEFERRED_NORM, 2);
    expect(f, ZM_PASS_WRITER_STATISTIC, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_residual_norm),
        TEST(test_no_residual_norm),
        TEST(test_no_residual_norm_before_weight),
        TEST(test_deferred_norm),
        TEST(test_deferred_crms_norm),
        TEST(test_deferred_layer_norm),
        TEST(test_deferred_norm_of_rows),
        TEST(test_norm_with_bias_stays),
        TEST(test_weighted_norm),
        TEST(test_weighted_norm_in_place),
        TEST(test_weighted_norm_of_f16_stays),
        TEST(test_weighted_layer_norm),
        TEST(test_one_weight_behind_two_norms),
        TEST(test_merged_column_sums),
        TEST(test_unfit_column_sums),
        TEST(test_weighted_norms_of_one_tensor),
        TEST(test_weighted_norm_behind_another),
        TEST(test_weighted_norms_of_what_changes),
        TEST(test_weighted_norm_of_rows),
        TEST(test_weight_of_another_type),
        TEST(test_weights_of_two_types),
        TEST(test_weight_that_changes),
        TEST(test_weighted_norm_of_written_weight),
        TEST(test_weighted_elsewhere),
        TEST(test_norm_with_other_readers_stays),
        TEST(test_norm_of_what_changes_stays),
        TEST(test_norm_of_what_is_written_stays),
        TEST(test_shared_statistic),
        TEST(test_statistics_not_shared),
        TEST(test_statistic_of_columns),
        TEST(test_no_shared_statistic),
        TEST(test_statistic_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
