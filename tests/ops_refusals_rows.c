/* SPDX-License-Identifier: Apache-2.0 */
/* What the ops on rows and elements must refuse. */
#include "refusal.h"

/* ---- norms ---- */

static zm_norm_params good_norm(void)
{
    zm_norm_params p = {.x = with_stride(matrix(0, 3, 8), 10),
                        .residual = matrix(1, 3, 8),
                        .weight = vector(2, 8),
                        .bias = vector(3, 8),
                        .dst = matrix(4, 3, 8),
                        .sum = matrix(5, 3, 8),
                        .eps = 1e-5f};
    return p;
}
#define good_layer_norm good_norm
#define zm_layer_norm_params zm_norm_params
#define good_rms_norm good_norm
#define zm_rms_norm_params zm_norm_params
#define good_crms_norm good_norm
#define zm_crms_norm_params zm_norm_params

#define REFUSE_NORMS(change)             \
    do {                                 \
        REFUSE(layer_norm, bad, change); \
        REFUSE(rms_norm, bad, change);   \
        REFUSE(crms_norm, bad, change);  \
    } while (0)

static void test_norms(void **state)
{
    (void)state;
    GOOD(layer_norm);
    GOOD(rms_norm);
    GOOD(crms_norm);
    REFUSE_NORMS(p.x.buffer = NULL);
    REFUSE_NORMS(p.dst.buffer = NULL);
    REFUSE_NORMS(p.dst.shape[1] = 7);
    REFUSE_NORMS(p.x.shape[0] = 4);
    REFUSE_NORMS(p.residual.shape[0] = 2);
    REFUSE_NORMS(p.weight.shape[0] = 7);
    REFUSE_NORMS(p.weight.rank = 2);
    REFUSE_NORMS(p.x.rank = 0);
    REFUSE_NORMS(p.x.rank = 3);
    REFUSE_NORMS(p.x.rank = UINT32_MAX);
    REFUSE_NORMS(p.x.shape[0] = 0);
    REFUSE_NORMS(p.residual.buffer = NULL); /* sum without it */
    REFUSE_NORMS(p.eps = -1e-5f);
    REFUSE_NORMS(p.eps = NAN);
    REFUSE_NORMS(p.eps = INFINITY);
}

static void test_norm_types(void **state)
{
    (void)state;
    ACCEPT(rms_norm, (narrow(&p.x, ZM_F16), narrow(&p.residual, ZM_F16), narrow(&p.dst, ZM_F16),
                      narrow(&p.sum, ZM_F16)));
    REFUSE_NORMS(p.x.dtype = ZM_F16); /* the others are not */
    ACCEPT(layer_norm, (narrow(&p.weight, ZM_BF16), narrow(&p.bias, ZM_BF16)));
    REFUSE_NORMS(p.weight.dtype = p.bias.dtype = ZM_F64);
    REFUSE_NORMS(narrow(&p.weight, ZM_F16));
    assert_non_null(strstr(f.said, "share a type"));
    REFUSE_NORMS(p.x.dtype = p.residual.dtype = p.dst.dtype = p.sum.dtype = ZM_F64);
    REFUSE_NORMS(p.x.dtype = ZM_DTYPE_NONE);
    REFUSE_NORMS(p.x.dtype = (zm_dtype)99);
    REFUSE_NORMS(p.x.panel = 16);
}

static void test_norm_views(void **state)
{
    (void)state;
    REFUSE_NORMS(p.dst.stride[0] = 7);
    REFUSE_NORMS(p.x.stride[1] = 2);
    REFUSE_NORMS(p.weight.stride[0] = 2);
    REFUSE_NORMS(p.x.offset = ELEMENTS - 20);
    REFUSE_NORMS(p.x.offset = UINT64_MAX - 3);
    REFUSE_NORMS(p.dst.stride[0] = ELEMENTS);
    REFUSE_NORMS(p.x.stride[0] = UINT64_MAX / 2 + 1);
    ACCEPT(layer_norm, p.dst = p.x);
    ACCEPT(layer_norm, (p.dst = p.residual, p.sum = p.x));
    REFUSE_NORMS(p.sum = p.dst);
    REFUSE_NORMS(p.dst.offset = p.weight.offset);
    REFUSE_NORMS((p.dst = p.x, p.dst.offset = 4));
    REFUSE_NORMS((p.dst = p.x, p.dst.stride[0] = 9));
    REFUSE_NORMS((p.sum = p.residual, p.sum.offset++));
}

