/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/linear.h"

/* Rows of x are packed, so the kernel_size rows under one output row are one run of elements. */
static void window(const void *args, const ACT *x, size_t row, size_t k0, size_t depth, double *out)
{
    const struct zm_conv1d_args *a = args;
    int64_t channels = a->channels, size = a->rows * channels;
    int64_t first = ((int64_t)row * a->stride - a->padding) * channels + (int64_t)k0;
    for (int64_t i = 0; i < (int64_t)depth; ++i) {
        bool inside = first + i >= 0 && first + i < size;
        out[i] = inside ? act_get(x, (size_t)(first + i)) : 0;
    }
}

void ZM_REF(conv1d)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_conv1d_args *a = args;
    size_t k = (size_t)a->kernel_size * a->channels;
    linear l = {.rows = a->dst_rows,
                .n = a->n,
                .k = k,
                .window = window,
                .args = a,
                .x = (const ACT *)buffers[0] + a->x_offset,
                .weight = buffers[1],
                .weight_offset = a->weight_offset,
                .weight_stride = k,
                .weight_type = (zm_dtype)a->weight_type,
                .panel = a->weight_panel,
                .param_type = (zm_dtype)a->param_type,
                .bias_offset = a->bias_offset,
                .activation = a->activation,
                .dst = (ACT *)buffers[3] + a->dst_offset,
                .dst_stride = a->dst_stride};
    if (a->flags & ZM_FLAG_BIAS) {
        l.bias = buffers[2];
    }
    ZM_REF(linear)(&l, begin, end);
}
