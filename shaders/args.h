/* SPDX-License-Identifier: Apache-2.0 */
/* The last argument of every kernel: one struct, the same for C (src/ops, src/ref), OpenCL C and
 * GLSL. Offsets and strides are in elements; flags are bits of ZM_FLAG_*. A struct stays within
 * 128 bytes, the push constants that Vulkan guarantees. Buffers are bound in the order of the
 * comment above each struct; an absent optional buffer is NULL and its flag is clear. */
#ifndef ZEROMEAN_ARGS_H
#define ZEROMEAN_ARGS_H

#if defined(__OPENCL_C_VERSION__) || defined(GL_core_profile)
#define ZM_U32 uint
#else
#include <assert.h>
#include <stdint.h>
#define ZM_U32 uint32_t
#endif

#define ZM_FLAG_RESIDUAL 1u
#define ZM_FLAG_WEIGHT 2u
#define ZM_FLAG_BIAS 4u
#define ZM_FLAG_SUM 8u
#define ZM_FLAG_FACTOR 16u
#define ZM_FLAG_CAUSAL 32u
#define ZM_FLAG_RECENTRE 64u
#define ZM_FLAG_POSITION 128u
#define ZM_FLAG_GATED 256u
#define ZM_FLAG_STATISTICS 512u
#define ZM_FLAG_SLOPES 1024u
#define ZM_FLAG_FACTORS 2048u
#define ZM_FLAG_LENGTHS 4096u
#define ZM_FLAG_STARTS 8192u

/* values of zm_activation, zm_row_scale_kind and zm_rope_layout (ops.h) */
#define ZM_ARG_GELU 1u
#define ZM_ARG_GELU_TANH 2u
#define ZM_ARG_SILU 3u
#define ZM_ARG_RELU 4u
#define ZM_ARG_QUICK_GELU 5u
#define ZM_ARG_SCALE_RMS 1u
#define ZM_ARG_SCALE_LAYER 2u
#define ZM_ARG_SCALE_CRMS 3u
#define ZM_ARG_ROPE_PAIRS 1u

/* Small numbers that share a word, a byte each. */
#define ZM_KIND_WEIGHT_TYPE 0u
#define ZM_KIND_PARAM_TYPE 8u
#define ZM_KIND_ACTIVATION 16u /* ZM_ARG_* */
#define ZM_KIND_SCALE 24u      /* ZM_ARG_SCALE_* */
#define ZM_KIND_SET(kind, value) ((ZM_U32)(value) << (kind))
#define ZM_KIND_GET(kinds, kind) (((kinds) >> (kind)) & 255u)

/* The type of activations and of caches is a define of the kernel (ACT_TYPE, KV_TYPE: the values
 * of zm_dtype, 1 = F32, 2 = F16, 3 = BF16), as are WEIGHT_TYPE and PARAM_TYPE (norm weights,
 * biases, positions); the fields *_type and the kinds of these names say the same to the
 * reference. */

/* layer_norm, rms_norm, crms_norm: x, residual, weight, bias, dst, sum */
struct zm_norm_args {
    ZM_U32 rows, d;
    ZM_U32 x_offset, x_stride;
    ZM_U32 residual_offset, residual_stride;
    ZM_U32 weight_offset, bias_offset, param_type;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 sum_offset, sum_stride;
    ZM_U32 flags; /* RESIDUAL WEIGHT BIAS SUM */
    float eps;
    ZM_U32 true_d; /* crms_norm */
};

/* row_statistics: x, statistics, weight, weighted */
struct zm_row_statistics_args {
    ZM_U32 rows, d, group;
    ZM_U32 x_offset, x_stride;
    ZM_U32 statistics_offset, statistics_stride;
    ZM_U32 weight_offset, param_type;
    ZM_U32 weighted_offset, weighted_stride;
    ZM_U32 flags; /* STATISTICS WEIGHT: of weight and weighted */
};

