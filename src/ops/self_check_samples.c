/* SPDX-License-Identifier: Apache-2.0 */
/* Shapes with whole tiles and rests, small enough to be checked in a moment. */
#include "ops/self_check.h"

static const zm_dtype types[] = {ZM_F32, ZM_F16};
#define TYPES 2

/* Few, because many a number of rows is a kernel to build. The largest is for the gpu family's tile
 * of 128x128, on a device of one unit. */
static const struct {
    uint32_t m, n, k;
    zm_dtype x, weight;
    enum { RESIDUAL, FACTOR, WEIGHTED } with; /* the last one of one group of statistics */
} products[] = {{1, 70, 513, ZM_F32, ZM_F32, RESIDUAL},  {1, 70, 130, ZM_F32, ZM_F16, FACTOR},
                {3, 30, 130, ZM_F32, ZM_F32, WEIGHTED},  {8, 70, 130, ZM_BF16, ZM_BF16, FACTOR},
                {37, 70, 130, ZM_F16, ZM_F16, RESIDUAL}, {250, 250, 130, ZM_F32, ZM_F32, RESIDUAL},
                {50, 100, 64, ZM_F32, ZM_F16, FACTOR}};
#define LARGE_PRODUCT 5
#define PRODUCTS (sizeof(products) / sizeof(products[0]))

static void run_matmul(zm_sample *s, size_t variant)
{
    uint32_t m = products[variant].m, n = products[variant].n, k = products[variant].k;
    s->type = products[variant].x;
    zm_matmul_params params = {
        .x = zm_sample_random(s, m, k),
        .weight = zm_sample_weight(s, n, k, products[variant].weight),
        .bias = zm_sample_vector(s, n),
        .dst = zm_sample_result(s, m, n),
        .activation = ZM_ACTIVATION_GELU,
    };
    if (products[variant].with == WEIGHTED) {
        params.statistics = zm_sample_statistics(s, m, 2);
        params.norm_weight = zm_sample_vector(s, n);
        params.weighted = zm_sample_result(s, m, n);
    } else if (products[variant].with == FACTOR) {
        params.factor = zm_sample_random(s, m, n);
    } else {
        params.residual = zm_sample_random(s, m, n);
    }
    zm_sample_called(s, s->status ? s->status : zm_matmul(s->stream, &params));
}

static void run_conv1d(zm_sample *s, size_t variant)
{
    uint32_t stride = (uint32_t)(1 + variant % 2), rows = 61, channels = 20, n = 70;
    s->type = types[variant / 2];
    const zm_conv1d_params params = {
        .x = zm_sample_random(s, rows, channels),
        .weight = zm_sample_weight(s, n, 3 * channels, types[variant / 2]),
        .bias = zm_sample_vector(s, n),
        .dst = zm_sample_result(s, (rows - 1) / stride + 1, n),
        .kernel = 3,
        .stride = stride,
        .padding = 1,
    };
    zm_sample_called(s, s->status ? s->status : zm_conv1d(s->stream, &params));
}

static void run_patch_embedding(zm_sample *s, size_t variant)
{
    uint32_t channels = 3, patch = (uint32_t)(4 + 3 * variant), down = 5, across = 7, n = 70;
    s->type = variant ? ZM_BF16 : ZM_F32;
    zm_tensor x = zm_sample_random(s, channels * patch * down, patch * across);
    x.rank = 3;
    x.shape[0] = channels;
    x.shape[1] = patch * down;
    x.shape[2] = patch * across;
    const zm_patch_embedding_params params = {
        .x = x,
        .weight = zm_sample_weight(s, n, channels * patch * patch, ZM_F32),
        .bias = zm_sample_vector(s, n),
        .dst = zm_sample_result(s, down * across, n),
        .patch = patch,
    };
    zm_sample_called(s, s->status ? s->status : zm_patch_embedding(s->stream, &params));
}

/* The first tokens, one more, a cross attention, a long prompt; one token after enough keys to be
 * split, of wide heads in F16; heads whose size is no multiple of a vector, in BF16. */
static const struct {
    uint32_t rows, keys;
    bool causal;
    uint32_t head_dim;
    zm_dtype type;
} attentions[] = {{5, 5, true, 64, ZM_F32},    {1, 70, true, 64, ZM_F32},
                  {3, 33, false, 64, ZM_F32},  {90, 120, true, 64, ZM_F32},
                  {1, 700, true, 128, ZM_F16}, {3, 21, true, 36, ZM_BF16}};
#define ATTENTIONS (sizeof(attentions) / sizeof(attentions[0]))

