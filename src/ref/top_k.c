/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/real.h"

/* Puts an element in its place among the count best so far, the largest first; those that came
 * before it stay before it when they are equal. Returns the new count. */
static size_t insert(ACT *values, int32_t *indices, size_t count, size_t k, double value,
                     size_t index)
{
    size_t place = count;
    while (place > 0 && value > act_get(values, place - 1)) {
        --place;
    }
    if (place == k) {
        return count;
    }
    count = count < k ? count + 1 : k;
    for (size_t i = count - 1; i > place; --i) {
        values[i] = values[i - 1];
        indices[i] = indices[i - 1];
    }
    act_set(values, place, value);
    indices[place] = (int32_t)index;
    return count;
}

void ZM_REF(top_k)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_top_k_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        const ACT *x = (const ACT *)buffers[0] + a->x_offset + row * a->x_stride;
        ACT *values = (ACT *)buffers[1] + a->values_offset + row * a->values_stride;
        int32_t *indices = (int32_t *)buffers[2] + a->indices_offset + row * a->indices_stride;
        size_t count = 0;
        for (size_t i = 0; i < a->n; ++i) {
            double value = act_get(x, i);
            if (!isnan(value)) {
                count = insert(values, indices, count, a->k, value, i);
            }
        }
        for (; count < a->k; ++count) {
            act_set(values, count, -INFINITY);
            indices[count] = -1;
        }
    }
}
