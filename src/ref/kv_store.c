/* SPDX-License-Identifier: Apache-2.0 */
#include "ref/real.h"

void ZM_REF(kv_store)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_kv_store_args *a = args;
    size_t dim = a->head_dim, panel = a->panel;
    for (size_t row = begin; row < end; ++row) {
        const REAL *k = (const REAL *)buffers[0] + a->k_offset + row * a->k_stride;
        const REAL *v = (const REAL *)buffers[1] + a->v_offset + row * a->v_stride;
        size_t position = a->position + row;
        for (size_t head = 0; head < a->heads; ++head) {
            REAL *keys = (REAL *)buffers[2] + a->k_cache_offset + head * a->head_stride;
            REAL *values = (REAL *)buffers[3] + a->v_cache_offset + head * a->head_stride;
            for (size_t i = 0; i < dim; ++i) {
                size_t place = panel ? (position / panel * dim + i) * panel + position % panel
                                     : position * dim + i;
                keys[place] = k[head * dim + i];
                values[position * dim + i] = v[head * dim + i];
            }
        }
    }
}
