/* SPDX-License-Identifier: Apache-2.0 */
/* Plain-C operations: the specification of every op, the truth of every test and the kernels of
 * the host device. Each takes the argument struct of shaders/args.h and the buffers in its order.
 * One source is compiled with float and with double as the storage of activations and statistics,
 * and for each of them with F16 and BF16 activations; sums are in double in all. Weights, caches,
 * norm weights, biases and positions are of any type.
 *
 * An op is a loop over independent items; a call does the items begin .. end-1, so that a caller
 * may share them among threads without changing a bit. Ranges of consecutive items share work
 * (a converted block of weights, a block of keys): give a thread 32 of them or more at a time
 * where there are enough.
 *
 *   op                          an item is                    items
 *   layer_norm, rms_norm,
 *   crms_norm, row_statistics,
 *   add, recentre, embedding,
 *   rope, softmax, top_k,
 *   argmax                      a row                         rows
 *   kv_store                    a row of a sequence           sequences * rows
 *   matmul                      a row of a block of outputs   batch * ceil(n / ZM_REF_OUTPUTS) * m
 *   conv1d                      the same                      ceil(n / ZM_REF_OUTPUTS) * dst_rows
 *   patch_embedding             the same                      ceil(n / ZM_REF_OUTPUTS) * patches
 *   attention                   a row of a head               sequences * heads * rows
 *   copy                        a line of the innermost       shape[0] * shape[1] * shape[2]
 *                               dimension
 * Where there are several counts the last runs fastest. */
#ifndef ZM_SRC_REF_REF_H
#define ZM_SRC_REF_REF_H

#include <stddef.h>
#include <zeromean/common.h>

/* Also the group of columns whose statistics matmul writes. */
#define ZM_REF_OUTPUTS 64
/* attention takes head_dim up to this; the ops refuse more. */
#define ZM_REF_MAX_HEAD_DIM 2048

typedef void (*zm_ref_fn)(const void *args, void *const *buffers, size_t begin, size_t end);

typedef struct zm_ref_op {
    const char *name;                 /* as the kernel files are called */
    zm_ref_fn f32, f32_f16, f32_bf16; /* the real type, and the activations' where they differ */
    zm_ref_fn f64, f64_f16, f64_bf16;
    size_t (*items)(const void *args); /* how many items the whole op has */
} zm_ref_op;

/* NULL when there is none of that name. */
const zm_ref_op *zm_ref_find(const char *name);
/* The function for these types; real is F32 or F64, activations real, F16 or BF16. */
zm_ref_fn zm_ref_function(const zm_ref_op *op, zm_dtype real, zm_dtype activations);

#endif
