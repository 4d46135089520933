/* SPDX-License-Identifier: Apache-2.0 */
/* What the ops with weights or caches must refuse. */
#include "refusal.h"

/* ---- products ---- */

static zm_matmul_params good_matmul(void)
{
    const uint32_t k = f.group + 6;
    return (zm_matmul_params){.x = matrix(0, 3, k),
                              .weight = weight(1, 6, k),
                              .bias = vector(3, 6),
                              .residual = matrix(4, 3, 3),
                              .dst = matrix(5, 3, 3),
                              .activation = ZM_ACTIVATION_SILU,
                              .gated = true,
                              .scale = {.kind = ZM_ROW_SCALE_LAYER,
                                        .statistics = matrix(6, 3, 4),
                                        .column_sums = vector(7, 6),
                                        .eps = 1e-5f},
                              .statistics = matrix(8, 3, 2)};
}

static void test_matmul(void **state)
{
    (void)state;
    GOOD(matmul);
    ACCEPT(matmul, p.dst = p.residual);
    REFUSE(matmul, bad, p.activation = ZM_ACTIVATION_QUICK_GELU + 1);
    REFUSE(matmul, bad, p.weight.buffer = NULL);
    REFUSE(matmul, bad, p.dst.buffer = NULL);
    REFUSE(matmul, bad, p.x.shape[1]--);
    REFUSE(matmul, bad, p.weight.offset = ELEMENTS - p.x.shape[1]);
    REFUSE(matmul, bad, p.weight.panel = 1u << 20);
    REFUSE(matmul, bad, p.weight.panel = UINT32_MAX);
    REFUSE(matmul, bad, p.weight.shape[0] = p.bias.shape[0] = 7);
    REFUSE(matmul, bad, p.bias.shape[0] = 3);
    REFUSE(matmul, bad, p.dst.shape[1] = 6);
    REFUSE(matmul, bad, p.residual.shape[1] = 6);
    REFUSE(matmul, bad, p.gated = false);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_NONE);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_RMS);
    REFUSE(matmul, bad, p.scale.kind = ZM_ROW_SCALE_CRMS + 1);
    REFUSE(matmul, bad, p.scale.statistics.buffer = NULL);
    REFUSE(matmul, bad, p.scale.column_sums.buffer = NULL);
    REFUSE(matmul, bad, p.scale.statistics.shape[1] = 2);
    REFUSE(matmul, bad, p.scale.statistics.shape[0] = 2);
    REFUSE(matmul, bad, p.scale.column_sums.shape[0] = 3);
    REFUSE(matmul, bad, p.scale.eps = -1);
    REFUSE(matmul, bad, p.scale.eps = NAN);
    REFUSE(matmul, bad, p.scale.statistics.dtype = ZM_F16);
    REFUSE(matmul, bad, p.statistics.shape[1] = 4);
    REFUSE(matmul, bad, p.statistics.shape[0] = 2);
    REFUSE(matmul, bad, p.statistics.dtype = ZM_F16);
    REFUSE(matmul, bad, p.statistics.offset = ELEMENTS);
}

/* What a factor does not go with. */
static void test_matmul_factor(void **state)
{
    (void)state;
    const zm_tensor none = {0};
    ACCEPT(matmul, (p.gated = false, p.factor = matrix(4, 3, 6), p.dst = matrix(5, 3, 6),
                    p.residual = none));
    ACCEPT(matmul, (p.gated = false, p.factor = p.dst = matrix(4, 3, 6), p.residual = none));
    REFUSE(matmul, bad, p.factor = p.residual);
    assert_non_null(strstr(f.said, "a factor goes without gate"));
    REFUSE(matmul, bad, (p.factor = p.residual, p.residual = none));
    REFUSE(matmul, bad,
           (p.gated = false, p.factor = p.residual = matrix(4, 3, 6), p.dst = matrix(5, 3, 6)));
    assert_non_null(strstr(f.said, "a factor goes without residual"));
    REFUSE(
        matmul, bad,
        (p.gated = false, p.factor = matrix(4, 3, 3), p.dst = matrix(5, 3, 6), p.residual = none));
    REFUSE(matmul, bad,
           (p.gated = false, p.factor = p.dst = matrix(4, 3, 6), p.residual = none,
            p.factor.offset++));
}

