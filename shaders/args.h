/* SPDX-License-Identifier: Apache-2.0 */
/* The last argument of every kernel: one struct, the same for C (src/ops, src/ref), OpenCL C and
 * GLSL. Offsets and strides are in elements; flags are bits of ZM_FLAG_*. A struct stays within
 * 128 bytes, the push constants that Vulkan guarantees. Buffers are bound in the order of the
 * comment above each struct; an absent optional buffer is NULL and its flag is clear. */
#ifndef ZEROMEAN_ARGS_H
#define ZEROMEAN_ARGS_H

#if defined(__OPENCL_VERSION__) || defined(GL_core_profile)
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
#define ZM_FLAG_GELU 16u
#define ZM_FLAG_CAUSAL 32u
#define ZM_FLAG_RECENTRE 64u
#define ZM_FLAG_POSITION 128u

/* layer_norm, rms_norm: x, residual, weight, bias, dst, sum */
struct zm_norm_args {
    ZM_U32 rows, d;
    ZM_U32 x_offset, x_stride;
    ZM_U32 residual_offset, residual_stride;
    ZM_U32 weight_offset, bias_offset;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 sum_offset, sum_stride;
    ZM_U32 flags; /* RESIDUAL WEIGHT BIAS SUM */
    float eps;
};

/* add, recentre: x, y, dst */
struct zm_add_args {
    ZM_U32 rows, d;
    ZM_U32 x_offset, x_stride;
    ZM_U32 y_offset, y_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* RESIDUAL: y is there */
};

/* matmul: x, weight, bias, residual, dst */
struct zm_matmul_args {
    ZM_U32 m, n, k;
    ZM_U32 x_offset, x_stride;
    ZM_U32 weight_offset, weight_type; /* zm_dtype; panel is a define of the kernel */
    ZM_U32 weight_panel;
    ZM_U32 bias_offset;
    ZM_U32 residual_offset, residual_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags;     /* BIAS RESIDUAL GELU */
    ZM_U32 row_block; /* rows per work-item; cpu family */
};

/* conv1d: x, weight, bias, dst */
struct zm_conv1d_args {
    ZM_U32 rows, channels, n;
    ZM_U32 kernel_size, stride, padding;
    ZM_U32 dst_rows;
    ZM_U32 x_offset;
    ZM_U32 weight_offset, weight_type, weight_panel;
    ZM_U32 bias_offset;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* BIAS GELU */
    ZM_U32 row_block;
};

/* embedding: tokens, table, position, dst */
struct zm_embedding_args {
    ZM_U32 rows, d, vocabulary;
    ZM_U32 tokens_offset;
    ZM_U32 table_offset, table_stride, table_type, table_panel;
    ZM_U32 position_offset, position_stride;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* POSITION RECENTRE */
};

/* kv_store: k, v, k_cache, v_cache */
struct zm_kv_store_args {
    ZM_U32 rows, heads, head_dim;
    ZM_U32 k_offset, k_stride;
    ZM_U32 v_offset, v_stride;
    ZM_U32 k_cache_offset, v_cache_offset;
    ZM_U32 head_stride, panel;
    ZM_U32 position;
};

/* attention: q, k_cache, v_cache, dst */
struct zm_attention_args {
    ZM_U32 rows, heads, kv_heads, head_dim;
    ZM_U32 q_offset, q_stride;
    ZM_U32 k_cache_offset, v_cache_offset;
    ZM_U32 head_stride, panel;
    ZM_U32 kv_length;
    ZM_U32 dst_offset, dst_stride;
    ZM_U32 flags; /* CAUSAL */
    ZM_U32 row_block;
    float scale;
};

/* argmax: x, dst */
struct zm_argmax_args {
    ZM_U32 rows, n;
    ZM_U32 x_offset, x_stride;
    ZM_U32 dst_offset;
};

#if !defined(__OPENCL_VERSION__) && !defined(GL_core_profile)
static_assert(sizeof(struct zm_norm_args) <= 128, "push constants");
static_assert(sizeof(struct zm_add_args) <= 128, "push constants");
static_assert(sizeof(struct zm_matmul_args) <= 128, "push constants");
static_assert(sizeof(struct zm_conv1d_args) <= 128, "push constants");
static_assert(sizeof(struct zm_embedding_args) <= 128, "push constants");
static_assert(sizeof(struct zm_kv_store_args) <= 128, "push constants");
static_assert(sizeof(struct zm_attention_args) <= 128, "push constants");
static_assert(sizeof(struct zm_argmax_args) <= 128, "push constants");
#endif

#endif
