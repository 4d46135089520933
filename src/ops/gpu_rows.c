/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/gpu_rows.h"

#include "ops/tuning.h"
#include "ops/tunings.h"

static const zm_gpu_row_tuning gpu_tuning = {
    .small_items = 64,
    .large_items = 256,
    .small_row = 512,
    .groups_per_unit = 16,
    .argmax_chunk = 2048,
    .attention_items = 128,
    .attention_rows_each = 4,
    .attention_keys = 64,
    .attention_chunk = 32,
    .attention_local_bytes = 32768,
    .row_queries = 8,
    .row_most_rows = 4,
    .row_most_packed = 8,
    .row_split_keys = 256,
    .row_groups = 256,
};

const zm_gpu_row_tuning *zm_gpu_row_tuning_get(const zm_device *device)
{
    return &zm_tunings_get(device)->gpu;
}

const zm_gpu_row_tuning *zm_gpu_row_tuning_default(void)
{
    return &gpu_tuning;
}

uint32_t zm_gpu_items(const zm_device *device, uint32_t wanted)
{
    const zm_device_limits *limits = &device->info.limits;
    uint32_t most = limits->max_work_group;
    if (limits->max_work_group_dim[0] < most)
        most = limits->max_work_group_dim[0];
    uint32_t items = 1;
    while (2 * items <= wanted && 2 * items <= most)
        items *= 2;
    return items;
}

uint32_t zm_gpu_call_items(const zm_call *call, uint32_t wanted)
{
    return zm_gpu_items(call->device, wanted < call->most_items ? wanted : call->most_items);
}

zm_status zm_gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal)
{
    (void)params;
    if (zm_gpu_items(device, ZM_LEAST_ITEMS) == ZM_LEAST_ITEMS)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "work-groups of %d items are over the limit",
                     ZM_LEAST_ITEMS);
}

static bool is_aligned(const zm_tensor *tensor)
{
    if (!tensor->buffer)
        return true;
    bool rows = tensor->rank < 2 || tensor->stride[tensor->rank - 2] % 4 == 0;
    if (tensor->rank >= 2 && tensor->stride[tensor->rank - 2] == 0)
        rows = tensor->shape[tensor->rank - 1] % 4 == 0;
    return rows && tensor->offset % 4 == 0;
}

void zm_gpu_options_aligned(zm_options *options, const zm_tensor *const *tensors, size_t count)
{
    bool aligned = true;
    for (size_t i = 0; i < count; i++)
        aligned = aligned && is_aligned(tensors[i]);
    if (aligned)
        zm_options_add(options, "ALIGNED", 1);
}

/* Vectors of four that an item keeps: few numbers, because each is a kernel to build. */
static uint32_t steps_kept(uint32_t d, uint32_t items)
{
    static const uint32_t sizes[] = {1, 4, 8};
    for (size_t i = 0; i < ZM_COUNT(sizes); i++)
        if (d <= (uint64_t)sizes[i] * items * 4)
            return sizes[i];
    return 0;
}

zm_cut zm_gpu_cut_rows(const zm_call *call, const zm_options *options, uint32_t rows, uint32_t d)
{
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(call->device);
    uint32_t wanted = d <= tuning->small_row ? tuning->small_items : tuning->large_items;
    uint32_t items = zm_gpu_call_items(call, wanted);
    zm_cut cut = {.options = *options, .groups = {rows}, .local = {items}};
    zm_options_add(&cut.options, "ITEMS", items);
    if (call->device->info.limits.sub_group_size)
        zm_options_add(&cut.options, "SUB_GROUPS", 1);
    zm_options_add(&cut.options, "KEEP", steps_kept(d, items));
    return cut;
}

zm_cut zm_gpu_cut_pieces(const zm_call *call, const zm_options *options, uint64_t count)
{
    const zm_gpu_row_tuning *tuning = zm_gpu_row_tuning_get(call->device);
    uint32_t items = zm_gpu_call_items(call, tuning->small_items);
    uint32_t units = call->device->info.limits.compute_units;
    uint64_t most = (uint64_t)(units ? units : 1) * tuning->groups_per_unit;
    uint64_t groups = (count + items - 1) / items;
    if (groups > most)
        groups = most;
    zm_cut cut = {.options = *options, .groups = {groups ? (uint32_t)groups : 1}, .local = {items}};
    zm_options_add(&cut.options, "ITEMS", items);
    return cut;
}
