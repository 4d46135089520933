/* SPDX-License-Identifier: Apache-2.0 */
/* What the norms share: a row with its residual, and writing it normalised. */
#ifndef ZM_SRC_REF_NORM_H
#define ZM_SRC_REF_NORM_H

#include "ref/real.h"

typedef struct norm_row {
    const ACT *x, *residual;   /* NULL = absent, but x */
    const void *weight, *bias; /* elements of args->param_type, before the offset */
    ACT *dst, *sum;
} norm_row;

static inline norm_row norm_row_at(const struct zm_norm_args *a, void *const *buffers, size_t row)
{
    norm_row r = {.x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride,
                  .dst = (ACT *)buffers[4] + a->dst_offset + row * a->dst_stride};
    if (a->flags & ZM_FLAG_RESIDUAL) {
        r.residual = (const ACT *)buffers[1] + a->residual_offset + row * a->residual_stride;
    }
    if (a->flags & ZM_FLAG_WEIGHT) {
        r.weight = buffers[2];
    }
    if (a->flags & ZM_FLAG_BIAS) {
        r.bias = buffers[3];
    }
    if (a->flags & ZM_FLAG_SUM) {
        r.sum = (ACT *)buffers[5] + a->sum_offset + row * a->sum_stride;
    }
    return r;
}

static inline double norm_value(const norm_row *r, size_t i)
{
    return r->residual ? act_get(r->x, i) + act_get(r->residual, i) : act_get(r->x, i);
}

/* dst and sum may be x or residual, so element i is read before either is written. */
static inline void norm_write(const struct zm_norm_args *a, const norm_row *r, double mean,
                              double scale)
{
    zm_dtype type = (zm_dtype)a->param_type;
    for (size_t i = 0; i < a->d; ++i) {
        double value = norm_value(r, i);
        double y = (value - mean) * scale;
        if (r->weight) {
            y *= zm_load_real(r->weight, type, a->weight_offset + i);
        }
        if (r->bias) {
            y += zm_load_real(r->bias, type, a->bias_offset + i);
        }
        if (r->sum) {
            act_set(r->sum, i, value);
        }
        act_set(r->dst, i, y);
    }
}

#endif
