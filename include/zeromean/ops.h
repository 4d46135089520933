/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on tensors. Each call checks its arguments, chooses a kernel for the device and
 * enqueues it on the stream; it does not wait.
 *
 * Conventions for all ops
 * - Tensors are views into buffers, row-major, innermost dimension contiguous. A matrix is
 *   [rows][cols] with a stride between rows.
 * - Activations of one call (x, y, q, residual, sum, dst) share one type: the device's real_type,
 *   or F16 or BF16 as storage (with or without cl_khr_fp16). Weights of matmul, conv1d,
 *   patch_embedding and embedding are F32, F16, BF16 or the real_type; so are norm weights, biases
 *   and positions, and those of one call share a type. Those of matmul and embedding may be
 *   quantised as well (zm_weight_type_is_read): what their blocks mean is computed with, exactly.
 * What is derived from weights or rows, and stored nowhere (statistics, column sums, slopes, rotary
 * factors), has the real_type: a norm or an angle made of narrow ones would be less than what is
 * stored allows. Arithmetic and statistics are float32 (float64 on the host device), whatever the
 * storage.
 * - "may alias" means: exactly the same view. Every other overlap between an output and an input
 *   or another output is ZM_ERROR_INVALID_ARGUMENT. Views that lie within each other with unlike
 *   strides, in more than 65536 pieces, are ZM_ERROR_UNSUPPORTED: whether they meet is not tried.
 * - The weight of a matmul and the table of an embedding may be in parts (zm_buffer_params), each
 * of which ends where a row does; in panels, where a panel does; with statistics, where a group of
 *   outputs does. So may the caches of an attention or kv_store, both in the same ones, each of
 *   which ends where a sequence does. Each part takes a launch or more, to the bits of what is in
 *   one piece. No other operand may be in parts.
 * - NaN and Inf propagate as in the formula. Same input, same kernel, same tuning: same
 *   bits, each time, whatever the number of compute units or threads. How a sum is cut depends on
 *   shapes, tuned numbers and the limits of a work-group alone.
 * - ZM_ERROR_INVALID_ARGUMENT: shapes, strides, types or aliasing are wrong, or a view reaches
 *   outside its buffer; ZM_ERROR_UNSUPPORTED: no kernel of this device can do it; the log says
 *   why. Nothing is enqueued then.
 * - A call may be made from any thread that owns the stream. */
#ifndef ZEROMEAN_OPS_H
#define ZEROMEAN_OPS_H

#include <zeromean/device.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZM_MAX_RANK 4

/* A view. A tensor with buffer == NULL is absent (optional operands). */
typedef struct zm_tensor {
    zm_buffer *buffer;
    uint64_t offset; /* elements from the start of the buffer */
    zm_dtype dtype;
    uint32_t rank;                /* 1..ZM_MAX_RANK */
    uint32_t shape[ZM_MAX_RANK];  /* outermost first */
    uint64_t stride[ZM_MAX_RANK]; /* elements; all 0 = packed; the innermost is 1 (or 0) */
    uint32_t panel;               /* 0 = rows; else weights packed by zm_weight_pack */
} zm_tensor;

/* Packed views of a whole buffer from its start. */
ZM_API zm_tensor zm_tensor_1d(zm_buffer *buffer, zm_dtype dtype, uint32_t n);
ZM_API zm_tensor zm_tensor_2d(zm_buffer *buffer, zm_dtype dtype, uint32_t rows, uint32_t cols);
/* Rows first .. first+count-1 of a matrix; columns likewise. No checks: the ops check. */
ZM_API zm_tensor zm_tensor_rows(zm_tensor matrix, uint32_t first, uint32_t count);
ZM_API zm_tensor zm_tensor_cols(zm_tensor matrix, uint32_t first, uint32_t count);

/* ---- weights ----
 * Matrix kernels read weights in the layout that suits the device: panels of `panel` output
 * rows, [ceil(n / panel)][k][panel], the last panel filled up with zeros; or plain rows [n][k]
 * when panel is 0. Quantised rows are blocks as in GGUF files; in panels the same bits are in an
 * order of their own, block by block along k (zm_dtype_bytes of the elements in all). */
