/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/real.h"

void ZM_REF(recentre)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_add_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        const REAL *x = (const REAL *)buffers[0] + a->x_offset + row * a->x_stride;
        const REAL *y = a->flags & ZM_FLAG_RESIDUAL
                            ? (const REAL *)buffers[1] + a->y_offset + row * a->y_stride
                            : NULL;
        REAL *dst = (REAL *)buffers[2] + a->dst_offset + row * a->dst_stride;
        double sum = 0;
        for (size_t i = 0; i < a->d; ++i) {
            sum += y ? (double)x[i] + y[i] : x[i];
        }
        double mean = sum / a->d;
        for (size_t i = 0; i < a->d; ++i) {
            dst[i] = (REAL)((y ? (double)x[i] + y[i] : x[i]) - mean);
        }
    }
}
