/* SPDX-License-Identifier: Apache-2.0 */
/* Where what happens to the output of a matmul becomes part of its epilogue, and where it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <zeromean/block.h>

#include "passes_lab.h"

/* ---- sums ---- */

static void test_epilogue(void **state)
{
    fixture *f = *state;
    zm_tensor sum = add(f, head(f, f->t[X], 0), f->t[X]);
    put_add(f, f->t[X2], head(f, sum, 1), f->t[Y]);
    expect(f, ZM_PASS_EPILOGUE, 2);
    assert_int_equal(operations(f), 2);
}

/* What the product is added to may be made after it. */
static void test_epilogue_of_late_residual(void **state)
{
    fixture *f = *state;
    zm_tensor branch = head(f, f->t[X], 0), late = inner(f);
    put_softmax(f, f->t[X2], late);
    put_add(f, late, branch, late);
    put_copy(f, late, f->t[Y]);
    expect(f, ZM_PASS_EPILOGUE, 1);
}

/* The sum is where the product was. */
static void test_epilogue_in_place(void **state)
{
    fixture *f = *state;
    zm_tensor branch = head(f, f->t[X], 0);
    put_add(f, f->t[X2], branch, branch);
    put_copy(f, branch, f->t[Y]);
    put_softmax(f, branch, f->t[Y2]);
    expect(f, ZM_PASS_EPILOGUE, 1);
}

static void test_no_epilogue_of_double(void **state)
{
    fixture *f = *state;
    zm_tensor branch = head(f, f->t[X], 0);
    put_add(f, branch, branch, branch);
    put_copy(f, branch, f->t[Y]);
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    p.dst = f->t[Y2];
    zm_graph_matmul(f->graph, &p);
    put_add(f, f->t[Y2], f->t[X2], f->t[Y2]); /* x2 may be bound as y2 is */
    expect(f, ZM_PASS_EPILOGUE, 0);
}

static void test_no_epilogue(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), shared = head(f, x, 0), sum = inner(f);
    put_add(f, shared, x, sum); /* which is read once more */
    put_add(f, shared, sum, f->t[Y]);
    zm_matmul_params p = product(f, x, 0);
    p.residual = f->t[X2];
    zm_graph_matmul(f->graph, &p); /* has one already */
    put_add(f, p.dst, x, f->t[Y2]);
    zm_tensor weight = zm_graph_tensor(f->graph, "weight", ZM_F32, 2, (zm_size[]){D, D});
    put_add(f, zm_tensor_rows(f->t[W], 0, D), zm_tensor_rows(f->t[W], 0, D), weight);
    zm_graph_matmul(f->graph, /* others may want it */
                    &(zm_matmul_params){.x = x, .weight = weight, .dst = f->t[Y2]});
    put_add(f, f->t[Y2], x, f->t[Y]);
    zm_tensor half = head(f, x, 1); /* of half of it only */
    put_add(f, zm_tensor_cols(half, 0, D / 2), zm_tensor_cols(x, 0, D / 2),
            zm_tensor_cols(f->t[Y], 0, D / 2));
    expect(f, ZM_PASS_EPILOGUE, 0);
}

static void test_no_epilogue_of_changed_input(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, f->t[X], f->t[X2]), branch = head(f, x, 0);
    put_add(f, x, x, x);
    put_add(f, branch, x, f->t[Y]);
    expect(f, ZM_PASS_EPILOGUE, 0);
}

/* A product can't write where it reads. */
static void test_no_epilogue_onto_input(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, f->t[X], f->t[X2]);
    put_add(f, head(f, x, 0), x, x);
    put_copy(f, x, f->t[Y]);
    put_add(f, head(f, f->t[X], 1), f->t[X2], f->t[Y2]); /* y2 may be bound as x is */
    expect(f, ZM_PASS_EPILOGUE, 0);
}

/* Y may be bound as the bias is, but no weight as an output is. */
static void test_no_epilogue_onto_bias(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        zm_matmul_params p = product(f, add(f, f->t[X], f->t[X]), 0);
        p.bias = f->t[BIAS];
        p.bias.shape[0] = D;
        zm_graph_matmul(f->graph, &p);
        if (i)
            put_add(f, p.dst, f->t[X2], f->t[Y]);
        else
            zm_graph_activate(f->graph, &(zm_activate_params){.x = p.dst,
                                                              .dst = f->t[Y2],
                                                              .activation = ZM_ACTIVATION_SILU});
    }
    expect(f, ZM_PASS_EPILOGUE, 0);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* ---- activations ---- */

