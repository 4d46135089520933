/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/quant.h"
#include "model/model_private.h"

static bool is_quantised(zm_dtype type)
{
    return zm_dtype_block_length(type) > 1;
}

/* Where the main branch begins, its mean is taken out at run time as well: it has to be where the
 * token table is the head, which does not ignore the mean, and it lets quantised tables stay. */
static zm_recentre_axis axis_of(const zm_tensor_pattern *pattern, zm_dtype type)
{
    switch (pattern->role) {
    case ZM_ROLE_WRITER_WEIGHT: return pattern->transposed ? ZM_RECENTRE_ROWS : ZM_RECENTRE_OUTPUTS;
    case ZM_ROLE_WRITER_BIAS: return ZM_RECENTRE_ROWS;
    case ZM_ROLE_TABLE:
    case ZM_ROLE_POSITION: return is_quantised(type) ? ZM_RECENTRE_NONE : ZM_RECENTRE_ROWS;
    default: return ZM_RECENTRE_NONE;
    }
}

/* Vectors and positions of GGUF are F32 where weights are rounded: llama.cpp takes them so. */
static bool is_kept_wide(const zm_model *model, const zm_tensor_pattern *pattern,
                         const zm_model_tensor *tensor)
{
    return model->gguf && (tensor->rank < 2 || (pattern && pattern->role == ZM_ROLE_POSITION));
}

static zm_dtype output_type(const zm_plan_item *item, zm_dtype wanted, bool wide)
{
    zm_dtype stored = item->tensor->dtype;
    if (wanted == ZM_F16 && wide)
        return ZM_F32;
    if (wanted != ZM_DTYPE_NONE)
        return wanted;
    if (item->axis == ZM_RECENTRE_NONE || is_quantised(stored))
        return stored;
    return stored == ZM_F64 ? ZM_F64 : ZM_F32;
}

/* Blocks run along the inputs of a writer, whose means differ within a block: they would have to be
 * rounded once more. */
static zm_status check_requantised(const zm_plan_item *item, bool lossy, const zm_log *log)
{
    const zm_model_tensor *tensor = item->tensor;
    if (!lossy)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is %s, which recentring would round again: the weights are kept and "
                       "there is nothing to do, the file runs exactly as it is through the "
                       "deferred LayerNorm; only a lossy conversion changes it",
                       item->path, tensor->name, zm_dtype_name(tensor->dtype));
    if (!zm_quant_can_encode(item->dtype))
        return zm_fail(
            log, ZM_ERROR_UNSUPPORTED,
            "%s: %s is %s, a type that can only be read, not quantised again; ask for the "
            "norm rms and the type f16 or f32",
            item->path, tensor->name, zm_dtype_name(tensor->dtype));
    return ZM_OK;
}

static zm_status plan_tensor(const zm_model *model, zm_dtype type, bool lossy, const zm_log *log,
                             zm_plan_item *item)
{
    const zm_model_tensor *tensor = item->tensor;
    const zm_model_info *info = zm_model_get_info(model);
    const zm_tensor_pattern *pattern = zm_tensor_pattern_get(model, tensor->name);
    const bool recentre = info->norm == ZM_NORM_LAYER; /* RMSNorm does not ignore the mean */
    if (recentre && !pattern)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no known part in the architecture %s and may write the main "
                       "branch, so the conversion would not be exact; remove it from the model",
                       info->path, tensor->name, info->architecture_name);
    if (!zm_quant_can_decode(tensor->dtype))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is of type %s, which cannot be converted exactly; convert from the "
                       "floating-point model",
                       info->path, tensor->name, zm_dtype_name(tensor->dtype));
    item->axis = recentre ? axis_of(pattern, tensor->dtype) : ZM_RECENTRE_NONE;
    item->dtype = output_type(item, type, is_kept_wide(model, pattern, tensor));
    return item->axis != ZM_RECENTRE_NONE && is_quantised(item->dtype)
               ? check_requantised(item, lossy, log)
               : ZM_OK;
}

static int compare_items(const void *left, const void *right)
{
    const zm_plan_item *a = left, *b = right;
    size_t size_a = zm_dtype_size(a->dtype), size_b = zm_dtype_size(b->dtype);
    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    return strcmp(a->tensor->name, b->tensor->name);
}

static zm_status total_up(zm_plan *plan, const zm_log *log)
{
    for (size_t i = 0; i < plan->count; i++) {
        const zm_plan_item *item = &plan->items[i];
        uint64_t bytes;
        if (!zm_mul_u64(item->tensor->elements, sizeof(double), &bytes) ||
            !zm_add_u64(plan->output_bytes, zm_dtype_bytes(item->dtype, item->tensor->elements),
                        &plan->output_bytes))
            return zm_fail(log, ZM_ERROR_LIMIT, "%s: %s is too large to convert", item->path,
                           item->tensor->name);
        plan->input_bytes += item->tensor->bytes;
        plan->requantised += item->axis != ZM_RECENTRE_NONE && is_quantised(item->dtype);
        plan->recentred += item->axis != ZM_RECENTRE_NONE;
    }
    return ZM_OK;
}

zm_status zm_plan_make(const zm_model *model, zm_dtype type, bool lossy, const zm_log *log,
                       zm_plan *out)
{
    const zm_model_info *info = zm_model_get_info(model);
    zm_plan plan = {.items = zm_calloc(model->tensor_count, sizeof(*plan.items))};
    zm_status status = ZM_OK;
    if (info->architecture == ZM_ARCHITECTURE_TEXT && info->text.norm != ZM_NORM_LAYER)
        status = zm_fail(log, ZM_ERROR_UNSUPPORTED,
                         "%s: %s has no LayerNorm: there is nothing to convert", info->path,
                         info->architecture_name);
    else if (!plan.items)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    for (size_t i = 0; i < model->tensor_count && !status; i++) {
        if (model->family && zm_text_is_ignored(model->tensors[i].name))
            continue;
        zm_plan_item *item = &plan.items[plan.count++];
        *item = (zm_plan_item){.path = info->path, .tensor = &model->tensors[i]};
        status = plan_tensor(model, type, lossy, log, item);
    }
    if (!status)
        status = total_up(&plan, log);
    if (!status && plan.recentred == 0 && info->norm == ZM_NORM_LAYER)
        status = zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: nothing in it writes a main branch",
                         info->path);
    if (status) {
        zm_plan_finish(&plan);
        return status;
    }
    qsort(plan.items, plan.count, sizeof(*plan.items), compare_items);
    *out = plan;
    return ZM_OK;
}

void zm_plan_finish(zm_plan *plan)
{
    free(plan->items);
    *plan = (zm_plan){0};
}
