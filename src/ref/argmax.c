/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/real.h"

void ZM_REF(argmax)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_argmax_args *a = args;
    int32_t *dst = (int32_t *)buffers[1] + a->dst_offset;
    for (size_t row = begin; row < end; ++row) {
        const REAL *x = (const REAL *)buffers[0] + a->x_offset + row * a->x_stride;
        size_t best = 0;
        for (size_t i = 1; i < a->n; ++i) {
            if (x[i] > x[best] || (isnan(x[best]) && !isnan(x[i]))) {
                best = i;
            }
        }
        dst[row] = (int32_t)best;
    }
}
