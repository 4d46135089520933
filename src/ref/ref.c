/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/ref.h"

#include <string.h>

#include "ref/list.h"
#include "shaders/args.h"

static size_t blocks_of(size_t n)
{
    return (n + ZM_REF_OUTPUTS - 1) / ZM_REF_OUTPUTS;
}

static size_t norm_items(const void *args)
{
    return ((const struct zm_norm_args *)args)->rows;
}

static size_t add_items(const void *args)
{
    return ((const struct zm_add_args *)args)->rows;
}

static size_t matmul_items(const void *args)
{
    const struct zm_matmul_args *a = args;
    return blocks_of(a->n) * a->m;
}

static size_t conv1d_items(const void *args)
{
    const struct zm_conv1d_args *a = args;
    return blocks_of(a->n) * a->dst_rows;
}

static size_t embedding_items(const void *args)
{
    return ((const struct zm_embedding_args *)args)->rows;
}

static size_t kv_store_items(const void *args)
{
    return ((const struct zm_kv_store_args *)args)->rows;
}

static size_t attention_items(const void *args)
{
    const struct zm_attention_args *a = args;
    return (size_t)a->heads * a->rows;
}

static size_t argmax_items(const void *args)
{
    return ((const struct zm_argmax_args *)args)->rows;
}

#define layer_norm_items norm_items
#define rms_norm_items norm_items
#define recentre_items add_items

const zm_ref_op *zm_ref_find(const char *name)
{
    static const zm_ref_op ops[] = {
#define REF_OP(op) {#op, zm_ref_##op##_f32, zm_ref_##op##_f64, op##_items},
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
