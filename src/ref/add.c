/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/real.h"

void ZM_REF(add)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_add_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        const ACT *y = (const ACT *)buffers[1] + a->y_offset + row * a->y_stride;
        ACT *dst = (ACT *)buffers[2] + a->dst_offset + row * a->dst_stride;
        for (size_t i = 0; i < a->d; ++i) {
            act_set(dst, i, act_get(x, i) + act_get(y, i));
        }
    }
}