/* add, recentre: x, y, dst */
struct zm_add_args {
    ZM_U32 rows, d;
    ZM_U32 x_offset, x_stride;
    ZM_U32 y_offset, y_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* RESIDUAL: y is there */
};

/* activate: x, bias, y, dst */
struct zm_activate_args {
    ZM_U32 rows, d;
    ZM_U32 x_offset, x_stride;
    ZM_U32 bias_offset, param_type;
    ZM_U32 y_offset, y_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags;      /* BIAS FACTOR: y is there */
    ZM_U32 activation; /* ZM_ARG_* */
};

/* matmul: x, weight, bias, residual, dst, scale statistics, column sums, statistics, norm weight,
 * weighted
 * n counts outputs: a gated weight has 2 n rows. The batch is the third dimension of groups. A
 * factor comes in the place of the residual. */
struct zm_matmul_args {
    ZM_U32 m, n, k;
    ZM_U32 kinds; /* ZM_KIND_* */
    ZM_U32 x_offset, x_stride;
    ZM_U32 weight_offset, weight_panel;
    ZM_U32 weight_stride; /* panel 0: elements between rows */
    ZM_U32 bias_offset;
    ZM_U32 residual_offset, residual_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags;     /* BIAS RESIDUAL FACTOR GATED STATISTICS WEIGHT: of a norm, and weighted */
    ZM_U32 row_block; /* rows per work-item; cpu family */
    ZM_U32 scale_offset, scale_stride, scale_groups;
    ZM_U32 scale_d;
    float scale_eps;
    ZM_U32 column_sums_offset;
    ZM_U32 statistics_offset, statistics_stride;
    ZM_U32 norm_weight_offset, weighted_offset, weighted_stride;
    ZM_U32 batch;
    ZM_U32 x_batch, weight_batch, residual_batch, dst_batch; /* elements between matrices */
};

/* conv1d: x, weight, bias, dst */
struct zm_conv1d_args {
    ZM_U32 rows, channels, n;
    ZM_U32 kernel_size, stride, padding;
    ZM_U32 dst_rows;
    ZM_U32 x_offset;
    ZM_U32 weight_offset, weight_type, weight_panel;
    ZM_U32 bias_offset, param_type;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* BIAS */
    ZM_U32 activation;
    ZM_U32 row_block;
};

/* patch_embedding: x, weight, bias, position, dst */
struct zm_patch_embedding_args {
    ZM_U32 channels, height, width, patch, n;
    ZM_U32 x_offset;
    ZM_U32 weight_offset, weight_type, weight_panel;
    ZM_U32 bias_offset;
    ZM_U32 position_offset, position_stride, param_type;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* BIAS POSITION */
    ZM_U32 row_block;
};

/* embedding: tokens, table, position, dst
 * The table may be a part of one, from its row `first` on, after those before it: rows of tokens
 * that they had are left as they are. */
struct zm_embedding_args {
    ZM_U32 rows, d, vocabulary, first;
    ZM_U32 tokens_offset;
    ZM_U32 table_offset, table_stride, table_type, table_panel;
    ZM_U32 position_offset, position_stride, param_type;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* POSITION RECENTRE */
    float scale;
};

/* kv_store: k, v, positions, starts, k_cache, v_cache
 * rows are those of a sequence; its caches are heads * head_stride elements each. */
struct zm_kv_store_args {
    ZM_U32 sequences, rows, heads, head_dim;
    ZM_U32 k_offset, k_stride;
    ZM_U32 v_offset, v_stride;
    ZM_U32 k_cache_offset, v_cache_offset;
    ZM_U32 head_stride, panel, kv_type;
    ZM_U32 position, positions_offset;
    ZM_U32 all_rows, starts_offset;
    ZM_U32 flags; /* POSITION STARTS */
};

/* attention: q, k_cache, v_cache, slopes, lengths, starts, dst
 * rows are those of a sequence; its caches are kv_heads * head_stride elements each. */
