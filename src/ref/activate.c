/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/activation.h"
#include "ref/real.h"

void ZM_REF(activate)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_activate_args *a = args;
    bool has_bias = a->flags & ZM_FLAG_BIAS, has_y = a->flags & ZM_FLAG_FACTOR;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        const ACT *y = has_y ? (const ACT *)buffers[2] + a->y_offset + row * a->y_stride : NULL;
        ACT *dst = (ACT *)buffers[3] + a->dst_offset + row * a->dst_stride;
        for (size_t i = 0; i < a->d; ++i) {
            double value = act_get(x, i);
            if (has_bias) {
                value += zm_load_real(buffers[1], (zm_dtype)a->param_type, a->bias_offset + i);
            }
            value = activate(a->activation, value);
            act_set(dst, i, has_y ? value * act_get(y, i) : value);
        }
    }
}
