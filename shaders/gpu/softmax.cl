/* SPDX-License-Identifier: Apache-2.0 */
/* softmax for GPUs: dst = e^(v - max) / sum, v = scale x.
 *
 * A work-group takes one row; row.clh draws how its items share it. Three passes over what they
 * keep: the maximum, the sum, dst. */
#include "args.h"
#include "vector.clh"

struct source {
    __global const act_t *x;
    float scale;
};

static inline float4 source_take(const struct source *s, uint i, uint d)
{
    return load_row4(s->x, i, d) * s->scale;
}

#include "row.clh"

static inline float row_max(const struct row *r, __local float *scratch)
{
    float4 most = (float4)(-INFINITY);
#pragma unroll
    for (uint step = 0; step < ROW_STEPS(r); step++)
        most = fmax(most, cut_row4(ROW_VALUE(r, step), row_place(step), r->d, -INFINITY));
    return group_max(fmax(fmax(most.x, most.y), fmax(most.z, most.w)), scratch);
}

static inline float row_weights(const struct row *r, float most, __local float *scratch)
{
    float4 sum = (float4)(0.0f);
#pragma unroll
    for (uint step = 0; step < ROW_STEPS(r); step++)
        sum += cut_row4(exp(ROW_VALUE(r, step) - most), row_place(step), r->d, 0.0f);
    return group_sum(add_up4(sum), scratch);
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
softmax(__global const act_t *x, __global act_t *dst, struct zm_softmax_args a)
{
    __local float scratch[ITEMS];
    size_t row = get_group_id(0);
    struct row r;
    r.d = a.n;
    r.source.x = x + a.x_offset + row * a.x_stride;
    r.source.scale = a.scale;
    row_begin(&r);
    float most = row_max(&r, scratch);
    float factor = 1.0f / row_weights(&r, most, scratch);
    dst += a.dst_offset + row * a.dst_stride;
#pragma unroll
    for (uint step = 0; step < ROW_STEPS(&r); step++)
        store_row4(exp(ROW_VALUE(&r, step) - most) * factor, dst, row_place(step), r.d);
}
