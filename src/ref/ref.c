/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref.h"

#include <stdbool.h>
#include <string.h>

#include "ref/list.h"
#include "shaders/args.h"

/* OP_items where an item is a row. */
#define ROW_ITEMS(op, args_struct)                       \
    static size_t op##_items(const void *args)           \
    {                                                    \
        return ((const struct args_struct *)args)->rows; \
    }
ROW_ITEMS(layer_norm, zm_norm_args)
ROW_ITEMS(rms_norm, zm_norm_args)
ROW_ITEMS(crms_norm, zm_norm_args)
ROW_ITEMS(row_statistics, zm_row_statistics_args)
ROW_ITEMS(add, zm_add_args)
ROW_ITEMS(recentre, zm_add_args)
ROW_ITEMS(activate, zm_activate_args)
ROW_ITEMS(embedding, zm_embedding_args)
ROW_ITEMS(rope, zm_rope_args)
ROW_ITEMS(softmax, zm_softmax_args)
ROW_ITEMS(top_k, zm_top_k_args)
ROW_ITEMS(argmax, zm_argmax_args)
#undef ROW_ITEMS

static size_t blocks_of(size_t n)
{
    return (n + ZM_REF_OUTPUTS - 1) / ZM_REF_OUTPUTS;
}

static size_t matmul_items(const void *args)
{
    const struct zm_matmul_args *a = args;
    return a->batch * blocks_of(a->n) * a->m;
}

static size_t conv1d_items(const void *args)
{
    const struct zm_conv1d_args *a = args;
    return blocks_of(a->n) * a->dst_rows;
}

static size_t patch_embedding_items(const void *args)
{
    const struct zm_patch_embedding_args *a = args;
    return blocks_of(a->n) * (a->height / a->patch) * (a->width / a->patch);
}

static size_t attention_items(const void *args)
{
    const struct zm_attention_args *a = args;
    return (size_t)a->sequences * a->heads * a->rows;
}

static size_t kv_store_items(const void *args)
{
    const struct zm_kv_store_args *a = args;
    return (size_t)a->sequences * a->rows;
}

static size_t copy_items(const void *args)
{
    const struct zm_copy_args *a = args;
    return (size_t)a->shape[0] * a->shape[1] * a->shape[2];
}

const zm_ref_op *zm_ref_find(const char *name)
{
    static const zm_ref_op ops[] = {
#define REF_OP(op)           \
    {#op,                    \
     zm_ref_##op##_f32,      \
     zm_ref_##op##_f32_f16,  \
     zm_ref_##op##_f32_bf16, \
     zm_ref_##op##_f64,      \
     zm_ref_##op##_f64_f16,  \
     zm_ref_##op##_f64_bf16, \
     op##_items},
        ZM_REF_OPS(REF_OP)
#undef REF_OP
    };
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); ++i) {
        if (strcmp(ops[i].name, name) == 0) {
            return &ops[i];
        }
    }
    return NULL;
}

zm_ref_fn zm_ref_function(const zm_ref_op *op, zm_dtype real, zm_dtype activations)
{
    bool wide = real == ZM_F64;
    switch (activations) {
    case ZM_F16: return wide ? op->f64_f16 : op->f32_f16;
    case ZM_BF16: return wide ? op->f64_bf16 : op->f32_bf16;
    default: return wide ? op->f64 : op->f32;
    }
}