typedef struct zm_weight_layout {
    uint32_t panel;
    uint64_t elements;  /* including the zeros */
    uint32_t part_rows; /* 0 = it fits into one allocation of the device, or is nothing that could
                           be cut; else the rows of each part of its buffer (zm_buffer_params), of
                           the last one those that are left: zm_weight_pack them part by part */
} zm_weight_layout;

/* Do the device's kernels read weights of that type: F32, F16, BF16, the real_type, or, in matmul
 * and embedding only, quantised? Every device reads all quantised types, unless a kernel is forced
 * that takes weights in plain rows. */
ZM_API bool zm_weight_type_is_read(const zm_device *device, zm_dtype dtype);

/* The layout that the device's kernels want for a weight [n][k]. k of a quantised type is a
 * multiple of its block's length. ZM_ERROR_UNSUPPORTED: no kernel reads that quantised type. */
ZM_API zm_status zm_weight_layout_get(const zm_device *device, uint32_t n, uint32_t k,
                                      zm_dtype dtype, zm_weight_layout *out);

/* Host work: copies rows [n][k] of src_type into dst (layout->elements of dst_type), row r of src
 * becoming row first + r of dst's n_total. dst_type is src_type or, unless that is quantised, F32
 * or F64 (wider, exact), or F16 or BF16 (rounded to nearest even). Pad rows must have been zeroed
 * before (a zeroed dst will do). */
ZM_API zm_status zm_weight_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                                uint32_t n_total, uint32_t first, const void *src,
                                zm_dtype src_type, uint32_t n, uint32_t k);

/* The same for the weights of a gated product, gate and up both [n][k]: halves of panels alternate,
 * so that a kernel has gate and up of one output side by side; without panels gate and up rows
 * alternate. The result is a weight [2 n][k] of layout zm_weight_layout_get(device, 2 n, k), whose
 * pad rows must have been zeroed. Its bias [2 n] (and column sums) by zm_gated_bias_pack: in the
 * same order, but without pads, so that in the last panel up follows gate at once. */
ZM_API zm_status zm_gated_weight_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                                      const void *gate, const void *up, zm_dtype src_type,
                                      uint32_t n, uint32_t k);
ZM_API zm_status zm_gated_bias_pack(void *dst, zm_dtype dst_type, const zm_weight_layout *layout,
                                    const void *gate, const void *up, zm_dtype src_type,
                                    uint32_t n);

/* ---- norms ----
 * layer_norm: y = (x - mean) / sqrt(var + eps) * weight + bias, biased variance (Ba et al. 2016)
 * rms_norm:   y = x / sqrt(mean(x^2) + eps) * weight + bias     (Zhang and Sennrich 2019)
 * crms_norm:  y = z / sqrt((sum(z^2) + sum(z)^2) / d + eps) * weight + bias for the first d - 1
 *             elements z of a zero-mean row of d                (Jiang et al. 2023)
 * With a residual both first form x + residual, which goes to sum as well when it is given. */
typedef struct zm_norm_params {
    zm_tensor x;        /* [rows][d] */
    zm_tensor residual; /* [rows][d], optional */
    zm_tensor weight;   /* [d], optional: 1 */
    zm_tensor bias;     /* [d], optional: 0 */
    zm_tensor dst;      /* [rows][d]; may alias x or residual */
    zm_tensor sum;      /* [rows][d], optional, only with residual; may alias x or residual, not
                           dst */
    float eps;          /* >= 0; inside the root */
    uint32_t true_d;    /* crms_norm: the d of the formula; 0 = columns of x + 1; or the columns of
                           x, whose last one is all zeros then and fills up the row */
} zm_norm_params;

ZM_API zm_status zm_layer_norm(zm_stream *stream, const zm_norm_params *params);
ZM_API zm_status zm_rms_norm(zm_stream *stream, const zm_norm_params *params);
ZM_API zm_status zm_crms_norm(zm_stream *stream, const zm_norm_params *params);

