/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/real.h"

void ZM_REF(softmax)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_softmax_args *a = args;
    double scale = (double)a->scale;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        ACT *dst = (ACT *)buffers[1] + a->dst_offset + row * a->dst_stride;
        double max = -INFINITY, sum = 0;
        for (size_t i = 0; i < a->n; ++i) {
            max = scale * act_get(x, i) > max ? scale * act_get(x, i) : max;
        }
        for (size_t i = 0; i < a->n; ++i) {
            sum += exp(scale * act_get(x, i) - max);
        }
        for (size_t i = 0; i < a->n; ++i) {
            act_set(dst, i, exp(scale * act_get(x, i) - max) / sum);
        }
    }
}