/* dst times the weight of the norm that follows. */
static void test_matmul_weighted(void **state)
{
    (void)state;
    const zm_tensor none = {0}, gamma = vector(9, 3), weighted = matrix(10, 3, 3);
    ACCEPT(matmul, (p.norm_weight = gamma, p.weighted = weighted));
    REFUSE(matmul, bad, p.norm_weight = gamma);
    REFUSE(matmul, bad, p.weighted = weighted);
    assert_non_null(strstr(f.said, "norm_weight and weighted go together"));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = weighted, p.statistics = none));
    assert_non_null(strstr(f.said, "weighted goes with statistics"));
    REFUSE(matmul, bad, (p.norm_weight = vector(9, 6), p.weighted = weighted));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = matrix(10, 3, 6)));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = weighted, narrow(&p.bias, ZM_F16)));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = weighted, p.weighted.dtype = ZM_F16));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = p.dst));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = p.residual));
    REFUSE(matmul, bad, (p.norm_weight = gamma, p.weighted = weighted, p.weighted.offset = 0));
}

static void test_matmul_views(void **state)
{
    (void)state;
    /* statistics over each other operand */
    REFUSE(matmul, bad, p.statistics.offset = p.x.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.weight.offset + 6 * (uint64_t)p.x.shape[1] - 1);
    REFUSE(matmul, bad, p.statistics.offset = p.bias.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.residual.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.dst.offset + 8);
    REFUSE(matmul, bad, p.statistics.offset = p.scale.statistics.offset);
    REFUSE(matmul, bad, p.statistics.offset = p.scale.column_sums.offset);
    REFUSE(matmul, bad, p.dst.offset = p.scale.statistics.offset + 11);
    REFUSE(matmul, bad, (p.dst = p.residual, p.dst.offset++));
    REFUSE(matmul, bad, p.dst.offset = p.x.offset);
    /* rows of weights with gaps */
    ACCEPT(matmul, (p.weight.stride[0] = 72, p.weight.stride[1] = 1));
    REFUSE(matmul, bad, (p.weight.stride[0] = 69, p.weight.stride[1] = 1));
    REFUSE(matmul, bad, (p.weight.stride[0] = 72, p.weight.stride[1] = 2));
    REFUSE(matmul, bad, (p.weight.panel = 4, p.weight.stride[0] = 72));
}

static void test_matmul_types(void **state)
{
    (void)state;
    ACCEPT(matmul, p.weight.dtype = ZM_BF16);
    ACCEPT(matmul, p.weight.dtype = ZM_F16);
    ACCEPT(matmul, (narrow(&p.x, ZM_F16), narrow(&p.residual, ZM_F16), narrow(&p.dst, ZM_F16)));
    ACCEPT(matmul, (narrow(&p.x, ZM_BF16), narrow(&p.residual, ZM_BF16), narrow(&p.dst, ZM_BF16)));
    ACCEPT(matmul, narrow(&p.bias, ZM_F16));
    REFUSE(matmul, bad, p.bias.dtype = ZM_F64);
    REFUSE(matmul, bad, p.scale.column_sums.dtype = ZM_F16);
    REFUSE(matmul, bad, p.weight.dtype = ZM_F64);
    REFUSE(matmul, bad, p.weight.dtype = ZM_U8);
    REFUSE(matmul, bad, p.weight.dtype = ZM_Q4_0);
    assert_non_null(strstr(f.said, "weight: rows of q4_0 are not whole blocks of 32"));
    REFUSE(matmul, bad, p.residual.dtype = ZM_BF16);
    REFUSE(matmul, bad, p.x.dtype = ZM_F64);
    REFUSE(matmul, bad, p.x.dtype = p.residual.dtype = p.dst.dtype = ZM_F64);
    assert_non_null(strstr(f.said, "f64"));
}