/* Ordered partial sums of rows, from which a later matmul makes the norm (zm_row_scale): for each
 * group of zm_statistics_group(device) columns their sum of squares and their sum.
 * statistics: [rows][ceil(d / group)][2]. A norm's weight that can't be folded into the weights of
 * that matmul is applied on the way: r W (weight * x) is W norm(x), and weighted = x * weight. */
typedef struct zm_row_statistics_params {
    zm_tensor x;          /* [rows][d] */
    zm_tensor statistics; /* [rows][groups * 2], of x; optional where weighted is there */
    zm_tensor weight;     /* [d], optional, only with weighted */
    zm_tensor weighted;   /* [rows][d], optional, only with weight */
} zm_row_statistics_params;

ZM_API uint32_t zm_statistics_group(const zm_device *device);
ZM_API zm_status zm_row_statistics(zm_stream *stream, const zm_row_statistics_params *params);

/* ---- element-wise ---- */

/* add: dst = x + y. recentre: dst = v - mean(v) per row with v = x + y, or v = x without y. */
typedef struct zm_add_params {
    zm_tensor x;   /* [rows][d] */
    zm_tensor y;   /* [rows][d]; optional for recentre */
    zm_tensor dst; /* [rows][d]; may alias x or y */
} zm_add_params;

ZM_API zm_status zm_add(zm_stream *stream, const zm_add_params *params);
ZM_API zm_status zm_recentre(zm_stream *stream, const zm_add_params *params);

typedef enum zm_activation {
    ZM_ACTIVATION_NONE = 0,
    ZM_ACTIVATION_GELU,      /* exact: x/2 (1 + erf(x / sqrt 2)) (Hendrycks and Gimpel 2016) */
    ZM_ACTIVATION_GELU_TANH, /* x/2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) (the same) */
    ZM_ACTIVATION_SILU,      /* x / (1 + e^-x) (Elfwing et al. 2017) */
    ZM_ACTIVATION_RELU,      /* max(x, 0); NaN stays NaN */
    ZM_ACTIVATION_QUICK_GELU /* x / (1 + e^(-1.702 x)) (Hendrycks and Gimpel 2016) */
} zm_activation;

/* dst = activation(x + bias) * y: what is behind a product, which matmul does in its epilogue. Each
 * part may be left out, also all of them: a copy. */
typedef struct zm_activate_params {
    zm_tensor x;    /* [rows][d] */
    zm_tensor bias; /* [d], optional: 0 */
    zm_tensor y;    /* [rows][d], optional: 1; the up half of a gated product */
    zm_tensor dst;  /* [rows][d]; may alias x or y */
    zm_activation activation;
} zm_activate_params;

ZM_API zm_status zm_activate(zm_stream *stream, const zm_activate_params *params);

/* ---- matmul ----
 * dst = activation(scale(x w^T) + bias) + residual, or activation(...) * factor;
 * gated: activation(gate) * up + residual */

/* The norm of x, deferred to the epilogue: W norm(x) = r (W x), r = 1 / rms(x) per row, because the
 * product is linear. What is left of a LayerNorm is a rank-1 correction: r (W x - mean(x) s) with
 * the column sums s_i = sum over j of W_ij. Where x has been multiplied by the norm's weight g, the
 * statistics are those of what it was before, and s_i = sum over j of W_ij g_j. */
typedef enum zm_row_scale_kind {
    ZM_ROW_SCALE_NONE = 0,
    ZM_ROW_SCALE_RMS,   /* r = 1 / sqrt(sum(x^2) / d + eps) */
    ZM_ROW_SCALE_LAYER, /* r = 1 / sqrt(sum(x^2) / d - mean^2 + eps), and the correction */
    ZM_ROW_SCALE_CRMS   /* r = 1 / sqrt((sum(x^2) + sum(x)^2) / d + eps) */
} zm_row_scale_kind;

