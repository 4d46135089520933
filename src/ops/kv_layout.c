/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kv_layout.h"

#include <inttypes.h>

#include "common/alloc.h"
#include "ops/operand.h"
#include "ops/tuning.h"

/* Fills what follows from heads, head_dim and capacity; false where 32 bits don't do. */
static bool layout_fill(zm_kv_layout *layout)
{
    layout->head_stride = (uint64_t)layout->capacity * layout->head_dim;
    return layout->head_stride != 0 && layout->heads != 0 &&
           zm_mul_u64(layout->head_stride, layout->heads, &layout->elements) &&
           layout->elements <= UINT32_MAX;
}

zm_status zm_kv_layout_get(const zm_device *device, zm_dtype dtype, uint32_t heads,
                           uint32_t head_dim, uint32_t capacity, zm_kv_layout *out)
{
    if (!device || !out)
        return ZM_ERROR_INVALID_ARGUMENT;
    const zm_op *const readers[] = {&zm_op_attention, &zm_op_kv_store};
    const zm_tuning *tuning = zm_tuning_of(zm_layout_family(device, readers, ZM_COUNT(readers)));
    uint64_t rounded = (uint64_t)zm_ceil_div(capacity, tuning->key_step) * tuning->key_step;
    zm_kv_layout layout = {.dtype = dtype ? dtype : device->info.real_type,
                           .heads = heads,
                           .head_dim = head_dim,
                           .capacity = (uint32_t)rounded,
                           .panel = tuning->key_panel};
    if (heads == 0 || head_dim == 0 || capacity == 0)
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "kv layout: %" PRIu32 " heads of %" PRIu32 ", capacity %" PRIu32
                       ": none may be 0",
                       heads, head_dim, capacity);
    if (!zm_type_is_stored(device, layout.dtype))
        return zm_fail(&device->log, ZM_ERROR_INVALID_ARGUMENT,
                       "kv layout: a cache can't be of type %s", zm_dtype_name(dtype));
    if (rounded > UINT32_MAX || !layout_fill(&layout))
        return zm_fail(&device->log, ZM_ERROR_LIMIT,
                       "kv layout: %" PRIu32 " heads of %" PRIu32 ", capacity %" PRIu32
                       ": 2^32 elements or more",
                       heads, head_dim, capacity);
    *out = layout;
    return ZM_OK;
}

static zm_status cache_check(const char *name, const zm_tensor *cache, const zm_kv_layout *layout,
                             zm_refusal *refusal)
{
    if (!cache->buffer || cache->dtype == layout->dtype)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "%s is %s, but its layout is for %s", name,
                     zm_dtype_name(cache->dtype), zm_dtype_name(layout->dtype));
}

zm_status zm_kv_layout_check(const zm_device *device, const zm_kv_layout *layout,
                             const zm_tensor *keys, const zm_tensor *values, zm_refusal *refusal)
{
    zm_kv_layout wanted = *layout;
    bool sound = zm_type_is_stored(device, layout->dtype) && layout_fill(&wanted) &&
                 (!layout->panel || layout->capacity % layout->panel == 0) &&
                 wanted.head_stride == layout->head_stride && wanted.elements == layout->elements;
    if (!sound)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "the layout contradicts itself; zm_kv_layout_get writes it");
    zm_status status = cache_check("k_cache", keys, layout, refusal);
    return status == ZM_OK ? cache_check("v_cache", values, layout, refusal) : status;
}

uint32_t zm_kv_sequences(uint32_t sequences)
{
    return sequences ? sequences : 1;
}

uint32_t zm_kv_rows_most(const zm_kv_rows *rows)
{
    if (!rows->ragged)
        return rows->all / zm_kv_sequences(rows->sequences);
    return rows->most ? rows->most : rows->all;
}

zm_status zm_kv_rows_check(const zm_kv_rows *rows, zm_refusal *refusal)
{
    if (rows->ragged && rows->most > rows->all)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "%" PRIu32 " rows of a sequence are more than all %" PRIu32, rows->most,
                         rows->all);
    if (!rows->ragged && rows->most)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "rows is for sequences whose starts are given");
    if (rows->ragged || rows->all % zm_kv_sequences(rows->sequences) == 0)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                     "%" PRIu32 " rows are no whole number for each of %" PRIu32 " sequences",
                     rows->all, rows->sequences);
}

zm_status zm_kv_layout_accepts(zm_kernel_family family, const zm_kv_layout *layout,
                               zm_refusal *refusal)
{
    const zm_tuning *tuning = zm_tuning_of(family);
    if (layout->panel != tuning->key_panel)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "keys in panels of %" PRIu32 ", not %" PRIu32, layout->panel,
                         tuning->key_panel);
    if (layout->capacity % tuning->key_step != 0)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "a capacity of %" PRIu32 " is no multiple of %" PRIu32, layout->capacity,
                         tuning->key_step);
    return ZM_OK;
}
