/* SPDX-License-Identifier: Apache-2.0 */
/* embedding for CPU devices: dst[r] = table[token[r]] + position[r], minus its mean on demand.
 *
 *   table as rows:    [vocabulary][d], element i of a token at  token * stride + i
 *   table in panels:  [vocabulary / panel][d][panel], at  (token / panel * d + i) * panel
 *                                                         + token % panel
 *
 * In panels the elements of a token lie `panel` apart: few tokens are looked up at a time, and one
 * table then serves as the weights of the output matmul, too. A work-item owns some whole rows. */
#include "args.h"
#include "row.clh"
#include "weight.clh"

static void table_row(__global const weight_t *table, uint token,
                      const struct zm_embedding_args *a, __global float *dst)
{
    if (token >= a->vocabulary) { /* also the negative ones */
        for (uint i = 0; i < a->d; i++)
            dst[i] = NAN;
        return;
    }
    uint panel = a->table_panel;
    if (panel) {
        table += (size_t)(token / panel) * a->d * panel + token % panel;
        for (uint i = 0; i < a->d; i++)
            dst[i] = LOAD_WEIGHT((size_t)i * panel, table);
        return;
    }
    table += (size_t)token * a->table_stride;
    uint i = 0;
    for (; i + 16 <= a->d; i += 16)
        vstore16(LOAD_WEIGHTS(0, table + i), 0, dst + i);
    for (; i < a->d; i++)
        dst[i] = LOAD_WEIGHT(i, table);
}

__kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
embedding(__global const int *tokens, __global const weight_t *table,
          __global const float *position, __global float *dst, struct zm_embedding_args a)
{
    for (uint row = first_row(a.rows); row < end_row(a.rows); row++) {
        struct row r;
        r.x = r.value = r.dst = dst + a.dst_offset + (size_t)row * a.dst_stride;
        r.residual = r.weight = r.bias = 0;
        if (a.flags & ZM_FLAG_POSITION)
            r.residual = position + a.position_offset + (size_t)row * a.position_stride;
        table_row(table + a.table_offset, (uint)tokens[a.tokens_offset + row], &a, r.dst);
        if (a.flags & ZM_FLAG_RECENTRE)
            row_recentre(&r, a.d);
        else
            row_sum(&r, a.d); /* for its first pass, which adds the position */
    }
}