struct zm_attention_args {
    ZM_U32 sequences, rows, heads, kv_heads, head_dim;
    ZM_U32 q_offset, q_stride;
    ZM_U32 k_cache_offset, v_cache_offset;
    ZM_U32 head_stride, panel, kv_type;
    ZM_U32 kv_length, window; /* window 0 = none */
    ZM_U32 slopes_offset, lengths_offset, starts_offset;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* CAUSAL SLOPES LENGTHS STARTS */
    ZM_U32 row_block;
    ZM_U32 all_rows, first_row; /* first_row: kernels note a sequence's there */
    float scale, soft_cap;      /* soft_cap 0 = none */
};

/* attention_merge, the second launch where keys are split: notes of the splits, starts, dst
 * A note is the maximum, the sum, two floats of nothing and head_dim floats (up to whole fours). */
struct zm_attention_merge_args {
    ZM_U32 rows, heads, kv_heads, head_dim, splits;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 all_rows, starts_offset;
    ZM_U32 flags; /* STARTS */
};

/* rope: x, positions, factors, dst */
struct zm_rope_args {
    ZM_U32 rows, heads, head_dim, rotary_dim;
    ZM_U32 x_offset, x_stride;
    ZM_U32 positions_offset, factors_offset;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags;  /* FACTORS */
    ZM_U32 layout; /* ZM_ARG_ROPE_PAIRS or 0 */
    float base, frequency_scale, magnitude;
    float ratio_high, ratio_low; /* base^(-2 / rotary_dim) as a sum, for devices without float64 */
};

/* softmax: x, dst */
struct zm_softmax_args {
    ZM_U32 rows, n;
    ZM_U32 x_offset, x_stride;
    ZM_U32 dst_offset, dst_stride;
    float scale;
};

/* copy: x, dst */
struct zm_copy_args {
    ZM_U32 shape[4];
    ZM_U32 x_offset, x_stride[4], x_type;
    ZM_U32 dst_offset, dst_stride[4], dst_type;
};

/* top_k: x, values, indices */
struct zm_top_k_args {
    ZM_U32 rows, n, k;
    ZM_U32 x_offset, x_stride;
    ZM_U32 values_offset, values_stride;
    ZM_U32 indices_offset, indices_stride;
};

/* argmax: x, dst */
struct zm_argmax_args {
    ZM_U32 rows, n;
    ZM_U32 x_offset, x_stride;
    ZM_U32 dst_offset;
};

/* argmax_merge, the second launch of a long row: notes of the chunks, dst */
struct zm_argmax_merge_args {
    ZM_U32 rows, chunks;
    ZM_U32 dst_offset;
};

#if !defined(__OPENCL_C_VERSION__) && !defined(GL_core_profile)
static_assert(sizeof(struct zm_norm_args) <= 128, "push constants");
static_assert(sizeof(struct zm_add_args) <= 128, "push constants");
static_assert(sizeof(struct zm_activate_args) <= 128, "push constants");
static_assert(sizeof(struct zm_matmul_args) <= 128, "push constants");
static_assert(sizeof(struct zm_conv1d_args) <= 128, "push constants");
static_assert(sizeof(struct zm_embedding_args) <= 128, "push constants");
static_assert(sizeof(struct zm_kv_store_args) <= 128, "push constants");
static_assert(sizeof(struct zm_attention_args) <= 128, "push constants");
static_assert(sizeof(struct zm_row_statistics_args) <= 128, "push constants");
static_assert(sizeof(struct zm_patch_embedding_args) <= 128, "push constants");
static_assert(sizeof(struct zm_rope_args) <= 128, "push constants");
static_assert(sizeof(struct zm_softmax_args) <= 128, "push constants");
static_assert(sizeof(struct zm_copy_args) <= 128, "push constants");
static_assert(sizeof(struct zm_top_k_args) <= 128, "push constants");
static_assert(sizeof(struct zm_argmax_args) <= 128, "push constants");
#endif

#endif