typedef struct zm_row_scale {
    zm_row_scale_kind kind;
    zm_tensor statistics;  /* of x, or of what was weighted: [m][ceil(k / group) * 2] */
    zm_tensor column_sums; /* [n] (gated: [2 n], packed like a bias), for ZM_ROW_SCALE_LAYER */
    uint32_t d; /* ZM_ROW_SCALE_CRMS: as zm_norm_params has it, 0 = k + 1; ZM_ROW_SCALE_RMS: 0 = k,
                   or k + 1 where x is a zero-mean row of d turned into its d - 1 dimensions;
                   ZM_ROW_SCALE_LAYER: 0 = k */
    float eps;  /* >= 0 */
} zm_row_scale;

typedef struct zm_matmul_params {
    zm_tensor x;        /* [m][k], or [batch][m][k] */
    zm_tensor weight;   /* [n][k], packed as zm_weight_layout_get says; or [batch][n][k] rows
                           (panel 0) of any type that activations may have */
    zm_tensor bias;     /* [n], optional */
    zm_tensor residual; /* like dst, optional */
    zm_tensor factor;   /* like dst, optional; neither with a residual nor gated */
    zm_tensor dst;      /* [m][n], or [batch][m][n]; may alias residual or factor */
    zm_activation activation;
    bool gated;            /* weight is [2 n][k] of zm_gated_weight_pack, bias [2 n] */
    zm_row_scale scale;    /* not with a batch */
    zm_tensor statistics;  /* of dst: [m][ceil(n / group) * 2], optional, not with a batch */
    zm_tensor norm_weight; /* [n], optional, only with weighted and statistics */
    zm_tensor weighted;    /* like dst, optional: dst * norm_weight, see zm_row_statistics_params */
} zm_matmul_params;

ZM_API zm_status zm_matmul(zm_stream *stream, const zm_matmul_params *params);

/* dst[t][o] = activation(bias[o] + sum over j < kernel, c of
 *             weight[o][j * channels + c] * x[t * stride + j - padding][c]),
 * rows outside x count as zeros; dst rows = (rows + 2 padding - kernel) / stride + 1.
 * Time-major: a row of x is one time step. */
typedef struct zm_conv1d_params {
    zm_tensor x;      /* [rows][channels], packed rows */
    zm_tensor weight; /* [n][kernel * channels], packed as zm_weight_layout_get says */
    zm_tensor bias;   /* [n], optional */
    zm_tensor dst;    /* [dst rows][n] */
    uint32_t kernel;  /* >= 1 */
    uint32_t stride;  /* 0 = 1 */
    uint32_t padding; /* zero rows before and after */
    zm_activation activation;
} zm_conv1d_params;

ZM_API zm_status zm_conv1d(zm_stream *stream, const zm_conv1d_params *params);

/* A convolution whose stride is its kernel (Dosovitskiy et al. 2020):
 * dst[(i * (width / patch) + j)][o] = bias[o] + position[...][o] + sum over c, u, v < patch of
 *     weight[o][(c * patch + u) * patch + v] * x[c][i * patch + u][j * patch + v]. */
typedef struct zm_patch_embedding_params {
    zm_tensor x;        /* [channels][height][width], packed; height and width multiples of patch */
    zm_tensor weight;   /* [n][channels * patch * patch], packed as zm_weight_layout_get says */
    zm_tensor bias;     /* [n], optional */
    zm_tensor position; /* [patches][n], optional */
    zm_tensor dst;      /* [patches][n] */
    uint32_t patch;     /* >= 1 */
} zm_patch_embedding_params;

ZM_API zm_status zm_patch_embedding(zm_stream *stream, const zm_patch_embedding_params *params);

/* dst[r] = scale * table[token[r]] + position[r], then minus the row's mean if recentre is set.
 * A token outside the table gives a row of NaN. */
typedef struct zm_embedding_params {
    zm_tensor tokens;   /* [rows] I32 */
    zm_tensor table;    /* [vocabulary][d], rows or packed */
    zm_tensor position; /* [rows][d], optional */
    zm_tensor dst;      /* [rows][d] */
    float scale;        /* of the table; 0 = 1 */
    bool recentre;
} zm_embedding_params;

