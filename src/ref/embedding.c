/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "common/half.h"
#include "common/quant.h"
#include "ref/real.h"

static double table_value(const struct zm_embedding_args *a, const void *table, size_t token,
                          size_t i)
{
    size_t panel = a->table_panel;
    size_t place =
        panel ? (token / panel * a->d + i) * panel + token % panel : token * a->table_stride + i;
    double value;
    zm_quant_load(&value, table, (zm_dtype)a->table_type, a->table_offset + place, 1);
    return value;
}

static double row_value(const struct zm_embedding_args *a, void *const *buffers, size_t row,
                        uint32_t token, size_t i)
{
    if (token >= a->vocabulary) { /* also the negative ones */
        return NAN;
    }
    double value = table_value(a, buffers[1], token, i) * (double)a->scale;
    if (a->flags & ZM_FLAG_POSITION) {
        value += zm_load_real(buffers[2], (zm_dtype)a->param_type,
                              a->position_offset + row * a->position_stride + i);
    }
    return value;
}

void ZM_REF(embedding)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_embedding_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        uint32_t token = (uint32_t)((const int32_t *)buffers[0])[a->tokens_offset + row];
        if (token < a->first) {
            continue;
        }
        token -= a->first;
        ACT *dst = (ACT *)buffers[3] + a->dst_offset + row * a->dst_stride;
        double mean = 0;
        if (a->flags & ZM_FLAG_RECENTRE) {
            for (size_t i = 0; i < a->d; ++i) {
                mean += row_value(a, buffers, row, token, i);
            }
            mean /= a->d;
        }
        for (size_t i = 0; i < a->d; ++i) {
            act_set(dst, i, row_value(a, buffers, row, token, i) - mean);
        }
    }
}
