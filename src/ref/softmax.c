/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/real.h"

void ZM_REF(softmax)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_softmax_args *a = args;
    double scale = (double)a->scale;
    for (size_t row = begin; row < end; ++row) {
        const REAL *x = (const REAL *)buffers[0] + a->x_offset + row * a->x_stride;
        REAL *dst = (REAL *)buffers[1] + a->dst_offset + row * a->dst_stride;
        double max = -INFINITY, sum = 0;
        for (size_t i = 0; i < a->n; ++i) {
            max = scale * x[i] > max ? scale * x[i] : max;
        }
        for (size_t i = 0; i < a->n; ++i) {
            sum += exp(scale * x[i] - max);
        }
        for (size_t i = 0; i < a->n; ++i) {
            dst[i] = (REAL)(exp(scale * x[i] - max) / sum);
        }
    }
}
