/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/real.h"

static void keep_statistics(const struct zm_row_statistics_args *a, void *const *buffers,
                            size_t row)
{
    const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
    REAL *out = (REAL *)buffers[1] + a->statistics_offset + row * a->statistics_stride;
    for (size_t first = 0; first < a->d; first += a->group) {
        double squares = 0, sum = 0;
        for (size_t i = first; i < first + a->group && i < a->d; ++i) {
            double value = act_get(x, i);
            squares += value * value;
            sum += value;
        }
        *out++ = (REAL)squares;
        *out++ = (REAL)sum;
    }
}

static void multiply_row(const struct zm_row_statistics_args *a, void *const *buffers, size_t row)
{
    const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
    ACT *weighted = (ACT *)buffers[3] + a->weighted_offset + row * a->weighted_stride;
    for (size_t i = 0; i < a->d; ++i) {
        act_set(weighted, i,
                act_get(x, i) *
                    zm_load_real(buffers[2], (zm_dtype)a->param_type, a->weight_offset + i));
    }
}

void ZM_REF(row_statistics)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_row_statistics_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        if (a->flags & ZM_FLAG_STATISTICS) {
            keep_statistics(a, buffers, row);
        }
        if (a->flags & ZM_FLAG_WEIGHT) {
            multiply_row(a, buffers, row);
        }
    }
}
