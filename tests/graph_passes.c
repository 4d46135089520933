/* SPDX-License-Identifier: Apache-2.0 */
/* Where passes fire that are about any operations, and where they must not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/device.h"
#include "passes_lab.h"

/* ---- dead code ---- */

static void test_dead_code(void **state)
{
    fixture *f = *state;
    zm_tensor unread = add(f, f->t[X], f->t[X2]);
    add(f, unread, unread);
    put_add(f, f->t[X], f->t[X2], f->t[Y]);
    expect(f, ZM_PASS_DEAD_CODE, 2);
    assert_int_equal(operations(f), 1);
    zm_graph_observe(f->graph, "read", 0, unread);
    expect(f, ZM_PASS_DEAD_CODE, 1);
}

/* Nothing reads the first half after the second one has been written, but it belongs to what is
 * read. */
static void test_halves_are_not_dead(void **state)
{
    fixture *f = *state;
    zm_tensor t = inner(f);
    put_copy(f, zm_tensor_cols(f->t[X], 0, D / 2), zm_tensor_cols(t, 0, D / 2));
    put_copy(f, zm_tensor_cols(f->t[X2], 0, D / 2), zm_tensor_cols(t, D / 2, D / 2));
    put_add(f, t, f->t[X], f->t[Y]);
    expect(f, ZM_PASS_DEAD_CODE, 0);
}

/* ---- views ---- */

static void test_view(void **state)
{
    fixture *f = *state;
    zm_tensor copy = inner(f),
              half = zm_graph_tensor(f->graph, "half", ZM_F32, 2, (zm_size[]){f->rows, D / 2});
    put_copy(f, rms(f, f->t[X]), copy);
    put_copy(f, zm_tensor_cols(copy, D / 2, D / 2), half);
    zm_tensor last = zm_graph_rows(f->graph, half, zm_graph_difference(f->graph, f->rows, 1), 1);
    put_softmax(f, half, zm_tensor_cols(f->t[Y], 0, D / 2));
    put_softmax(f, last, zm_graph_rows(f->graph, zm_tensor_cols(f->t[Y2], 3, D / 2), 0, 1));
    expect(f, ZM_PASS_VIEW, 2);
    assert_int_equal(operations(f), 3);
}

static void test_no_view_of_what_changes(void **state)
{
    fixture *f = *state;
    zm_tensor t = add(f, f->t[X], f->t[X2]), copy = inner(f);
    put_copy(f, t, copy);
    put_add(f, t, f->t[X], t);
    put_add(f, copy, t, f->t[Y]);
    expect(f, ZM_PASS_VIEW, 0);
}

/* y2 may be bound to the memory of x. */
static void test_no_view_of_what_may_change(void **state)
{
    fixture *f = *state;
    zm_tensor copy = inner(f);
    put_copy(f, f->t[X], copy);
    put_add(f, f->t[X2], f->t[X2], f->t[Y2]);
    put_add(f, copy, f->t[X2], f->t[Y]);
    expect(f, ZM_PASS_VIEW, 0);
}

static void test_no_view_of_another_type(void **state)
{
    fixture *f = *state;
    zm_tensor half = zm_graph_tensor(f->graph, NULL, ZM_F16, 2, (zm_size[]){f->rows, D});
    put_copy(f, f->t[X], half);
    put_copy(f, half, f->t[Y]);
    expect(f, ZM_PASS_VIEW, 0);
}

static void test_no_view_of_a_transpose(void **state)
{
    fixture *f = *state;
    zm_tensor w = zm_tensor_rows(f->t[W], 0, D),
              turned = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){D, D});
    w.stride[0] = 1;
    w.stride[1] = D;
    put_copy(f, w, turned);
    zm_graph_matmul(f->graph, &(zm_matmul_params){.x = f->t[X], .weight = turned, .dst = f->t[Y]});
    expect(f, ZM_PASS_VIEW, 0);
}

/* ---- merged products ---- */

static void test_merge(void **state)
{
    fixture *f = *state;
    zm_tensor q = head(f, f->t[X], 0), k = head(f, f->t[X], 1), v = head(f, f->t[X], 2);
    put_add(f, q, k, f->t[Y]);
    put_add(f, zm_graph_rows(f->graph, v, 0, 1), zm_graph_rows(f->graph, q, 0, 1),
            zm_graph_rows(f->graph, f->t[Y2], 0, 1));
    expect(f, ZM_PASS_MERGE, 2);
    assert_int_equal(operations(f), 3);
}