/* The row is the d - 1 elements that are kept, or those and a column of zeros. */
static void test_true_d(void **state)
{
    (void)state;
    ACCEPT(crms_norm, p.true_d = 9);
    ACCEPT(crms_norm, p.true_d = 8);
    REFUSE(crms_norm, bad, p.true_d = 7);
    REFUSE(crms_norm, bad, p.true_d = 1);
    REFUSE(crms_norm, bad, p.true_d = 10);
    assert_non_null(strstr(f.said, "true_d 10"));
    REFUSE(crms_norm, bad, p.true_d = UINT32_MAX);
}

/* ---- elements ---- */

static zm_add_params good_add(void)
{
    return (zm_add_params){.x = matrix(0, 4, 5),
                           .y = with_stride(matrix(1, 4, 5), 6),
                           .dst = with_stride(matrix(2, 4, 5), 8)};
}
#define good_recentre good_add
#define zm_recentre_params zm_add_params

#define REFUSE_BOTH(change)            \
    do {                               \
        REFUSE(add, bad, change);      \
        REFUSE(recentre, bad, change); \
    } while (0)

static void test_elementwise(void **state)
{
    (void)state;
    GOOD(add);
    GOOD(recentre);
    ACCEPT(recentre, p.y.buffer = NULL);
    REFUSE(add, bad, p.y.buffer = NULL);
    REFUSE_BOTH(p.x.buffer = NULL);
    REFUSE_BOTH(p.dst.buffer = NULL);
    REFUSE_BOTH(p.y.shape[1] = 4);
    REFUSE_BOTH(p.dst.dtype = ZM_I32);
    REFUSE_BOTH(p.dst.dtype = ZM_BF16);
    REFUSE_BOTH(p.dst.stride[0] = 3);
    REFUSE_BOTH((p.dst = p.y, p.dst.offset += 3));
    REFUSE_BOTH((p.dst = p.x, p.dst.offset++));
}

static zm_activate_params good_activate(void)
{
    return (zm_activate_params){.x = matrix(0, 4, 5),
                                .bias = vector(1, 5),
                                .y = with_stride(matrix(2, 4, 5), 6),
                                .dst = with_stride(matrix(3, 4, 5), 8),
                                .activation = ZM_ACTIVATION_SILU};
}

static void test_activate(void **state)
{
    (void)state;
    GOOD(activate);
    ACCEPT(activate, (p.bias.buffer = p.y.buffer = NULL, p.activation = ZM_ACTIVATION_NONE));
    ACCEPT(activate, p.dst = p.x);
    ACCEPT(activate, p.dst = p.y);
    ACCEPT(activate, narrow(&p.bias, ZM_F16));
    ACCEPT(activate, (narrow(&p.x, ZM_BF16), narrow(&p.y, ZM_BF16), narrow(&p.dst, ZM_BF16)));
    REFUSE(activate, bad, p.x.buffer = NULL);
    REFUSE(activate, bad, p.dst.buffer = NULL);
    REFUSE(activate, bad, p.bias.shape[0] = 4);
    REFUSE(activate, bad, p.bias = matrix(1, 1, 5));
    REFUSE(activate, bad, p.y.shape[1] = 4);
    REFUSE(activate, bad, p.y.shape[0] = 1);
    REFUSE(activate, bad, narrow(&p.y, ZM_F16)); /* the others are not */
    REFUSE(activate, bad, p.dst.dtype = ZM_I32);
    REFUSE(activate, bad, p.dst.stride[0] = 3);
    REFUSE(activate, bad, (p.dst = p.y, p.dst.offset += 3));
    REFUSE(activate, bad, (p.dst = p.x, p.dst.offset++));
    REFUSE(activate, bad, p.dst.offset = p.bias.offset);
    REFUSE(activate, bad, p.activation = ZM_ACTIVATION_QUICK_GELU + 1);
    assert_non_null(strstr(f.said, "activation 6"));
}