static void run_attention(zm_sample *s, size_t variant)
{
    uint32_t heads = 4, kv_heads = 2, keys = attentions[variant].keys;
    uint32_t dim = attentions[variant].head_dim;
    zm_dtype type = attentions[variant].type;
    zm_kv_layout layout = {0};
    s->type = type;
    zm_tensor k = zm_sample_random(s, keys, kv_heads * dim);
    zm_tensor v = zm_sample_random(s, keys, kv_heads * dim);
    if (s->status == ZM_OK)
        s->status = zm_kv_layout_get(s->device, type, kv_heads, dim, keys, &layout);
    zm_buffer *k_cache = zm_sample_buffer(s, layout.elements * zm_dtype_size(type));
    zm_buffer *v_cache = zm_sample_buffer(s, layout.elements * zm_dtype_size(type));
    const zm_kv_store_params store = {
        .k = k,
        .v = v,
        .k_cache = zm_tensor_1d(k_cache, type, (uint32_t)layout.elements),
        .v_cache = zm_tensor_1d(v_cache, type, (uint32_t)layout.elements),
        .layout = layout,
    };
    zm_sample_called(s, s->status ? s->status : zm_kv_store(s->stream, &store));
    const zm_attention_params params = {
        .q = zm_sample_random(s, attentions[variant].rows, heads * dim),
        .k_cache = store.k_cache,
        .v_cache = store.v_cache,
        .layout = layout,
        .heads = heads,
        .kv_length = keys,
        .causal = attentions[variant].causal,
        .dst = zm_sample_result(s, attentions[variant].rows, heads * dim),
    };
    zm_sample_called(s, s->status ? s->status : zm_attention(s->stream, &params));
}

/* ---- whole rows ---- */

static const uint32_t widths[] = {5, 83, 768};
#define WIDTHS (sizeof(widths) / sizeof(widths[0]))

/* The width of a variant, with one of them in F16. */
static uint32_t width_of(zm_sample *s, size_t variant)
{
    s->type = variant == 1 ? ZM_F16 : ZM_F32;
    return widths[variant];
}

static zm_norm_params norm_params(zm_sample *s, size_t variant)
{
    uint32_t rows = 33, d = width_of(s, variant);
    return (zm_norm_params){
        .x = zm_sample_random(s, rows, d),
        .residual = zm_sample_random(s, rows, d),
        .weight = zm_sample_vector(s, d),
        .dst = zm_sample_result(s, rows, d),
        .eps = 1e-5f,
    };
}

static void run_layer_norm(zm_sample *s, size_t variant)
{
    const zm_norm_params params = norm_params(s, variant);
    zm_sample_called(s, s->status ? s->status : zm_layer_norm(s->stream, &params));
}

static void run_rms_norm(zm_sample *s, size_t variant)
{
    const zm_norm_params params = norm_params(s, variant);
    zm_sample_called(s, s->status ? s->status : zm_rms_norm(s->stream, &params));
}

static void run_crms_norm(zm_sample *s, size_t variant)
{
    const zm_norm_params params = norm_params(s, variant);
    zm_sample_called(s, s->status ? s->status : zm_crms_norm(s->stream, &params));
}

static zm_add_params add_params(zm_sample *s, size_t variant)
{
    uint32_t rows = 33, d = width_of(s, variant);
    return (zm_add_params){
        .x = zm_sample_random(s, rows, d),
        .y = zm_sample_random(s, rows, d),
        .dst = zm_sample_result(s, rows, d),
    };
}

static void run_add(zm_sample *s, size_t variant)
{
    const zm_add_params params = add_params(s, variant);
    zm_sample_called(s, s->status ? s->status : zm_add(s->stream, &params));
}

static void run_recentre(zm_sample *s, size_t variant)
{
    const zm_add_params params = add_params(s, variant);
    zm_sample_called(s, s->status ? s->status : zm_recentre(s->stream, &params));
}

static void run_activate(zm_sample *s, size_t variant)
{
    uint32_t rows = 33, d = width_of(s, variant);
    const zm_activate_params params = {
        .x = zm_sample_random(s, rows, d),
        .bias = zm_sample_vector(s, d),
        .y = zm_sample_random(s, rows, d),
        .dst = zm_sample_result(s, rows, d),
        .activation = ZM_ACTIVATION_GELU,
    };
    zm_sample_called(s, s->status ? s->status : zm_activate(s->stream, &params));
}

static void run_softmax(zm_sample *s, size_t variant)
{
    uint32_t d = width_of(s, variant);
    const zm_softmax_params params = {
        .x = zm_sample_random(s, 33, d),
        .dst = zm_sample_result(s, 33, d),
    };
    zm_sample_called(s, s->status ? s->status : zm_softmax(s->stream, &params));
}

