/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"

size_t op_key_place(const zm_kv_layout *layout, size_t head, size_t position, size_t i)
{
    size_t panel = layout->panel, dim = layout->head_dim;
    return head * layout->head_stride +
           (panel ? (position / panel * dim + i) * panel + position % panel : position * dim + i);
}

size_t op_value_place(const zm_kv_layout *layout, size_t head, size_t position, size_t i)
{
    return head * layout->head_stride + position * layout->head_dim + i;
}

zm_status op_cache_prepare(const zm_device *device, zm_kv_layout *layout, uint32_t sequences,
                           zm_tensor *keys, zm_tensor *values)
{
    zm_status status = zm_kv_layout_get(device, layout->dtype, layout->heads, layout->head_dim,
                                        layout->capacity, layout);
    if (status == ZM_OK) {
        keys->dtype = values->dtype = layout->dtype;
        keys->shape[0] = values->shape[0] =
            (uint32_t)layout->elements * (sequences ? sequences : 1);
    }
    return status;
}