ZM_API zm_status zm_embedding(zm_stream *stream, const zm_embedding_params *params);

/* ---- attention ----
 * The cache of keys and values is stored per head in a layout that suits the device. */
typedef struct zm_kv_layout {
    zm_dtype dtype; /* F32, F16, BF16 or the real_type */
    uint32_t heads;
    uint32_t head_dim;
    uint32_t capacity;    /* positions, rounded up where the layout needs it */
    uint32_t panel;       /* keys: 0 = [capacity][head_dim], else
                             [capacity / panel][head_dim][panel] within a head */
    uint64_t head_stride; /* elements between heads, for keys and for values */
    uint64_t elements;    /* of the key tensor and of the value tensor, each */
} zm_kv_layout;

/* dtype ZM_DTYPE_NONE = the real_type. */
ZM_API zm_status zm_kv_layout_get(const zm_device *device, zm_dtype dtype, uint32_t heads,
                                  uint32_t head_dim, uint32_t capacity, zm_kv_layout *out);

/* Several sequences in one call: their rows lie one sequence below the other, as many rows each,
 * and so do their caches, layout.elements each. What is said about rows is about those of one
 * sequence, rows of all / sequences. With starts each has a number of its own: the rows of sequence
 * s are starts[s] .. starts[s + 1] - 1 of all, and none where that is not within 0 .. rows of all,
 * in order, and at most `rows` of them; rows of none are not stored, and not written to dst. */

/* Stores rows of k and v as positions first .. first + rows - 1 of the cache, first = position, or
 * position + positions[s]. With positions, rows at a position that the cache doesn't have (also
 * one below 0) are not stored. */
typedef struct zm_kv_store_params {
    zm_tensor k, v;             /* [sequences * rows][heads * head_dim] */
    zm_tensor k_cache, v_cache; /* 1-d, sequences * layout.elements */
    zm_kv_layout layout;
    uint32_t sequences;  /* 0 = 1 */
    uint32_t position;   /* position + rows <= layout.capacity */
    zm_tensor positions; /* [sequences] I32, optional */
    zm_tensor starts;    /* [sequences + 1] I32, optional */
    uint32_t rows;       /* with starts: the most of a sequence; 0 = all */
} zm_kv_store_params;

ZM_API zm_status zm_kv_store(zm_stream *stream, const zm_kv_store_params *params);

/* dst[r][h] = softmax(score) v[first..n)[h'], h' = h / (heads / kv heads),
 * score[j] = cap(scale * q[r][h] . k[j][h']) + slope[h] * (j - p), p = length - rows + r,
 * n = length, or with causal n = p + 1; first = 0, or with a window max(0, p + 1 - window);
 * length = kv_length, or lengths[s]; cap(s) = soft_cap * tanh(s / soft_cap) where soft_cap is set
 * (Gemma 2). Slopes are ALiBi (Press et al. 2021). Online softmax (Milakov and Gimelshein 2018). A
 * row whose scores are all -Inf is NaN, as 0 / 0 is, and so is one that sees no key: of a sequence
 * whose length is not in 1 .. kv_length, or with causal and p < 0. Keys that weigh less than e^-64
 * of the largest may count as 0, also times an infinite value. */
typedef struct zm_attention_params {
    zm_tensor q;                /* [sequences * rows][heads * head_dim] */
    zm_tensor k_cache, v_cache; /* as written by zm_kv_store */
    zm_kv_layout layout;
    uint32_t heads;     /* query heads, a multiple of layout.heads; 0 = layout.heads */
    uint32_t sequences; /* 0 = 1 */
    uint32_t kv_length; /* positions in use, 1 .. layout.capacity */
    zm_tensor lengths;  /* [sequences] I32, optional: those of each; kv_length is their most */
    zm_tensor starts;   /* [sequences + 1] I32, optional */
    uint32_t rows;      /* with starts: the most of a sequence; 0 = all */
    bool causal;        /* needs kv_length >= rows */
    uint32_t window;    /* 0 = none; needs causal */
    float scale;        /* 0 = 1 / sqrt(head_dim) */
    float soft_cap;     /* 0 = none */
    zm_tensor slopes;   /* [heads], optional */
    zm_tensor dst;      /* like q; may alias q */
} zm_attention_params;