static zm_tensor bias(fixture *f, uint32_t i)
{
    zm_tensor part = f->t[BIAS];
    part.shape[0] = D;
    part.offset = i * D;
    return part;
}

/* GELU of a tensor, in one of its own. */
static zm_activate_params gelu(fixture *f, zm_tensor x)
{
    return (zm_activate_params){.x = x, .dst = inner(f), .activation = ZM_ACTIVATION_GELU};
}

static zm_tensor put_activate(fixture *f, zm_activate_params p)
{
    zm_graph_activate(f->graph, &p);
    return p.dst;
}

/* Up, bias and activation, down, bias, sum. */
static void test_activation(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]);
    zm_activate_params up = gelu(f, head(f, x, 0));
    up.bias = bias(f, 0);
    zm_activate_params down = gelu(f, head(f, put_activate(f, up), 1));
    down.bias = bias(f, 1);
    down.activation = ZM_ACTIVATION_NONE;
    zm_tensor sum = add(f, f->t[X2], put_activate(f, down));
    put_softmax(f, sum, f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 2);
    expect(f, ZM_PASS_EPILOGUE, 1);
    assert_int_equal(operations(f), 4);
}

/* One after the other, each in place: also where that is an output, which may not be moved. */
static void test_activation_in_place(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 2; i++) {
        zm_matmul_params p = product(f, f->t[X], 0);
        if (i)
            p.dst = f->t[Y];
        zm_graph_matmul(f->graph, &p);
        put_activate(f, (zm_activate_params){.x = p.dst, .bias = bias(f, 1), .dst = p.dst});
        put_activate(
            f, (zm_activate_params){.x = p.dst, .dst = p.dst, .activation = ZM_ACTIVATION_SILU});
        put_add(f, p.dst, f->t[X2], f->t[Y2]);
    }
    expect(f, ZM_PASS_ACTIVATION, 4);
}

/* What is in the epilogue already comes before what is added to it. */
static void test_activation_of_half_done(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    p.bias = bias(f, 0);
    zm_graph_matmul(f->graph, &p);
    zm_tensor t = put_activate(f, gelu(f, p.dst));
    zm_activate_params move = gelu(f, t); /* nothing but another place */
    move.activation = ZM_ACTIVATION_NONE;
    put_softmax(f, put_activate(f, move), f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 2);
    assert_int_equal(operations(f), 3);
}

/* The bias may be made after the product. */
static void test_activation_with_late_bias(void **state)
{
    fixture *f = *state;
    zm_activate_params p = gelu(f, head(f, rms(f, f->t[X]), 0));
    p.bias = zm_graph_tensor(f->graph, "late", ZM_F32, 1, (zm_size[]){D});
    put_copy(f, f->t[ONES], p.bias);
    put_copy(f, bias(f, 1), p.bias);
    p.dst = f->t[Y];
    put_activate(f, p);
    expect(f, ZM_PASS_ACTIVATION, 1);
}

/* Queries, keys and values that get their biases so are merged as well. */
static void test_activations_before_merge(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), t[HEADS];
    for (uint32_t i = 0; i < HEADS; i++) {
        t[i] = head(f, x, i);
        put_activate(f, (zm_activate_params){.x = t[i], .bias = bias(f, i), .dst = t[i]});
    }
    put_add(f, t[0], t[1], f->t[Y]);
    put_softmax(f, t[2], f->t[Y2]);
    expect(f, ZM_PASS_ACTIVATION, 3);
    expect(f, ZM_PASS_MERGE, 2);
    assert_int_equal(operations(f), 4);
}