/* By what a row's sums are divided: what the row holds, or one dimension more that it lacks. */
static void test_scale_d(void **state)
{
    (void)state;
    const uint32_t k = f.group + 6;
    ACCEPT(matmul, p.scale.d = k);
    REFUSE(matmul, bad, p.scale.d = k + 1);
    REFUSE(matmul, bad, p.scale.d = k - 1);
    for (zm_row_scale_kind kind = ZM_ROW_SCALE_RMS; kind <= ZM_ROW_SCALE_CRMS; kind += 2) {
        const zm_row_scale scale = {.kind = kind, .statistics = matrix(6, 3, 4)};
        ACCEPT(matmul, (p.scale = scale, p.scale.d = k));
        ACCEPT(matmul, (p.scale = scale, p.scale.d = k + 1));
        REFUSE(matmul, bad, (p.scale = scale, p.scale.d = k - 1));
        REFUSE(matmul, bad, (p.scale = scale, p.scale.d = k + 2));
        REFUSE(matmul, bad, (p.scale = scale, p.scale.d = 1));
    }
    assert_non_null(strstr(f.said, "scale.d 1 "));
}

/* Three matrices of four rows, interleaved in x: a head is a part of each row. */
static zm_matmul_params good_batch(void)
{
    zm_matmul_params p = {.x = cube(0, 3, 4, 5),
                          .weight = cube(1, 3, 7, 5),
                          .bias = vector(2, 7),
                          .residual = cube(3, 3, 4, 7),
                          .dst = cube(4, 3, 4, 7)};
    p.x.stride[0] = 5;
    p.x.stride[1] = 15;
    p.x.stride[2] = 1;
    return p;
}

static zm_status run_batch(const zm_matmul_params *p)
{
    refusal_reset();
    return zm_matmul(f.stream, p);
}

static void test_batch(void **state)
{
    (void)state;
    enum { GOOD = 2 };
    for (int i = 0; i < 16; i++) {
        zm_matmul_params p = good_batch();
        switch (i) {
        case 0: break;
        case 1: p.dst = p.residual; break;
        case 2: p.weight.panel = 4; break;
        case 3: p.weight.rank = 2; break;
        case 4: p.x.rank = 4; break;
        case 5: p.x.shape[0] = 2; break;
        case 6: p.weight.shape[0] = 2; break;
        case 7: p.dst.shape[0] = 2; break;
        case 8: p.residual.shape[0] = 4; break;
        case 9:
            p.scale = (zm_row_scale){.kind = ZM_ROW_SCALE_RMS, .statistics = matrix(6, 4, 2)};
            break;
        case 10: p.statistics = matrix(6, 4, 2); break;
        case 11: p.x.stride[0] = 4; break;                    /* matrices overlap */
        case 12: p.x.stride[1] = 14; break;                   /* rows overlap */
        case 13: p.dst.offset = p.residual.offset + 7; break; /* in part */
        case 14: p.dst.offset = p.x.offset + 59; break;       /* the last element of x */
        default: p.bias.shape[0] = 21; break;
        }
        zm_status status = run_batch(&p);
        if (i < GOOD)
            assert_int_equal(status, ZM_OK);
        else
            assert_refused(status, bad, "matmul", i);
    }
}

/* dst over a residual of the same bytes, but with rows and matrices exchanged. */
static void test_batch_alias(void **state)
{
    (void)state;
    zm_matmul_params p = {.x = cube(0, 2, 2, 5), .weight = cube(1, 2, 7, 5)};
    p.residual = p.dst = cube(3, 2, 2, 7);
    assert_int_equal(run_batch(&p), ZM_OK);
    p.residual.stride[0] = 7;
    p.residual.stride[1] = 14;
    p.residual.stride[2] = 1;
    assert_refused(run_batch(&p), bad, "matmul", 0);
    p.dst = p.residual;
    assert_int_equal(run_batch(&p), ZM_OK);
    /* Matrices that lie between each other's rows share nothing. */
    p.residual.stride[0] = p.dst.stride[0] = 56;
    p.residual.stride[1] = p.dst.stride[1] = 14;
    p.dst.offset = p.residual.offset + 7;
    assert_int_equal(run_batch(&p), ZM_OK);
    p.dst.offset--;
    assert_refused(run_batch(&p), bad, "matmul", 1);
}

static zm_conv1d_params good_conv1d(void)
{
    return (zm_conv1d_params){.x = matrix(0, 7, 2),
                              .weight = weight(1, 2, 6),
                              .bias = vector(2, 2),
                              .dst = matrix(3, 4, 2),
                              .kernel = 3,
                              .stride = 2,
                              .padding = 1};
}

