/* SPDX-License-Identifier: Apache-2.0 */
#include "common/half.h"
#include "ref/real.h"
#include "ref/sequence.h"

/* Keys are [capacity][head_dim] within a head, or [capacity / panel][head_dim][panel]; values are
 * always [capacity][head_dim]. */
void ZM_REF(kv_store)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_kv_store_args *a = args;
    zm_dtype type = (zm_dtype)a->kv_type;
    size_t dim = a->head_dim, panel = a->panel;
    int64_t capacity = a->head_stride / a->head_dim;
    const int32_t *starts =
        a->flags & ZM_FLAG_STARTS ? (const int32_t *)buffers[3] + a->starts_offset : NULL;
    for (size_t item = begin; item < end; ++item) {
        size_t sequence = item / a->rows;
        sequence_rows s = rows_of_sequence(starts, sequence, a->rows, a->all_rows);
        if (item % a->rows >= s.count) {
            continue;
        }
        size_t row = s.first + item % a->rows;
        const ACT *k = (const ACT *)buffers[0] + a->k_offset + row * a->k_stride;
        const ACT *v = (const ACT *)buffers[1] + a->v_offset + row * a->v_stride;
        int64_t place = (int64_t)a->position + (int64_t)(item % a->rows);
        if (a->flags & ZM_FLAG_POSITION) {
            place += ((const int32_t *)buffers[2])[a->positions_offset + sequence];
        }
        if (place < 0 || place >= capacity) {
            continue;
        }
        size_t position = (size_t)place;
        for (size_t head = 0; head < a->heads; ++head) {
            size_t first = (sequence * a->heads + head) * a->head_stride;
            for (size_t i = 0; i < dim; ++i) {
                size_t value = position * dim + i;
                size_t key =
                    panel ? (position / panel * dim + i) * panel + position % panel : value;
                zm_store_real(buffers[4], type, a->k_cache_offset + first + key,
                              act_get(k, head * dim + i));
                zm_store_real(buffers[5], type, a->v_cache_offset + first + value,
                              act_get(v, head * dim + i));
            }
        }
    }
}