/* What the epilogue would do in another order, or twice. */
static void test_no_activation(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]);
    zm_matmul_params p = product(f, x, 0);
    p.bias = bias(f, 0);
    zm_graph_matmul(f->graph, &p);
    zm_activate_params a = gelu(f, p.dst);
    a.bias = bias(f, 1);
    put_copy(f, put_activate(f, a), f->t[Y]); /* two biases */
    for (int i = 0; i < 2; i++) {
        p = product(f, x, 0);
        p.activation = ZM_ACTIVATION_RELU;
        zm_graph_matmul(f->graph, &p);
        a = gelu(f, p.dst);
        if (i) {
            a.activation = ZM_ACTIVATION_NONE;
            a.bias = bias(f, 1);
        }
        put_copy(f, put_activate(f, a), f->t[Y2]); /* after an activation */
    }
    p = product(f, x, 0);
    p.residual = f->t[X2];
    zm_graph_matmul(f->graph, &p);
    put_add(f, put_activate(f, gelu(f, p.dst)), f->t[Y2], f->t[Y2]); /* after a sum */
    expect(f, ZM_PASS_ACTIVATION, 0);
}

static void test_no_activation_of_gated(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    p.weight = zm_tensor_rows(f->t[W], 0, 2 * D);
    p.gated = true;
    zm_graph_matmul(f->graph, &p);
    put_copy(f, put_activate(f, gelu(f, p.dst)), f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* Statistics are of what the product alone wrote. */
static void test_no_activation_after_statistics(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    uint32_t columns = 2 * ((D - 1) / zm_statistics_group(f->device) + 1);
    p.statistics =
        zm_graph_tensor(f->graph, "statistics", ZM_F32, 2, (zm_size[]){f->rows, columns});
    zm_graph_matmul(f->graph, &p);
    put_activate(f,
                 (zm_activate_params){.x = p.dst, .dst = p.dst, .activation = ZM_ACTIVATION_RELU});
    zm_matmul_params next = product(f, p.dst, 1);
    next.scale = (zm_row_scale){ZM_ROW_SCALE_RMS, .statistics = p.statistics, .eps = EPS};
    next.dst = f->t[Y];
    zm_graph_matmul(f->graph, &next);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* Somebody else reads what the product is before. */
static void test_no_activation_of_shared(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), t = head(f, x, 0);
    put_copy(f, put_activate(f, gelu(f, t)), f->t[Y]);
    put_add(f, t, x, f->t[Y2]); /* afterwards */
    t = head(f, x, 1);
    put_softmax(f, t, f->t[Y]); /* in between */
    put_activate(f, (zm_activate_params){.x = t, .dst = t, .activation = ZM_ACTIVATION_RELU});
    put_add(f, t, f->t[Y], f->t[Y]);
    t = head(f, x, 2);
    zm_graph_observe(f->graph, "product", 0, t);
    put_activate(f, (zm_activate_params){.x = t, .dst = t, .activation = ZM_ACTIVATION_RELU});
    put_add(f, t, f->t[Y2], f->t[Y2]);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* A view of some columns, or some rows. */
static void test_no_activation_of_part(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), t = head(f, x, 0), half = zm_tensor_cols(t, D / 2, D / 2);
    zm_activate_params p = {.x = half, .dst = half, .activation = ZM_ACTIVATION_RELU};
    put_activate(f, p);
    p.x = zm_graph_rows(f->graph, t, 0, 1);
    p.dst = zm_graph_rows(f->graph, f->t[Y2], 0, 1);
    put_activate(f, p);
    put_add(f, t, x, f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

static void test_no_activation_of_changed_input(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, f->t[X], f->t[X2]), t = head(f, x, 0);
    put_softmax(f, x, x);
    put_add(f, put_activate(f, gelu(f, t)), x, f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

static void test_no_activation_onto_input(void **state)
{
    fixture *f = *state;
    zm_tensor x = add(f, f->t[X], f->t[X2]);
    zm_activate_params p = gelu(f, head(f, x, 0));
    p.dst = x;
    put_copy(f, put_activate(f, p), f->t[Y]);
    p = gelu(f, head(f, f->t[X], 1));
    p.dst = f->t[Y2]; /* which may be bound as x is */
    put_activate(f, p);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* ---- factors ---- */

/* The two products of one input whose weights are adjacent, and activation(gate) * up; where: 0 =
 * in a tensor of its own, 1 = in the place of the gate, 2 = in that of up. */
static zm_tensor gated(fixture *f, zm_tensor x, bool gate_first, int where)
{
    zm_tensor first = head(f, x, 0), second = head(f, x, 1);
    zm_tensor gate = gate_first ? first : second, up = gate_first ? second : first;
    zm_activate_params p = gelu(f, gate);
    p.y = up;
    p.dst = where == 0 ? p.dst : where == 1 ? gate : up;
    return put_activate(f, p);
}

/* Two launches, and as many without merging. */
static void test_factor(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]);
    for (int i = 0; i < 6; i++) {
        zm_tensor t = gated(f, x, i % 2, i / 2);
        put_add(f, x, head(f, t, 2), f->t[i % 2 ? Y : Y2]);
    }
    expect(f, ZM_PASS_ACTIVATION, 6);
    expect(f, ZM_PASS_MERGE, 0);
    expect(f, ZM_PASS_EPILOGUE, 6);
}

static void test_factor_counts(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]);
    put_add(f, x, head(f, gated(f, x, true, 0), 2), f->t[Y]);
    assert_int_equal(operations(f), 4); /* the norm, up, gate, down */
}

/* It may be made after the product, be read by others, be some columns, or come from outside. */
static void test_factor_from_anywhere(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), late = inner(f);
    zm_tensor wide = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){f->rows, 2 * D});
    for (int i = 0; i < 3; i++) {
        zm_activate_params p = gelu(f, head(f, x, 0));
        put_softmax(f, i ? f->t[X2] : x, late);
        for (uint32_t half = 0; half < 2; half++)
            put_copy(f, i ? late : f->t[X2], zm_tensor_cols(wide, half * D, D));
        p.y = i == 0 ? late : i == 1 ? zm_tensor_cols(wide, D, D) : f->t[X2];
        put_add(f, put_activate(f, p), p.y, f->t[i ? Y : Y2]);
    }
    expect(f, ZM_PASS_ACTIVATION, 3);
}