static const zm_dtype types_of_two[] = {ZM_F32, ZM_BF16};

/* Of one group, which is the same on every device; at last what is weighted. */
static void run_row_statistics(zm_sample *s, size_t variant)
{
    uint32_t d = variant ? 31 : 5;
    s->type = types_of_two[variant % 2];
    zm_row_statistics_params params = {
        .x = zm_sample_random(s, 33, d),
        .statistics = zm_sample_statistics(s, 33, 2),
    };
    if (variant == 2) {
        params.weight = zm_sample_vector(s, d);
        params.weighted = zm_sample_result(s, 33, d);
    }
    zm_sample_called(s, s->status ? s->status : zm_row_statistics(s->stream, &params));
}

static void run_embedding(zm_sample *s, size_t variant)
{
    uint32_t d = width_of(s, variant);
    const zm_embedding_params params = {
        .tokens = zm_sample_indices(s, 33, 0, 50),
        .table = zm_sample_random(s, 50, d),
        .position = zm_sample_reals(s, 33, d),
        .dst = zm_sample_result(s, 33, d),
        .recentre = true,
    };
    zm_sample_called(s, s->status ? s->status : zm_embedding(s->stream, &params));
}

static void run_rope(zm_sample *s, size_t variant)
{
    uint32_t heads = 3, head_dim = variant ? 64 : 20;
    s->type = types_of_two[variant];
    const zm_rope_params params = {
        .x = zm_sample_random(s, 33, heads * head_dim),
        .positions = zm_sample_indices(s, 33, 0, 100),
        .dst = zm_sample_result(s, 33, heads * head_dim),
        .head_dim = head_dim,
    };
    zm_sample_called(s, s->status ? s->status : zm_rope(s->stream, &params));
}

static void run_copy(zm_sample *s, size_t variant)
{
    uint32_t d = width_of(s, variant);
    const zm_copy_params params = {
        .x = zm_sample_random(s, 33, d),
        .dst = zm_sample_result(s, 33, d),
    };
    zm_sample_called(s, s->status ? s->status : zm_copy(s->stream, &params));
}

static void run_argmax(zm_sample *s, size_t variant)
{
    uint32_t n = variant ? 5000 : 83;
    s->type = types_of_two[variant];
    const zm_argmax_params params = {
        .x = zm_sample_random(s, 3, n),
        .dst = zm_sample_places(s, 1, 3),
    };
    zm_sample_called(s, s->status ? s->status : zm_argmax(s->stream, &params));
}

static void run_top_k(zm_sample *s, size_t variant)
{
    uint32_t n = variant ? 5000 : 83, k = 20;
    s->type = types_of_two[variant];
    const zm_top_k_params params = {
        .x = zm_sample_random(s, 3, n),
        .values = zm_sample_result(s, 3, k),
        .indices = zm_sample_places(s, 3, k),
    };
    zm_sample_called(s, s->status ? s->status : zm_top_k(s->stream, &params));
}

const zm_sample_op zm_sample_ops[] = {
    {"matmul", "matmul", PRODUCTS, LARGE_PRODUCT, run_matmul},
    {"conv1d", "matmul", 2 * TYPES, 0, run_conv1d},
    {"patch_embedding", "matmul", 2, 0, run_patch_embedding},
    {"attention", "attention", ATTENTIONS, 0, run_attention},
    {"layer_norm", "rms_norm", WIDTHS, 0, run_layer_norm},
    {"rms_norm", "rms_norm", WIDTHS, 0, run_rms_norm},
    {"crms_norm", "rms_norm", WIDTHS, 0, run_crms_norm},
    {"add", "rms_norm", WIDTHS, 0, run_add},
    {"recentre", "rms_norm", WIDTHS, 0, run_recentre},
    {"activate", "rms_norm", WIDTHS, 0, run_activate},
    {"softmax", "rms_norm", WIDTHS, 0, run_softmax},
    {"row_statistics", "rms_norm", 3, 0, run_row_statistics},
    {"embedding", "rms_norm", WIDTHS, 0, run_embedding},
    {"rope", "rms_norm", 2, 0, run_rope},
    {"copy", "rms_norm", WIDTHS, 0, run_copy},
    {"argmax", "rms_norm", 2, 0, run_argmax},
    {"top_k", "rms_norm", 2, 0, run_top_k},
};
const size_t zm_sample_op_count = sizeof(zm_sample_ops) / sizeof(zm_sample_ops[0]);