static void test_conv1d(void **state)
{
    (void)state;
    GOOD(conv1d);
    ACCEPT(conv1d, narrow(&p.bias, ZM_BF16));
    REFUSE(conv1d, bad, p.weight.dtype = ZM_Q8_0);
    assert_non_null(strstr(f.said, "weight: type q8_0 does not fit"));
    REFUSE(conv1d, bad, p.kernel = 0);
    REFUSE(conv1d, bad, (p.kernel = 10, p.weight.shape[1] = 20));
    REFUSE(conv1d, bad, p.kernel = 2);
    REFUSE(conv1d, bad, p.kernel = UINT32_MAX);
    REFUSE(conv1d, bad, p.dst.shape[0] = 3);
    REFUSE(conv1d, bad, p.stride = 1);
    REFUSE(conv1d, bad, p.padding = 0);
    REFUSE(conv1d, bad, p.padding = UINT32_MAX);
    REFUSE(conv1d, bad, p.x = with_stride(p.x, 3));
    REFUSE(conv1d, bad, p.dst.offset = p.x.offset);
}

static zm_patch_embedding_params good_patch_embedding(void)
{
    return (zm_patch_embedding_params){.x = cube(0, 3, 4, 6),
                                       .weight = weight(1, 5, 12),
                                       .bias = vector(2, 5),
                                       .position = matrix(3, 6, 5),
                                       .dst = matrix(4, 6, 5),
                                       .patch = 2};
}

static void test_patch_embedding(void **state)
{
    (void)state;
    GOOD(patch_embedding);
    ACCEPT(patch_embedding, p.weight.dtype = ZM_BF16);
    REFUSE(patch_embedding, bad, p.patch = 0);
    REFUSE(patch_embedding, bad, p.patch = 4);
    REFUSE(patch_embedding, bad, p.patch = UINT32_MAX);
    REFUSE(patch_embedding, cannot, p.x.shape[1] = p.x.shape[2] = p.patch = 1u << 31);
    REFUSE(patch_embedding, bad, p.x.rank = 2);
    REFUSE(patch_embedding, bad, p.x.shape[0] = 2);
    REFUSE(patch_embedding, bad, (p.x.stride[0] = 24, p.x.stride[1] = 7, p.x.stride[2] = 1));
    REFUSE(patch_embedding, bad, (p.x.stride[0] = 30, p.x.stride[1] = 6, p.x.stride[2] = 1));
    REFUSE(patch_embedding, bad, (p.weight.stride[0] = 13, p.weight.stride[1] = 1));
    REFUSE(patch_embedding, bad, p.position.shape[0] = 5);
    ACCEPT(patch_embedding, (narrow(&p.bias, ZM_F16), narrow(&p.position, ZM_F16)));
    REFUSE(patch_embedding, bad, narrow(&p.position, ZM_F16));
    assert_non_null(strstr(f.said, "position is f16, but bias is f32"));
    REFUSE(patch_embedding, bad, p.dst.shape[0] = 5);
    REFUSE(patch_embedding, bad, p.dst.offset = p.x.offset + 71);
    REFUSE(patch_embedding, bad, p.dst = p.position);
    ACCEPT(patch_embedding, (narrow(&p.x, ZM_F16), narrow(&p.dst, ZM_F16)));
}

/* ---- attention ---- */

static zm_kv_store_params good_kv_store(void)
{
    zm_kv_store_params p = {.k = matrix(0, 2, 6), .v = matrix(1, 2, 6), .position = 4};
    assert_int_equal(zm_kv_layout_get(f.device, ZM_DTYPE_NONE, 2, 3, 10, &p.layout), ZM_OK);
    p.k_cache = vector(2, (uint32_t)p.layout.elements);
    p.v_cache = vector(3, (uint32_t)p.layout.elements);
    return p;
}

static void test_kv_store(void **state)
{
    (void)state;
    GOOD(kv_store);
    REFUSE(kv_store, bad, p.position = p.layout.capacity - 1);
    REFUSE(kv_store, bad, p.position = UINT32_MAX);
    REFUSE(kv_store, bad, p.v.shape[1] = 5);
    REFUSE(kv_store, bad, p.v.shape[0] = 1);
    REFUSE(kv_store, bad, p.layout.heads = 0);
    REFUSE(kv_store, bad, p.layout.head_stride = 7);
    REFUSE(kv_store, bad, p.layout.elements = 7);
    REFUSE(kv_store, bad, p.layout.capacity = 1000);
    REFUSE(kv_store, bad, p.k_cache.shape[0]--);
    REFUSE(kv_store, bad, p.v_cache = p.k_cache);
    REFUSE(kv_store, bad, p.k_cache.offset = p.k.offset);
}

