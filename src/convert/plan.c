/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/plan.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "model/model_private.h"

static zm_recentre_axis axis_of(zm_tensor_role role)
{
    switch (role) {
    case ZM_ROLE_WRITER_WEIGHT: return ZM_RECENTRE_OUTPUTS;
    case ZM_ROLE_WRITER_BIAS:
    case ZM_ROLE_POSITION: return ZM_RECENTRE_ROWS;
    /* The token table is the head as well, and the head does not ignore the mean: the rows lose
     * their mean when they are looked up. */
    case ZM_ROLE_EMBEDDING:
    default: return ZM_RECENTRE_NONE;
    }
}

static zm_dtype output_type(const zm_plan_item *item, zm_dtype wanted)
{
    zm_dtype stored = item->tensor->dtype;
    if (wanted != ZM_DTYPE_NONE)
        return wanted;
    if (item->axis == ZM_RECENTRE_NONE)
        return stored;
    return stored == ZM_F64 ? ZM_F64 : ZM_F32;
}

static zm_status plan_tensor(const zm_model *model, zm_dtype type, const zm_log *log,
                             zm_plan_item *item)
{
    const zm_model_tensor *tensor = item->tensor;
    const zm_model_info *info = zm_model_get_info(model);
    zm_tensor_role role = zm_tensor_role_get(model, tensor->name);
    const bool recentre = info->norm == ZM_NORM_LAYER; /* RMSNorm does not ignore the mean */
    if (recentre && role == ZM_ROLE_NONE)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s has no known part in the architecture %s and may write the main "
                       "branch, so the conversion would not be exact; remove it from the model",
                       info->path, tensor->name, info->architecture_name);
    if (!zm_dtype_is_real(tensor->dtype))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s is of type %s, which cannot be converted exactly; convert from the "
                       "floating-point model",
                       info->path, tensor->name, zm_dtype_name(tensor->dtype));
    item->axis = recentre ? axis_of(role) : ZM_RECENTRE_NONE;
    item->dtype = output_type(item, type);
    return ZM_OK;
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
        if (!zm_mul_u64(item->tensor->elements, zm_dtype_size(item->dtype), &bytes) ||
            !zm_add_u64(plan->output_bytes, bytes, &plan->output_bytes))
            return zm_fail(log, ZM_ERROR_LIMIT, "%s: %s is too large to convert", item->file->path,
                           item->tensor->name);
        plan->input_bytes += item->tensor->bytes;
        plan->recentred += item->axis != ZM_RECENTRE_NONE;
    }
    return ZM_OK;
}

zm_status zm_plan_make(const zm_model *model, zm_dtype type, const zm_log *log, zm_plan *out)
{
    zm_plan plan = {0};
    size_t count = 0;
    for (size_t f = 0; f < model->file_count; f++)
        count += model->files[f]->tensor_count;
    plan.items = zm_calloc(count, sizeof(*plan.items));
    zm_status status = ZM_OK;
    if (zm_model_get_info(model)->architecture == ZM_ARCHITECTURE_TEXT)
        status =
            zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: models of type %s cannot be converted yet",
                    zm_model_get_info(model)->path, zm_model_get_info(model)->architecture_name);
    else if (!plan.items)
        status = zm_fail(log, ZM_ERROR_OUT_OF_MEMORY, "no memory to plan the conversion");
    for (size_t f = 0; f < model->file_count && !status; f++) {
        const zm_safetensors *file = model->files[f];
        for (size_t i = 0; i < file->tensor_count && !status; i++) {
            zm_plan_item *item = &plan.items[plan.count++];
            *item = (zm_plan_item){.file = file, .tensor = &file->tensors[i]};
            status = plan_tensor(model, type, log, item);
        }
    }
    if (!status)
        status = total_up(&plan, log);
    if (!status && plan.recentred == 0 && zm_model_get_info(model)->norm == ZM_NORM_LAYER)
        status = zm_fail(log, ZM_ERROR_UNSUPPORTED, "%s: nothing in it writes a main branch",
                         zm_model_get_info(model)->path);
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