/* Where the product wrote some columns, the activation may stay there. */
static void test_factor_of_columns(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]);
    zm_tensor wide = zm_graph_tensor(f->graph, NULL, ZM_F32, 2, (zm_size[]){f->rows, 2 * D});
    for (uint32_t i = 0; i < 2; i++) {
        zm_matmul_params p = product(f, x, i);
        p.dst = zm_tensor_cols(wide, i * D, D);
        zm_graph_matmul(f->graph, &p);
        zm_activate_params a = gelu(f, p.dst);
        a.y = f->t[X2];
        a.dst = i ? f->t[Y2] : p.dst; /* elsewhere: others may want the columns */
        put_activate(f, a);
    }
    put_softmax(f, zm_tensor_cols(wide, 0, D), f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 1);
}

/* Of a plain product of two tensors. */
static void test_factor_either_way(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), other = inner(f);
    put_softmax(f, x, other);
    put_activate(f, (zm_activate_params){.x = head(f, x, 0), .y = other, .dst = f->t[Y]});
    zm_activate_params p = {.x = other, .y = head(f, x, 2), .dst = f->t[Y2]};
    put_activate(f, p);
    expect(f, ZM_PASS_ACTIVATION, 2);
    p.activation = ZM_ACTIVATION_RELU; /* of the other one */
    p.y = head(f, x, 1);
    put_activate(f, p);
    p.activation = ZM_ACTIVATION_NONE;
    p.bias = bias(f, 0); /* the same */
    p.y = head(f, x, 1);
    p.dst = f->t[Y];
    put_activate(f, p);
    expect(f, ZM_PASS_ACTIVATION, 2);
}

