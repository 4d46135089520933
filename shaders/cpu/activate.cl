/* SPDX-License-Identifier: Apache-2.0 */
/* activate for CPU devices: dst = activation(x + bias) * y.
 *
 *   x, y, dst: [row][d], each with its own stride; bias: [d]
 *
 * A work-item owns some whole rows; 16 elements at a time, the last ones as the first lanes of a
 * vector. dst may be x or y: each element is read before it is written. */
#include "args.h"
#include "kernel.clh"
#include "math.clh"
#include "types.clh"
#include "vector.clh"

struct row {
    __global const act_t *x, *y;  /* y 0 = absent */
    __global const param_t *bias; /* 0 = absent */
    __global act_t *dst;
};

/* count elements, less than 16, from i on. */
static void activate_rest(const struct row *r, uint i, uint count, uint activation)
{
    float lanes[16];
    for (uint j = 0; j < 16; j++) {
        lanes[j] = j < count ? LOAD_ACT(r->x, i + j) : 0.0f;
        if (j < count && r->bias)
            lanes[j] += LOAD_PARAM(r->bias, i + j);
    }
    float16 v = activate16(vload16(0, lanes), activation);
    KEEP16(v, lanes, 0);
    for (uint j = 0; j < count; j++)
        STORE_ACT(r->y ? lanes[j] * LOAD_ACT(r->y, i + j) : lanes[j], r->dst, i + j);
}

static void activate_row(const struct row *r, uint d, uint activation)
{
    uint i = 0;
    for (; i + 16 <= d; i += 16) {
        float16 v = LOAD_ACT16(r->x, i);
        if (r->bias)
            v += LOAD_PARAM16(r->bias, i);
        v = activate16(v, activation);
        if (r->y)
            v *= LOAD_ACT16(r->y, i);
        STORE_ACT16(v, r->dst, i);
    }
    if (i < d)
        activate_rest(r, i, d - i, activation);
}

KERNEL(activate, __global const act_t *x, __global const param_t *bias, __global const act_t *y,
       __global act_t *dst, struct zm_activate_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        struct row r = {x + a.x_offset + (size_t)row * a.x_stride, 0, 0,
                        dst + a.dst_offset + (size_t)row * a.dst_stride};
        if (a.flags & ZM_FLAG_BIAS)
            r.bias = bias + a.bias_offset;
        if (a.flags & ZM_FLAG_FACTOR)
            r.y = y + a.y_offset + (size_t)row * a.y_stride;
        activate_row(&r, a.d, a.activation);
    }
}
