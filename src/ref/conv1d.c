/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/linear.h"

/* Rows of x are packed, so the kernel_size rows under one output row are one window. */
void ZM_REF(conv1d)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_conv1d_args *a = args;
    int64_t channels = a->channels;
    linear l = {.rows = a->dst_rows,
                .n = a->n,
                .k = (size_t)a->kernel_size * a->channels,
                .x = (const REAL *)buffers[0] + a->x_offset,
                .size = a->rows * channels,
                .step = a->stride * channels,
                .padding = a->padding * channels,
                .weight = buffers[1],
                .weight_offset = a->weight_offset,
                .weight_type = (zm_dtype)a->weight_type,
                .panel = a->weight_panel,
                .dst = (REAL *)buffers[3] + a->dst_offset,
                .dst_stride = a->dst_stride,
                .gelu = a->activation == ZM_ARG_GELU};
    if (a->flags & ZM_FLAG_BIAS) {
        l.bias = (const REAL *)buffers[2] + a->bias_offset;
    }
    ZM_REF(linear)(&l, begin, end);
}
