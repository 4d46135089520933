/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/real.h"

static double value(const ACT *x, const ACT *y, size_t i)
{
    return y ? act_get(x, i) + act_get(y, i) : act_get(x, i);
}

void ZM_REF(recentre)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_add_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        const ACT *y = a->flags & ZM_FLAG_RESIDUAL
                           ? (const ACT *)buffers[1] + a->y_offset + row * a->y_stride
                           : NULL;
        ACT *dst = (ACT *)buffers[2] + a->dst_offset + row * a->dst_stride;
        double sum = 0;
        for (size_t i = 0; i < a->d; ++i) {
            sum += value(x, y, i);
        }
        double mean = sum / a->d;
        for (size_t i = 0; i < a->d; ++i) {
            act_set(dst, i, value(x, y, i) - mean);
        }
    }
}