ZM_API zm_status zm_attention(zm_stream *stream, const zm_attention_params *params);

/* ---- rotary positions ----
 * Rotates pairs (a, b) of each head by the angle position * f_i, i = 0 .. rotary_dim / 2 - 1:
 * f_i = frequency_scale / (factors[i] * base^(2 i / rotary_dim)) (Su et al. 2021); the result is
 * multiplied by magnitude. Elements from rotary_dim on are copied. */
typedef enum zm_rope_layout {
    ZM_ROPE_HALVES = 0, /* pairs (i, i + rotary_dim / 2): GPT-NeoX, Llama in Hugging Face's order */
    ZM_ROPE_PAIRS       /* pairs (2 i, 2 i + 1): GPT-J, Llama in Meta's and GGUF's order */
} zm_rope_layout;

typedef struct zm_rope_params {
    zm_tensor x;         /* [rows][heads * head_dim] */
    zm_tensor positions; /* [rows] I32 */
    zm_tensor factors;   /* [rotary_dim / 2], optional: 1 */
    zm_tensor dst;       /* like x; may alias x */
    uint32_t head_dim;
    uint32_t rotary_dim; /* even; 0 = head_dim */
    zm_rope_layout layout;
    float base;            /* 0 = 10000 */
    float frequency_scale; /* 0 = 1; linear scaling by s is 1 / s */
    float magnitude;       /* 0 = 1 */
} zm_rope_params;

ZM_API zm_status zm_rope(zm_stream *stream, const zm_rope_params *params);

/* dst[r] = e^(scale x[r] - max) / sum. */
typedef struct zm_softmax_params {
    zm_tensor x;   /* [rows][n] */
    zm_tensor dst; /* like x; may alias x */
    float scale;   /* 0 = 1 */
} zm_softmax_params;

ZM_API zm_status zm_softmax(zm_stream *stream, const zm_softmax_params *params);

/* dst = x element by element, converted to dst's type (to nearest even). Any strides, also of the
 * innermost dimension: a transpose is a copy whose x has exchanged shape and stride. */
typedef struct zm_copy_params {
    zm_tensor x;   /* rank 1..4: F32, F16, BF16, the real_type; or I32 to I32 */
    zm_tensor dst; /* same shape; no overlap with x */
} zm_copy_params;

ZM_API zm_status zm_copy(zm_stream *stream, const zm_copy_params *params);

/* The k largest of each row, the largest first; the lowest index wins a tie; NaN never gets in:
 * where numbers run out, the rest is index -1 and -inf. */
typedef struct zm_top_k_params {
    zm_tensor x;       /* [rows][n] */
    zm_tensor values;  /* [rows][k], like x */
    zm_tensor indices; /* [rows][k] I32 */
} zm_top_k_params;     /* k <= min(n, 256) */

ZM_API zm_status zm_top_k(zm_stream *stream, const zm_top_k_params *params);

/* dst[r] = index of the largest of x[r][0..n); the lowest index wins a tie; NaN never wins, a
 * row of only NaN gives 0. */
typedef struct zm_argmax_params {
    zm_tensor x;   /* [rows][n] */
    zm_tensor dst; /* [rows] I32 */
} zm_argmax_params;

ZM_API zm_status zm_argmax(zm_stream *stream, const zm_argmax_params *params);

/* ---- what there is ----
 * All ops with their kernel candidates in the order in which they are tried. Static storage. */
typedef struct zm_op_info {
    const char *name;
    size_t candidate_count;
    const char *const *candidates;
} zm_op_info;

ZM_API const zm_op_info *zm_op_list(size_t *count);

#ifdef __cplusplus
}
#endif
#endif
