/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/linear.h"

void ZM_REF(matmul)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_matmul_args *a = args;
    linear l = {.rows = a->m,
                .n = a->n,
                .k = a->k,
                .x = (const REAL *)buffers[0] + a->x_offset,
                .size = INT64_MAX,
                .step = a->x_stride,
                .weight = buffers[1],
                .weight_offset = a->weight_offset,
                .weight_type = (zm_dtype)a->weight_type,
                .panel = a->weight_panel,
                .residual_stride = a->residual_stride,
                .dst = (REAL *)buffers[4] + a->dst_offset,
                .dst_stride = a->dst_stride,
                .gelu = a->activation == ZM_ARG_GELU};
    if (a->flags & ZM_FLAG_BIAS) {
        l.bias = (const REAL *)buffers[2] + a->bias_offset;
    }
    if (a->flags & ZM_FLAG_RESIDUAL) {
        l.residual = (const REAL *)buffers[3] + a->residual_offset;
    }
    ZM_REF(linear)(&l, begin, end);
}
