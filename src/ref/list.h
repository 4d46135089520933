/* SPDX-License-Identifier: Apache-2.0 */
/* The list of the reference ops, and the functions that come of it. */
#ifndef ZM_SRC_REF_LIST_H
#define ZM_SRC_REF_LIST_H

#include <stddef.h>

#define ZM_REF_OPS(X)  \
    X(layer_norm)      \
    X(rms_norm)        \
    X(crms_norm)       \
    X(row_statistics)  \
    X(add)             \
    X(recentre)        \
    X(activate)        \
    X(matmul)          \
    X(conv1d)          \
    X(patch_embedding) \
    X(embedding)       \
    X(kv_store)        \
    X(attention)       \
    X(rope)            \
    X(softmax)         \
    X(copy)            \
    X(top_k)           \
    X(argmax)

#define ZM_REF_DECLARE_ONE(function) \
    void function(const void *args, void *const *buffers, size_t begin, size_t end);
#define ZM_REF_DECLARE(op)                     \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f32)      \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f32_f16)  \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f32_bf16) \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f64)      \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f64_f16)  \
    ZM_REF_DECLARE_ONE(zm_ref_##op##_f64_bf16)
ZM_REF_OPS(ZM_REF_DECLARE)
#undef ZM_REF_DECLARE
#undef ZM_REF_DECLARE_ONE

#endif