/* The product times itself, which would be nowhere; y may be bound as x2 is. */
static void test_no_factor_of_itself(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    zm_graph_matmul(f->graph, &p);
    put_activate(f, (zm_activate_params){.x = p.dst, .y = p.dst, .dst = f->t[Y]});
    zm_graph_matmul(f->graph, &p);
    put_activate(f, (zm_activate_params){.x = p.dst, .y = p.dst, .dst = p.dst});
    put_copy(f, p.dst, f->t[Y2]);
    p.dst = f->t[Y];
    zm_graph_matmul(f->graph, &p);
    put_activate(f, (zm_activate_params){.x = f->t[Y], .y = f->t[X2], .dst = f->t[Y]});
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* Nothing comes after a factor, and none after a sum. */
static void test_nothing_after_factor(void **state)
{
    fixture *f = *state;
    zm_tensor x = rms(f, f->t[X]), t = gated(f, x, true, 0);
    put_add(f, put_activate(f, gelu(f, t)), x, f->t[Y]);
    put_add(f, gated(f, x, false, 0), x, f->t[Y2]);
    zm_matmul_params product_by = product(f, x, 0);
    product_by.factor = f->t[X2];
    zm_graph_matmul(f->graph, &product_by);
    zm_activate_params again = gelu(f, product_by.dst);
    again.activation = ZM_ACTIVATION_NONE;
    again.y = x;
    put_add(f, put_activate(f, again), f->t[Y2], f->t[Y2]);
    zm_activate_params p = gelu(f, add(f, head(f, x, 2), x));
    p.activation = ZM_ACTIVATION_NONE;
    p.y = f->t[X2];
    put_add(f, put_activate(f, p), f->t[Y2], f->t[Y2]);
    expect(f, ZM_PASS_ACTIVATION, 2);
    expect(f, ZM_PASS_EPILOGUE, 1);
}

static void test_no_activation_onto_weight(void **state)
{
    fixture *f = *state;
    zm_matmul_params p = product(f, rms(f, f->t[X]), 0);
    zm_tensor weight = zm_graph_tensor(f->graph, "weight", ZM_F32, 2, (zm_size[]){D, D});
    put_copy(f, p.weight, weight);
    put_copy(f, zm_tensor_rows(f->t[W], D, D), weight); /* so that it is none of a view */
    p.weight = weight;
    zm_graph_matmul(f->graph, &p);
    zm_activate_params a = gelu(f, p.dst);
    a.dst = zm_graph_rows(f->graph, weight, 0, f->rows);
    put_copy(f, put_activate(f, a), f->t[Y]);
    expect(f, ZM_PASS_ACTIVATION, 0);
}

/* An application's own block against ours: one is y, the other one y2. */
static void test_own_block(void **state)
{
    fixture *f = *state;
    const zm_linear up = {.weight = zm_tensor_rows(f->t[W], 0, D), .bias = bias(f, 0)};
    const zm_linear down = {.weight = zm_tensor_rows(f->t[W], D, D), .bias = bias(f, 1)};
    const zm_block block = {.norm = ZM_BLOCK_RMS_NORM,
                            .eps = EPS,
                            .mlp = {.norm = {.weight = f->t[ONES]},
                                    .up = up,
                                    .down = down,
                                    .activation = ZM_ACTIVATION_GELU}};
    put_copy(f, zm_graph_block(f->graph, &block, f->t[X]), f->t[Y]);
    uint32_t ours = operations(f);
    zm_norm_params norm = norm_of(f, f->t[X]);
    norm.weight = f->t[ONES];
    zm_graph_rms_norm(f->graph, &norm);
    zm_activate_params p = gelu(f, head(f, norm.dst, 0));
    p.bias = bias(f, 0);
    p = gelu(f, head(f, put_activate(f, p), 1));
    p.bias = bias(f, 1);
    p.activation = ZM_ACTIVATION_NONE;
    put_copy(f, add(f, f->t[X], put_activate(f, p)), f->t[Y2]);
    assert_int_equal(operations(f), 2 * ours);
    expect(f, ZM_PASS_ACTIVATION, 2);
    expect_same(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_epilogue),
        TEST(test_epilogue_of_late_residual),
        TEST(test_epilogue_in_place),
        TEST(test_no_epilogue_of_double),
        TEST(test_no_epilogue),
        TEST(test_no_epilogue_of_changed_input),
        TEST(test_no_epilogue_onto_input),
        TEST(test_no_epilogue_onto_bias),
        TEST(test_activation),
        TEST(test_activation_in_place),
        TEST(test_activation_of_half_done),
        TEST(test_activation_with_late_bias),
        TEST(test_activations_before_merge),
        TEST(test_no_activation),
        TEST(test_no_activation_of_gated),
        TEST(test_no_activation_after_statistics),
        TEST(test_no_activation_of_shared),
        TEST(test_no_activation_of_part),
        TEST(test_no_activation_of_changed_input),
        TEST(test_no_activation_onto_input),
        TEST(test_factor),
        TEST(test_factor_counts),
        TEST(test_factor_from_anywhere),
        TEST(test_factor_of_columns),
        TEST(test_factor_either_way),
        TEST(test_no_factor_of_itself),
        TEST(test_nothing_after_factor),
        TEST(test_no_activation_onto_weight),
        TEST(test_own_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
