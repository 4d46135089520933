/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/real.h"

void ZM_REF(argmax)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_argmax_args *a = args;
    int32_t *dst = (int32_t *)buffers[1] + a->dst_offset;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        size_t best = 0;
        double largest = act_get(x, 0);
        for (size_t i = 1; i < a->n; ++i) {
            double value = act_get(x, i);
            if (value > largest || (isnan(largest) && !isnan(value))) {
                best = i;
                largest = value;
            }
        }
        dst[row] = (int32_t)best;
    }
}
