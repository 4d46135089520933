/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/linear.h"

/* Row i * (width / patch) + j of dst is made of the patch at row i, column j of patches; its
 * elements are [channels][patch][patch]. */
static void window(const void *args, const ACT *x, size_t row, size_t k0, size_t depth, double *out)
{
    const struct zm_patch_embedding_args *a = args;
    size_t patch = a->patch, across = a->width / patch;
    size_t top = row / across * patch, left = row % across * patch;
    for (size_t i = 0; i < depth; ++i) {
        size_t c = (k0 + i) / patch / patch, u = (k0 + i) / patch % patch, v = (k0 + i) % patch;
        out[i] = act_get(x, (c * a->height + top + u) * a->width + left + v);
    }
}

/* The position is added as a residual is: after the bias. */
void ZM_REF(patch_embedding)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_patch_embedding_args *a = args;
    size_t k = (size_t)a->channels * a->patch * a->patch;
    linear l = {.rows = (size_t)(a->height / a->patch) * (a->width / a->patch),
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
                .position_offset = a->position_offset,
                .position_stride = a->position_stride,
                .dst = (ACT *)buffers[4] + a->dst_offset,
                .dst_stride = a->dst_stride};
    if (a->flags & ZM_FLAG_BIAS) {
        l.bias = buffers[2];
    }
    if (a->flags & ZM_FLAG_POSITION) {
        l.position = buffers[3];
    }
    ZM_REF(linear)(&l, begin, end);
}