/* Two sequences of one row each. */
static zm_kv_store_params sequences_kv_store(void)
{
    zm_kv_store_params p = good_kv_store();
    p.sequences = 2;
    p.positions = integers(vector(4, 2));
    p.k_cache.shape[0] *= 2;
    p.v_cache.shape[0] *= 2;
    return p;
}

/* Three sequences of two rows in all. */
static zm_kv_store_params ragged_kv_store(void)
{
    zm_kv_store_params p = good_kv_store();
    p.sequences = 3;
    p.starts = integers(vector(4, 4));
    p.k_cache.shape[0] *= 3;
    p.v_cache.shape[0] *= 3;
    return p;
}

static void test_kv_store_sequences(void **state)
{
    (void)state;
    ACCEPT(kv_store, p = sequences_kv_store());
    ACCEPT(kv_store, (p = sequences_kv_store(), p.position = p.layout.capacity - 1));
    ACCEPT(kv_store, (p.sequences = 1, p.positions = integers(vector(4, 1))));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.position = p.layout.capacity));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.sequences = 3));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.sequences = UINT32_MAX));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.sequences = 1));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.v_cache.shape[0] /= 2));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.positions.dtype = ZM_F32));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.positions.shape[0] = 1));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.positions.offset = p.v_cache.offset));
    ACCEPT(kv_store, (p = ragged_kv_store(), p.rows = 1));
    ACCEPT(kv_store, p = ragged_kv_store());
    REFUSE(kv_store, bad, (p = ragged_kv_store(), p.rows = 3));
    REFUSE(kv_store, bad, (p = ragged_kv_store(), p.starts.shape[0] = 3));
    REFUSE(kv_store, bad, (p = ragged_kv_store(), p.starts.dtype = ZM_F32));
    REFUSE(kv_store, bad, (p = ragged_kv_store(), p.position = p.layout.capacity - 1));
    REFUSE(kv_store, bad, (p = sequences_kv_store(), p.rows = 1));
}

static zm_attention_params good_attention(void)
{
    zm_attention_params p = {.q = matrix(0, 3, 16),
                             .heads = 4,
                             .kv_length = 5,
                             .causal = true,
                             .window = 2,
                             .soft_cap = 30,
                             .slopes = vector(3, 4),
                             .dst = matrix(4, 3, 16)};
    assert_int_equal(zm_kv_layout_get(f.device, ZM_DTYPE_NONE, 2, 4, 6, &p.layout), ZM_OK);
    assert_int_equal(p.layout.dtype, ZM_F32);
    p.k_cache = vector(1, (uint32_t)p.layout.elements);
    p.v_cache = vector(2, (uint32_t)p.layout.elements);
    return p;
}

static void test_attention(void **state)
{
    (void)state;
    GOOD(attention);
    ACCEPT(attention, p.window = UINT32_MAX);
    ACCEPT(attention, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_F16);
    REFUSE(attention, bad, p.kv_length = 0);
    REFUSE(attention, bad, p.kv_length = p.layout.capacity + 1);
    REFUSE(attention, bad, p.kv_length = 2); /* a causal row would see nothing */
    REFUSE(attention, bad, p.heads = 3);
    REFUSE(attention, bad, p.heads = 2);
    REFUSE(attention, bad, p.layout.heads = 0);
    REFUSE(attention, bad, p.layout.head_dim = 0);
    REFUSE(attention, bad, p.layout.elements = 1u << 20);
    REFUSE(attention, bad, p.dst.shape[1] = 15);
    REFUSE(attention, bad, (p.dst = p.q, p.dst.offset++));
    REFUSE(attention, bad, p.causal = false);
    REFUSE(attention, bad, p.soft_cap = -1);
    REFUSE(attention, bad, p.soft_cap = INFINITY);
    REFUSE(attention, bad, p.scale = NAN);
    REFUSE(attention, bad, p.slopes.shape[0] = 2);
    REFUSE(attention, bad, p.slopes.dtype = ZM_F16);
    REFUSE(attention, bad, p.dst.offset = p.slopes.offset);
    REFUSE(attention, bad, p.layout.dtype = ZM_F16);
    REFUSE(attention, bad, p.layout.dtype = ZM_DTYPE_NONE);
    REFUSE(attention, bad, p.v_cache.dtype = ZM_F16);
    REFUSE(attention, bad, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_I32);
    REFUSE(attention, bad, p.layout.dtype = p.k_cache.dtype = p.v_cache.dtype = ZM_F64);
    ACCEPT(attention, (narrow(&p.q, ZM_F16), narrow(&p.dst, ZM_F16)));
}

