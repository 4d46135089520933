/* SPDX-License-Identifier: Apache-2.0 */
/* embedding for CPU devices: dst[r] = scale * table[token[r]] + position[r], minus its mean on
 * demand.
 *
 *   table as rows:    [vocabulary][d], element i of a token at  token * stride + i
 *   table in panels:  [vocabulary / panel][d][panel], at  (token / panel * d + i) * panel
 *                                                         + token % panel
 *
 * In panels the elements of a token lie `panel` apart: few tokens are looked up at a time, and one
 * table then serves as the weights of the output matmul, too. A work-item owns some whole rows. */
#include "args.h"
#include "kernel.clh"
#include "types.clh"
#include "vector.clh"

struct row_source {
    __global const weight_t *table;   /* first element of the token, or of its panel of quantised
                                         rows; 0 = there is no such token */
    uint step;                        /* from one element to the next; quantised: the panel's row */
    __global const param_t *position; /* 0 = absent */
    float scale;
};

static float take(const struct row_source *s, uint i)
{
#if BLOCKS
    float v = s->table ? block_load(s->table, s->step, i) : NAN;
#else
    float v = s->table ? LOAD_WEIGHT(s->table, (size_t)i * s->step) : NAN;
#endif
    v *= s->scale;
    return s->position ? v + LOAD_PARAM(s->position, i) : v;
}

static float16 take16(const struct row_source *s, uint i)
{
    if (BLOCKS || !s->table || s->step != 1) {
        float lanes[16];
        for (uint j = 0; j < 16; j++)
            lanes[j] = take(s, i + j);
        return vload16(0, lanes);
    }
#if !BLOCKS
    float16 v = LOAD_WEIGHT16(s->table, i) * s->scale;
    return s->position ? v + LOAD_PARAM16(s->position, i) : v;
#endif
}

#include "row.clh"

static struct row_source token_source(__global const weight_t *table, uint token,
                                      const struct zm_embedding_args *a)
{
    struct row_source s = {0, 1, 0, a->scale};
    uint panel = a->table_panel;
    if (token >= a->vocabulary) /* also the negative ones */
        return s;
#if BLOCKS
    s.step = token % panel;
    s.table = weights_on(table, (size_t)(token / panel) * panel * a->d);
    return s;
#endif
    s.step = panel ? panel : 1;
    s.table = panel ? table + (size_t)(token / panel) * a->d * panel + token % panel
                    : table + (size_t)token * a->table_stride;
    return s;
}

KERNEL(embedding, __global const int *tokens, __global const weight_t *table,
       __global const param_t *position, __global act_t *dst, struct zm_embedding_args a)
{
    for (uint row = FIRST_ROW(a.rows); row < END_ROW(a.rows); row++) {
        uint token = (uint)tokens[a.tokens_offset + row];
        if (token < a.first)
            continue;
        struct row r = {token_source(weights_on(table, a.table_offset), token - a.first, &a), 0, 0,
                        0, 0};
        r.dst = dst + a.dst_offset + (size_t)row * a.dst_stride;
        if (a.flags & ZM_FLAG_POSITION)
            r.source.position = position + a.position_offset + (size_t)row * a.position_stride;
        if (a.flags & ZM_FLAG_RECENTRE)
            row_recentre(&r, a.d);
        else
            row_write(&r, a.d, 0.0f, 0.0f, 1.0f);
    }
}
