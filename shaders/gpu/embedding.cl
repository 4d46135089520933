/* SPDX-License-Identifier: Apache-2.0 */
/* embedding for GPUs: dst[r] = scale * table[token[r]] + position[r], minus its mean on demand.
 *
 *   table as rows:    [vocabulary][d], element i of a token at  token * stride + i
 *   table in panels:  [vocabulary / panel][d][panel], at  (token / panel * d + i) * panel
 *                                                         + token % panel
 *
 * A work-group takes one row; row.clh draws how its items share it. In panels the elements of a
 * token lie `panel` apart: few tokens are looked up at a time, and one table then serves as the
 * weights of the output matmul, too. */
#include "args.h"
#include "vector.clh"

struct source {
    __global const weight_t *table;   /* element 0 of the token, or of its panel of quantised
                                         rows; 0 = there is no such token */
    uint step;                        /* from element to element; quantised: the panel's row */
    __global const param_t *position; /* 0 = absent */
    float scale;
};

#if BLOCKS
/* Elements i .. i+3 of one row of a panel; i is a multiple of 4. */
static inline float4 panel_row4(__global const weight_t *panel, uint row, uint i)
{
    struct octet o = octet_load(panel, row / 4 * 4, i);
    float lanes[4][4];
#pragma unroll
    for (uint j = 0; j < 4; j++)
        vstore4(octet_weight(&o, i % 8 + j), 0, lanes[j]);
    row %= 4;
    return (float4)(lanes[0][row], lanes[1][row], lanes[2][row], lanes[3][row]);
}
#endif

static inline float4 table_take(const struct source *s, uint i, uint d)
{
    float4 v = (float4)(0.0f);
    if (i >= d)
        return v;
    uint count = d - i;
    if (!s->table)
        return (float4)(NAN);
#if BLOCKS
    return panel_row4(s->table, s->step, i); /* a row is whole blocks */
#else
    if (s->step == 1 && count >= 4)
        return LOAD_WEIGHT4(s->table, i);
    size_t at = (size_t)i * s->step;
    v.x = LOAD_WEIGHT(s->table, at);
    if (count > 1)
        v.y = LOAD_WEIGHT(s->table, at + s->step);
    if (count > 2)
        v.z = LOAD_WEIGHT(s->table, at + 2 * (size_t)s->step);
    if (count > 3)
        v.w = LOAD_WEIGHT(s->table, at + 3 * (size_t)s->step);
    return v;
#endif
}

static inline float4 source_take(const struct source *s, uint i, uint d)
{
    float4 v = table_take(s, i, d) * s->scale;
    if (s->position)
        v += load_param4(s->position, i, d);
    return v;
}

#include "row.clh"

static inline void find_token(struct source *s, __global const weight_t *table, uint token,
                              const struct zm_embedding_args *a)
{
    uint panel = a->table_panel;
    s->table = 0;
    s->step = panel ? panel : 1;
    s->scale = a->scale;
    if (token >= a->vocabulary) /* also the negative ones */
        return;
    s->table = weights_on(table, a->table_offset);
#if BLOCKS
    s->step = token % panel;
    s->table = weights_on(s->table, (size_t)(token / panel) * panel * a->d);
    return;
#endif
    if (panel)
        s->table += (size_t)(token / panel) * a->d * panel + token % panel;
    else
        s->table += (size_t)token * a->table_stride;
}

__kernel __attribute__((reqd_work_group_size(ITEMS, 1, 1))) void
embedding(__global const int *tokens, __global const weight_t *table,
          __global const param_t *position, __global act_t *dst, struct zm_embedding_args a)
{
    __local float scratch[ITEMS];
    __local float2 scratch2[ITEMS];
    size_t row = get_group_id(0);
    uint token = (uint)tokens[a.tokens_offset + row];
    if (token < a.first)
        return;
    struct row r;
    r.d = a.d;
    find_token(&r.source, table, token - a.first, &a);
    r.source.position =
        a.flags & ZM_FLAG_POSITION ? position + a.position_offset + row * a.position_stride : 0;
    row_begin(&r);
    float2 mean = (float2)(0.0f);
    if (a.flags & ZM_FLAG_RECENTRE)
        mean = row_mean(&r, scratch, scratch2);
    dst += a.dst_offset + row * a.dst_stride;
#pragma unroll
    for (uint step = 0; step < ROW_STEPS(&r); step++)
        store_row4((ROW_VALUE(&r, step) - mean.x) - mean.y, dst, row_place(step), r.d);
}