/* ---- what is taken from a row ---- */

static zm_row_statistics_params good_row_statistics(void)
{
    return (zm_row_statistics_params){.x = matrix(0, 3, f.group + 1),
                                      .statistics = matrix(1, 3, 4)};
}

static void test_row_statistics(void **state)
{
    (void)state;
    assert_true(f.group > 0);
    assert_int_equal(zm_statistics_group(NULL), 0);
    GOOD(row_statistics);
    ACCEPT(row_statistics, p.statistics = with_stride(p.statistics, 9));
    ACCEPT(row_statistics, (narrow(&p.x, ZM_F16)));
    REFUSE(row_statistics, bad, p.statistics.shape[1] = 2);
    REFUSE(row_statistics, bad, p.x.shape[1] = 2 * f.group + 1);
    REFUSE(row_statistics, bad, p.statistics.shape[0] = 2);
    REFUSE(row_statistics, bad, p.statistics.dtype = ZM_I32);
    REFUSE(row_statistics, bad, p.statistics.offset = p.x.offset + 3 * (f.group + 1) - 1);
    REFUSE(row_statistics, bad, p.x.buffer = NULL);
    const zm_tensor gamma = vector(2, f.group + 1), weighted = matrix(3, 3, f.group + 1);
    ACCEPT(row_statistics, (p.weight = gamma, p.weighted = weighted));
    ACCEPT(row_statistics, (p.weight = gamma, narrow(&p.weight, ZM_F16), p.weighted = weighted));
    ACCEPT(row_statistics, (p.weight = gamma, p.weighted = weighted, p.statistics.buffer = NULL));
    REFUSE(row_statistics, bad, p.statistics.buffer = NULL);
    REFUSE(row_statistics, bad, p.weight = gamma);
    REFUSE(row_statistics, bad, p.weighted = weighted);
    assert_non_null(strstr(f.said, "weight and weighted go together"));
    REFUSE(row_statistics, bad, (p.weight = gamma, p.weight.shape[0]--, p.weighted = weighted));
    REFUSE(row_statistics, bad, (p.weight = gamma, p.weighted = weighted, p.weighted.shape[1]--));
    REFUSE(row_statistics, bad, (p.weight = gamma, p.weighted = p.x));
    REFUSE(row_statistics, bad, (p.weight = gamma, p.weighted = p.x, narrow(&p.weighted, ZM_F16)));
}

static zm_softmax_params good_softmax(void)
{
    return (zm_softmax_params){.x = matrix(0, 3, 20), .dst = matrix(1, 3, 20)};
}

static void test_softmax(void **state)
{
    (void)state;
    GOOD(softmax);
    ACCEPT(softmax, p.dst = p.x);
    REFUSE(softmax, bad, p.scale = NAN);
    REFUSE(softmax, bad, p.scale = INFINITY);
    REFUSE(softmax, bad, p.dst.shape[1] = 19);
    REFUSE(softmax, bad, p.dst.offset = 1);
    REFUSE(softmax, bad, p.x.rank = 1);
    ACCEPT(softmax, (narrow(&p.x, ZM_F16), narrow(&p.dst, ZM_F16)));
}

static zm_top_k_params good_top_k(void)
{
    return (zm_top_k_params){
        .x = matrix(0, 2, 20), .values = matrix(1, 2, 5), .indices = integers(matrix(2, 2, 5))};
}