/* Three sequences of one row each. */
static zm_attention_params sequences_attention(void)
{
    zm_attention_params p = good_attention();
    p.sequences = 3;
    p.lengths = integers(vector(5, 3));
    p.k_cache.shape[0] *= 3;
    p.v_cache.shape[0] *= 3;
    return p;
}

/* Two sequences of three rows in all. */
static zm_attention_params ragged_attention(void)
{
    zm_attention_params p = good_attention();
    p.sequences = 2;
    p.starts = integers(vector(5, 3));
    p.k_cache.shape[0] *= 2;
    p.v_cache.shape[0] *= 2;
    return p;
}

static void test_attention_sequences(void **state)
{
    (void)state;
    ACCEPT(attention, p = sequences_attention());
    ACCEPT(attention, (p = sequences_attention(), p.lengths.buffer = NULL));
    ACCEPT(attention, (p = sequences_attention(), p.kv_length = 1));
    REFUSE(attention, bad, (p = sequences_attention(), p.sequences = 2));
    REFUSE(attention, bad, (p = sequences_attention(), p.sequences = 1));
    REFUSE(attention, bad, (p = sequences_attention(), p.k_cache.shape[0]--));
    REFUSE(attention, bad, (p = sequences_attention(), p.lengths.dtype = ZM_F32));
    REFUSE(attention, bad, (p = sequences_attention(), p.lengths.shape[0] = 1));
    REFUSE(attention, bad, (p = sequences_attention(), p.lengths.offset = p.dst.offset));
    REFUSE(attention, bad, (p = sequences_attention(), p.kv_length = 0));
    ACCEPT(attention, p = ragged_attention());
    ACCEPT(attention, (p = ragged_attention(), p.rows = 2, p.kv_length = 2));
    REFUSE(attention, bad, (p = ragged_attention(), p.kv_length = 2));
    REFUSE(attention, bad, (p = ragged_attention(), p.rows = 4));
    REFUSE(attention, bad, (p = ragged_attention(), p.starts.shape[0] = 2));
    REFUSE(attention, bad, (p = ragged_attention(), p.starts.dtype = ZM_F32));
    REFUSE(attention, bad, (p = sequences_attention(), p.rows = 1));
}

static void test_kv_layout(void **state)
{
    (void)state;
    zm_kv_layout layout;
    assert_int_equal(zm_kv_layout_get(f.device, ZM_BF16, 2, 4, 6, &layout), ZM_OK);
    assert_int_equal(layout.dtype, ZM_BF16);
    static const zm_dtype wrong[] = {ZM_F64, ZM_I32, ZM_I64, ZM_U8, ZM_DTYPE_COUNT};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        f.errors = 0;
        assert_int_equal(zm_kv_layout_get(f.device, wrong[i], 2, 4, 6, &layout), bad);
        assert_int_equal(f.errors, 1);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matmul),
        cmocka_unit_test(test_matmul_views),
        cmocka_unit_test(test_matmul_weighted),
        cmocka_unit_test(test_matmul_factor),
        cmocka_unit_test(test_matmul_types),
        cmocka_unit_test(test_scale_d),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_batch_alias),
        cmocka_unit_test(test_conv1d),
        cmocka_unit_test(test_patch_embedding),
        cmocka_unit_test(test_kv_store),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_kv_layout),
        cmocka_unit_test(test_kv_store_sequences),
        cmocka_unit_test(test_attention_sequences),
    };
    return refusal_main(argc, argv, "ops_refusals_matrix", tests, sizeof(tests) / sizeof(tests[0]));
}
