/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kv_layout.h"

#include <inttypes.h>

#include "common/alloc.h"
#include "ops/tuning.h"

/* Fills what follows from heads, head_dim, capacity and panel; false where 32 bits don't do. */
static bool layout_fill(zm_kv_layout *layout)
{
    uint64_t capacity = layout->capacity;
    if (layout->panel)
        capacity = (capacity + layout->panel - 1) / layout->panel * layout->panel;
    if (capacity == 0 || capacity > UINT32_MAX || layout->heads == 0 || layout->head_dim == 0)
        return false;
    layout->capacity = (uint32_t)capacity;
    layout->head_stride = capacity * layout->head_dim;
    return zm_mul_u64(layout->head_stride, layout->heads, &layout->elements) &&
           layout->elements <= UINT32_MAX;
}

zm_status zm_kv_layout_get(const zm_device *device, uint32_t heads, uint32_t head_dim,
                           uint32_t capacity, zm_kv_layout *out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    zm_kv_layout layout = {.heads = heads,
                           .head_dim = head_dim,
                           .capacity = capacity,
                           .panel = zm_tuning_get(device)->key_panel};
    if (heads == 0 || head_dim == 0 || capacity == 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "kv layout: %" PRIu32 " heads of %" PRIu32 ", capacity %" PRIu32
                       ": none may be 0",
                       heads, head_dim, capacity);
    if (!layout_fill(&layout))
        return zm_fail(&device->log, ZM_ERROR_LIMIT,
                       "kv layout: %" PRIu32 " heads of %" PRIu32 ", capacity %" PRIu32
                       ": 2^32 elements or more",
                       heads, head_dim, capacity);
    *out = layout;
    return ZM_OK;
}

zm_status zm_kv_layout_check(const zm_kv_layout *layout, zm_refusal *refusal)
{
    zm_kv_layout wanted = *layout;
    if (layout_fill(&wanted) && wanted.capacity == layout->capacity &&
        wanted.head_stride == layout->head_stride && wanted.elements == layout->elements)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                     "the layout contradicts itself; zm_kv_layout_get writes it");
}

zm_status zm_kv_panel_accepts(const zm_device *device, const zm_kv_layout *layout,
                              zm_refusal *refusal)
{
    uint32_t panel = zm_tuning_get(device)->key_panel;
    if (layout->panel == panel)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                     "keys in panels of %" PRIu32 ", not %" PRIu32 " as zm_kv_layout_get says",
                     layout->panel, panel);
}