static void test_top_k(void **state)
{
    (void)state;
    GOOD(top_k);
    ACCEPT(top_k, p.values.shape[1] = p.indices.shape[1] = 20);
    REFUSE(top_k, bad, p.values.shape[1] = p.indices.shape[1] = 21);
    REFUSE(top_k, bad, p.values.shape[1] = p.indices.shape[1] = 0);
    REFUSE(top_k, bad,
           (p.x.shape[1] = 300, p.values = matrix(3, 2, 257),
            p.indices = integers(matrix(6, 2, 257))));
    REFUSE(top_k, bad, p.indices.shape[1] = 4);
    REFUSE(top_k, bad, p.indices.dtype = ZM_F32);
    REFUSE(top_k, bad, p.values.dtype = ZM_F16);
    REFUSE(top_k, bad, p.values.offset = p.x.offset);
    REFUSE(top_k, bad, p.indices.offset = p.values.offset);
    ACCEPT(top_k, (narrow(&p.x, ZM_F16), narrow(&p.values, ZM_F16)));
}

static zm_argmax_params good_argmax(void)
{
    return (zm_argmax_params){.x = matrix(0, 3, 4), .dst = integers(vector(1, 3))};
}

static void test_argmax(void **state)
{
    (void)state;
    GOOD(argmax);
    REFUSE(argmax, bad, p.dst.dtype = ZM_F32);
    REFUSE(argmax, bad, p.dst.shape[0] = 2);
    REFUSE(argmax, bad, p.x.shape[1] = 0);
    REFUSE(argmax, bad, p.dst.offset = p.x.offset);
}

/* ---- rows that are moved ---- */

static zm_rope_params good_rope(void)
{
    return (zm_rope_params){.x = matrix(0, 3, 24),
                            .positions = integers(vector(1, 3)),
                            .factors = vector(2, 3),
                            .dst = matrix(3, 3, 24),
                            .head_dim = 8,
                            .rotary_dim = 6};
}

static void test_rope(void **state)
{
    (void)state;
    GOOD(rope);
    ACCEPT(rope, p.dst = p.x);
    ACCEPT(rope, (p.rotary_dim = 0, p.factors.buffer = NULL, p.layout = ZM_ROPE_PAIRS));
    REFUSE(rope, bad, p.head_dim = 0);
    REFUSE(rope, bad, p.head_dim = 7);
    REFUSE(rope, bad, p.rotary_dim = 5);
    REFUSE(rope, bad, p.rotary_dim = 10);
    REFUSE(rope, bad, (p.rotary_dim = 0, p.factors.buffer = NULL, p.head_dim = 3));
    REFUSE(rope, bad, p.factors.shape[0] = 4);
    REFUSE(rope, bad, p.layout = ZM_ROPE_PAIRS + 1);
    REFUSE(rope, bad, p.base = -1);
    REFUSE(rope, bad, p.base = NAN);
    REFUSE(rope, bad, p.frequency_scale = INFINITY);
    REFUSE(rope, bad, p.magnitude = NAN);
    REFUSE(rope, bad, p.positions.shape[0] = 2);
    REFUSE(rope, bad, p.positions.dtype = ZM_F32);
    REFUSE(rope, bad, p.dst.offset = p.positions.offset);
    REFUSE(rope, bad, p.dst.offset = p.x.offset + 1);
    ACCEPT(rope, (narrow(&p.x, ZM_BF16), narrow(&p.dst, ZM_BF16)));
}

static zm_embedding_params good_embedding(void)
{
    return (zm_embedding_params){.tokens = integers(vector(0, 3)),
                                 .table = matrix(1, 9, 4),
                                 .position = matrix(2, 3, 4),
                                 .dst = matrix(3, 3, 4)};
}

