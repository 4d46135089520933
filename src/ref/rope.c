/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "ref/real.h"

/* How far pair i of a row turns (Su et al. 2021). */
static double angle(const struct zm_rope_args *a, void *const *buffers, size_t row, size_t i)
{
    double position = ((const int32_t *)buffers[1])[a->positions_offset + row];
    double divisor = pow((double)a->base, 2.0 * (double)i / a->rotary_dim);
    if (a->flags & ZM_FLAG_FACTORS) {
        divisor *= ((const REAL *)buffers[2])[a->factors_offset + i];
    }
    return position * (double)a->frequency_scale / divisor;
}

/* dst may be x: both of a pair are read before either is written. */
void ZM_REF(rope)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_rope_args *a = args;
    size_t dim = a->head_dim, pairs = a->rotary_dim / 2;
    size_t step = a->layout == ZM_ARG_ROPE_PAIRS ? 2 : 1;        /* from pair to pair */
    size_t partner = a->layout == ZM_ARG_ROPE_PAIRS ? 1 : pairs; /* within a pair */
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        ACT *dst = (ACT *)buffers[3] + a->dst_offset + row * a->dst_stride;
        for (size_t i = 0; i < pairs; ++i) {
            double turn = angle(a, buffers, row, i), magnitude = (double)a->magnitude;
            double cosine = cos(turn) * magnitude, sine = sin(turn) * magnitude;
            for (size_t first = i * step; first < a->heads * dim; first += dim) {
                double p = act_get(x, first), q = act_get(x, first + partner);
                act_set(dst, first, p * cosine - q * sine);
                act_set(dst, first + partner, q * cosine + p * sine);
            }
        }
        for (size_t head = 0; head < a->heads; ++head) {
            size_t rest = head * dim + a->rotary_dim;
            memmove(dst + rest, x + rest, (dim - a->rotary_dim) * sizeof(ACT));
        }
    }
}
