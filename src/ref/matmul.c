/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/linear.h"
#include "ref/ref.h"

static void window(const void *args, const ACT *x, size_t row, size_t k0, size_t depth, double *out)
{
    const struct zm_matmul_args *a = args;
    x += row * a->x_stride + k0;
    for (size_t i = 0; i < depth; ++i) {
        out[i] = act_get(x, i);
    }
}

static linear_scale scale_of(const struct zm_matmul_args *a, void *const *buffers)
{
    uint32_t kind = ZM_KIND_GET(a->kinds, ZM_KIND_SCALE);
    if (kind == 0) {
        return (linear_scale){.kind = 0};
    }
    return (linear_scale){.kind = kind,
                          .statistics = (const REAL *)buffers[5] + a->scale_offset,
                          .stride = a->scale_stride,
                          .groups = a->scale_groups,
                          .column_sums =
                              buffers[6] ? (const REAL *)buffers[6] + a->column_sums_offset : NULL,
                          .d = a->scale_d,
                          .eps = (double)a->scale_eps};
}

static linear matrix_of(const struct zm_matmul_args *a, void *const *buffers, size_t matrix)
{
    linear l = {.rows = a->m,
                .n = a->n,
                .k = a->k,
                .window = window,
                .args = a,
                .x = (const ACT *)buffers[0] + a->x_offset + matrix * a->x_batch,
                .weight = buffers[1],
                .weight_offset = a->weight_offset + matrix * a->weight_batch,
                .weight_stride = a->weight_stride,
                .weight_type = (zm_dtype)ZM_KIND_GET(a->kinds, ZM_KIND_WEIGHT_TYPE),
                .panel = a->weight_panel,
                .scale = scale_of(a, buffers),
                .residual_stride = a->residual_stride,
                .param_type = (zm_dtype)ZM_KIND_GET(a->kinds, ZM_KIND_PARAM_TYPE),
                .bias_offset = a->bias_offset,
                .activation = ZM_KIND_GET(a->kinds, ZM_KIND_ACTIVATION),
                .gated = (a->flags & ZM_FLAG_GATED) != 0,
                .dst = (ACT *)buffers[4] + a->dst_offset + matrix * a->dst_batch,
                .dst_stride = a->dst_stride,
                .statistics_stride = a->statistics_stride,
                .norm_weight_offset = a->norm_weight_offset,
                .weighted_stride = a->weighted_stride};
    if (a->flags & ZM_FLAG_BIAS) {
        l.bias = buffers[2];
    }
    if (a->flags & ZM_FLAG_RESIDUAL) {
        l.residual = (const ACT *)buffers[3] + a->residual_offset + matrix * a->residual_batch;
    }
    if (a->flags & ZM_FLAG_FACTOR) {
        l.factor = (const ACT *)buffers[3] + a->residual_offset + matrix * a->residual_batch;
    }
    if (a->flags & ZM_FLAG_STATISTICS) {
        l.statistics = (REAL *)buffers[7] + a->statistics_offset;
    }
    if (a->flags & ZM_FLAG_WEIGHT) {
        l.norm_weight = buffers[8];
        l.weighted = (ACT *)buffers[9] + a->weighted_offset;
    }
    return l;
}

void ZM_REF(matmul)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_matmul_args *a = args;
    size_t blocks = ((size_t)a->n + ZM_REF_OUTPUTS - 1) / ZM_REF_OUTPUTS;
    size_t items = blocks * a->m; /* of one matrix of the batch */
    while (begin < end) {
        size_t first = begin % items;
        size_t count = items - first < end - begin ? items - first : end - begin;
        linear l = matrix_of(a, buffers, begin / items);
        ZM_REF(linear)(&l, first, first + count);
        begin += count;
    }
}
