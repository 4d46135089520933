/* SPDX-License-Identifier: Apache-2.0 */
/* Of which type each tensor of the output is. */
#include <string.h>

#include "common/quant.h"
#include "convert/reformat.h"

static bool is_block(zm_dtype type)
{
    return zm_dtype_block_length(type) > 1;
}

/* Quantised heads keep more bits, as llama.cpp does it. */
static bool is_head(const zm_reformat_plan *plan, const zm_reformat_item *item)
{
    return item->slot == ZM_TEXT_HEAD ||
           (item->slot == ZM_TEXT_TOKENS && zm_model_get_info(plan->model)->text.tied);
}

/* A row is a whole number of blocks. */
static zm_dtype fit(zm_reformat_plan *plan, const zm_reformat_item *item, zm_dtype type)
{
    const uint64_t columns = item->made.shape[item->made.rank - 1];
    if (columns % zm_dtype_block_length(type) == 0)
        return type;
    if (columns % zm_dtype_block_length(ZM_Q8_0) == 0) {
        plan->as_q8_0++;
        return ZM_Q8_0;
    }
    plan->as_f16++;
    return ZM_F16;
}

/* Vectors and tables of positions are F32 in every GGUF file that llama.cpp makes; its operations
 * take them so. */
static zm_dtype gguf_type(zm_reformat_plan *plan, const zm_reformat_item *item, zm_dtype wanted)
{
    const zm_dtype stored = item->source->dtype;
    if (item->made.rank < 2 || item->slot == ZM_TEXT_POSITIONS)
        return ZM_F32;
    if (wanted == ZM_DTYPE_NONE)
        return stored == ZM_F64 ? ZM_F32 : stored;
    if (is_block(wanted) && wanted != ZM_Q8_0 && is_head(plan, item))
        return fit(plan, item, ZM_Q6_K);
    return fit(plan, item, wanted);
}

static zm_dtype safetensors_type(const zm_reformat_item *item, zm_dtype wanted)
{
    const zm_dtype stored = item->source->dtype;
    if (wanted != ZM_DTYPE_NONE)
        return wanted;
    return is_block(stored) ? ZM_F32 : stored;
}

zm_dtype zm_reformat_main_type(const uint64_t elements[ZM_DTYPE_COUNT])
{
    zm_dtype most = ZM_F32;
    for (int type = 0; type < ZM_DTYPE_COUNT; type++)
        if (elements[type] > elements[most])
            most = (zm_dtype)type;
    return most;
}

static void count_types(zm_reformat_plan *plan)
{
    uint64_t elements[ZM_DTYPE_COUNT] = {0};
    for (size_t i = 0; i < plan->count; i++)
        elements[plan->items[i].made.dtype] += plan->items[i].made.elements;
    plan->type = zm_reformat_main_type(elements);
}

zm_status zm_reformat_choose_types(zm_reformat_plan *plan, zm_dtype wanted, const zm_log *log)
{
    const char *path = zm_model_get_info(plan->model)->path;
    if (!plan->to_gguf && is_block(wanted))
        return zm_fail(log, ZM_ERROR_INVALID_ARGUMENT,
                       "%s: safetensors files have no weights of type %s; f32, f16 and bf16 are "
                       "possible, and a GGUF file has the others",
                       path, zm_dtype_name(wanted));
    if (wanted != ZM_DTYPE_NONE && (!zm_quant_can_encode(wanted) || wanted == ZM_F64))
        return zm_fail(
            log, ZM_ERROR_INVALID_ARGUMENT,
            "convert: cannot store weights as %s; f32, f16, bf16, q8_0, q4_0, q4_1, q4_k "
            "and q6_k are possible",
            zm_dtype_name(wanted));
    for (size_t i = 0; i < plan->count; i++) {
        zm_reformat_item *item = &plan->items[i];
        item->made.dtype =
            plan->to_gguf ? gguf_type(plan, item, wanted) : safetensors_type(item, wanted);
    }
    count_types(plan);
    if (plan->as_q8_0)
        zm_logf(log, ZM_LOG_INFO,
                "%s: %zu matrices are stored as q8_0 instead of q4_k or q6_k, since their rows are "
                "no multiple of 256",
                path, plan->as_q8_0);
    if (plan->as_f16)
        zm_logf(log, ZM_LOG_INFO,
                "%s: %zu matrices have rows that are no multiple of 32 and are "
                "stored as f16",
                path, plan->as_f16);
    return ZM_OK;
}