/* As many as there is a buffer for. */
static void test_merge_within_limits(void **state)
{
    fixture *f = *state;
    zm_tensor q = head(f, f->t[X], 0), k = head(f, f->t[X], 1), v = head(f, f->t[X], 2);
    put_add(f, q, k, f->t[Y]);
    put_add(f, v, q, f->t[Y2]);
    f->device->info.limits.max_buffer_bytes = ROWS * 2 * D * sizeof(float);
    expect(f, ZM_PASS_MERGE, 1);
    f->device->info.limits.max_buffer_bytes--;
    expect(f, ZM_PASS_MERGE, 0);
}

static void put_heads(fixture *f, zm_matmul_params a, zm_matmul_params b)
{
    zm_graph_matmul(f->graph, &a);
    zm_graph_matmul(f->graph, &b);
    put_softmax(f, a.dst, f->t[Y]);
    put_softmax(f, b.dst, f->t[Y2]);
}

static void test_merge_with_biases(void **state)
{
    fixture *f = *state;
    zm_matmul_params a = product(f, f->t[X], 0), b = product(f, f->t[X], 1);
    a.bias = f->t[BIAS];
    a.bias.shape[0] = b.bias.shape[0] = D;
    b.bias = a.bias;
    b.bias.offset = D;
    put_heads(f, a, b);
    expect(f, ZM_PASS_MERGE, 1);
}

static void test_no_merge(void **state)
{
    fixture *f = *state;
    zm_matmul_params a = product(f, f->t[X], 0), b = product(f, f->t[X], 1), c;
    a.bias = f->t[BIAS];
    a.bias.shape[0] = D;
    put_heads(f, a, b); /* one has a bias */
    b = product(f, f->t[X], 1);
    b.bias = a.bias;
    a.dst = inner(f);
    put_heads(f, a, b);                                           /* the same bias */
    put_heads(f, product(f, f->t[X], 0), product(f, f->t[X], 2)); /* another one in between */
    put_heads(f, product(f, f->t[X], 1), product(f, f->t[X], 0)); /* the other way round */
    put_heads(f, product(f, f->t[X], 0), product(f, f->t[X2], 1));
    c = product(f, f->t[X], 1);
    c.activation = ZM_ACTIVATION_RELU;
    put_heads(f, product(f, f->t[X], 0), c);
    c = product(f, f->t[X], 1);
    c.residual = f->t[X2];
    put_heads(f, product(f, f->t[X], 0), c);
    c = product(f, f->t[X], 1);
    c.factor = f->t[X2];
    put_heads(f, product(f, f->t[X], 0), c);
    expect(f, ZM_PASS_MERGE, 0);
}

static void test_no_merge_of_changed_input(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, f->t[X], f->t[X2]), a = head(f, x, 0);
    put_add(f, x, x, x);
    put_add(f, a, head(f, x, 1), f->t[Y]);
    expect(f, ZM_PASS_MERGE, 0);
}

/* An observer reads its tensor as it lies there. */
static void test_no_merge_of_observed(void **state)
{
    fixture *f = *state;
    zm_tensor a = head(f, f->t[X], 0);
    put_add(f, a, head(f, f->t[X], 1), f->t[Y]);
    zm_graph_observe(f->graph, "head", 0, a);
    expect(f, ZM_PASS_MERGE, 0);
}

static void test_names(void **state)
{
    (void)state;
    for (int i = 0; i < ZM_PASS_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(zm_pass_name((zm_pass)i), zm_pass_name((zm_pass)j));
    assert_null(zm_pass_name(ZM_PASS_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dead_code),
        TEST(test_halves_are_not_dead),
        TEST(test_view),
        TEST(test_no_view_of_what_changes),
        TEST(test_no_view_of_what_may_change),
        TEST(test_no_view_of_another_type),
        TEST(test_no_view_of_a_transpose),
        TEST(test_merge),
        TEST(test_merge_within_limits),
        TEST(test_merge_with_biases),
        TEST(test_no_merge),
        TEST(test_no_merge_of_changed_input),
        TEST(test_no_merge_of_observed),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