static void test_embedding(void **state)
{
    (void)state;
    GOOD(embedding);
    REFUSE(embedding, bad, p.tokens.dtype = ZM_F32);
    REFUSE(embedding, bad, p.tokens.dtype = ZM_I64);
    REFUSE(embedding, bad, p.tokens.shape[0] = 2);
    REFUSE(embedding, bad, p.tokens.buffer = NULL);
    REFUSE(embedding, bad, p.table.shape[1] = 3);
    REFUSE(embedding, bad, p.table.shape[0] = ELEMENTS);
    ACCEPT(embedding, narrow(&p.position, ZM_F16));
    REFUSE(embedding, bad, p.position.dtype = ZM_I32);
    REFUSE(embedding, bad, p.position.shape[0] = 2);
    REFUSE(embedding, bad, p.scale = NAN);
    REFUSE(embedding, bad, p.dst = p.position);
}

/* A transpose: x is [5][4] read by columns. */
static zm_copy_params good_copy(void)
{
    zm_copy_params p = {.x = matrix(0, 4, 5), .dst = matrix(1, 4, 5)};
    p.x.stride[0] = 1;
    p.x.stride[1] = 4;
    return p;
}

static void test_copy(void **state)
{
    (void)state;
    GOOD(copy);
    ACCEPT(copy, (narrow(&p.dst, ZM_BF16)));
    ACCEPT(copy, (narrow(&p.x, ZM_F16)));
    ACCEPT(copy, p.x.dtype = p.dst.dtype = ZM_I32);
    ACCEPT(copy, p.x.offset = p.dst.offset + 20);
    REFUSE(copy, bad, p.dst.shape[0] = 3);
    REFUSE(copy, bad, p.dst.rank = 3);
    REFUSE(copy, bad, p.x.rank = p.dst.rank = 0);
    REFUSE(copy, bad, p.x.rank = p.dst.rank = 5);
    REFUSE(copy, bad, p.x.dtype = ZM_I32);
    REFUSE(copy, bad, p.dst.dtype = ZM_I32);
    REFUSE(copy, bad, p.dst.dtype = ZM_F64);
    REFUSE(copy, bad, p.x.dtype = p.dst.dtype = ZM_U8);
    REFUSE(copy, bad, p.x.stride[1] = 3);
    REFUSE(copy, bad, (p.dst.stride[0] = 4, p.dst.stride[1] = 1));
    REFUSE(copy, bad, p.dst = p.x);
    REFUSE(copy, bad, p.dst.offset = p.x.offset + 19);
    REFUSE(copy, bad, p.x.offset = ELEMENTS - 19);
    REFUSE(copy, bad, p.x.stride[1] = UINT64_MAX);
    /* Even elements to odd ones: views that lie within each other and share nothing. */
    ACCEPT(copy, (p.x = p.dst = matrix(0, 4, 5), p.x.stride[0] = p.dst.stride[0] = 10,
                  p.x.stride[1] = p.dst.stride[1] = 2, p.dst.offset = 1));
    REFUSE(copy, bad,
           (p.x = p.dst = matrix(0, 4, 5), p.x.stride[0] = p.dst.stride[0] = 10,
            p.x.stride[1] = p.dst.stride[1] = 2, p.dst.offset = 4));
}

static void test_no_parameters(void **state)
{
    (void)state;
    refusal_reset();
    assert_refused(zm_layer_norm(f.stream, NULL), bad, "layer_norm", 0);
    assert_int_equal(zm_layer_norm(NULL, NULL), bad);
    assert_int_equal(zm_argmax(NULL, &(zm_argmax_params){.x = {0}}), bad);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_norms),          cmocka_unit_test(test_norm_types),
        cmocka_unit_test(test_norm_views),     cmocka_unit_test(test_true_d),
        cmocka_unit_test(test_elementwise),    cmocka_unit_test(test_activate),
        cmocka_unit_test(test_row_statistics), cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_top_k),          cmocka_unit_test(test_argmax),
        cmocka_unit_test(test_rope),           cmocka_unit_test(test_embedding),
        cmocka_unit_test(test_copy),           cmocka_unit_test(test_no_parameters),
    };
    return refusal_main(argc, argv, "ops_refusals_rows", tests, sizeof(tests) / sizeof(tests[0]));
}
