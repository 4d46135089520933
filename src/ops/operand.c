/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/operand.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "ops/tuning.h"
#include "ops/view.h"
#include "ops/weight_blocks.h"

bool zm_type_is_stored(const zm_device *device, zm_dtype dtype)
{
    return dtype == ZM_F32 || dtype == ZM_F16 || dtype == ZM_BF16 ||
           dtype == device->info.real_type;
}

static bool type_fits(const zm_device *device, zm_operand_type type, zm_dtype dtype)
{
    zm_dtype real = device->info.real_type;
    switch (type) {
    case ZM_OPERAND_ACTIVATION: return dtype == real || dtype == ZM_F16 || dtype == ZM_BF16;
    case ZM_OPERAND_REAL: return dtype == real;
    case ZM_OPERAND_PARAM:
    case ZM_OPERAND_WEIGHT:
    case ZM_OPERAND_CACHE: return zm_type_is_stored(device, dtype);
    case ZM_OPERAND_INDEX: return dtype == ZM_I32;
    case ZM_OPERAND_ANY: return dtype == ZM_I32 || zm_type_is_stored(device, dtype);
    case ZM_OPERAND_SIZE: break;
    }
    return false;
}

static void shape_print(char *text, size_t size, const uint64_t *shape, uint32_t rank)
{
    size_t used = 0;
    for (uint32_t i = 0; i < rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "[%" PRIu64 "]", shape[i]);
}

static zm_status shape_check(const zm_tensor *tensor, const zm_extent *extent, zm_refusal *refusal)
{
    const uint64_t all[] = {extent->batch, extent->rows, extent->cols};
    const uint64_t *wanted = all + 3 - extent->rank;
    uint64_t got[3];
    char is[72], should[72];
    bool same = true;
    if (extent->rank == 0 && tensor->rank >= 1 && tensor->rank <= ZM_MAX_RANK)
        return ZM_OK;
    if (tensor->rank != extent->rank)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "rank %" PRIu32 ", not %" PRIu32,
                         tensor->rank, extent->rank);
    for (uint32_t i = 0; i < extent->rank; i++) {
        got[i] = tensor->shape[i];
        same &= got[i] == wanted[i];
    }
    if (same)
        return ZM_OK;
    shape_print(is, sizeof(is), got, extent->rank);
    shape_print(should, sizeof(should), wanted, extent->rank);
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "shape %s, not %s", is, should);
}

/* An operand of the call at hand. */
typedef struct given {
    const zm_operand *operand;
    const zm_tensor *tensor;
    zm_view view;
} given;

static zm_status tensor_check(const zm_device *device, given *g, const zm_extent *extent,
                              zm_refusal *refusal)
{
    const zm_tensor *tensor = g->tensor;
    uint32_t use = g->operand->use;
    if (tensor->buffer->device != device)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "its buffer is of another device");
    if ((use & ZM_OPERAND_OUTPUT) && tensor->buffer->read_only)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "its buffer is read-only");
    if (tensor->buffer->part_bytes && !(use & ZM_OPERAND_PARTS))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "its buffer is in parts, as only a weight of matmul, a table of "
                         "embedding and a cache may be");
    bool blocks = (use & ZM_OPERAND_BLOCKS) && zm_dtype_block_length(tensor->dtype) > 1;
    if (!blocks && !type_fits(device, g->operand->type, tensor->dtype))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "type %s does not fit (device %s: %s)",
                         zm_dtype_name(tensor->dtype), device->info.spec,
                         zm_dtype_name(device->info.real_type));
    if (tensor->panel && g->operand->type != ZM_OPERAND_WEIGHT)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "only weights come in panels");
    zm_status status = shape_check(tensor, extent, refusal);
    if (status == ZM_OK)
        status = zm_view_get(tensor, (use & ZM_OPERAND_STRIDED) != 0, &g->view, refusal);
    if (status == ZM_OK && (use & ZM_OPERAND_PACKED) && !zm_tensor_is_packed(tensor))
        status = zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "there are gaps between its rows");
    return status;
}

/* Names the operand in front of what is wrong with it. */
static zm_status operand_check(const zm_device *device, given *g, const zm_extent *extent,
                               zm_refusal *refusal)
{
    zm_refusal inner = {"it is missing"};
    zm_status status = ZM_ERROR_INVALID_ARGUMENT;
    if (g->tensor->buffer)
        status = tensor_check(device, g, extent, &inner);
    else if (g->operand->use & ZM_OPERAND_OPTIONAL)
        status = ZM_OK;
    if (status != ZM_OK)
        zm_refuse(refusal, status, "%s: %.120s", g->operand->name, inner.reason);
    return status;
}

static bool may_alias(const zm_operand *operands, size_t output, size_t other)
{
    return (operands[output].use & ZM_OPERAND_OUTPUT) &&
           (operands[output].aliases & (1u << other)) != 0;
}

static zm_status pair_check(const zm_operand *operands, const given *all, size_t i, size_t j,
                            zm_refusal *refusal)
{
    if (!((operands[i].use | operands[j].use) & ZM_OPERAND_OUTPUT) || !all[i].view.buffer)
        return ZM_OK;
    zm_relation relation = zm_view_relation(&all[i].view, &all[j].view);
    if (relation == ZM_DISJOINT)
        return ZM_OK;
    if (relation == ZM_SAME_VIEW && (may_alias(operands, i, j) || may_alias(operands, j, i)))
        return ZM_OK;
    if (relation == ZM_TANGLED)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "%s and %s lie within each other with unlike strides, in too many pieces "
                         "to tell whether they overlap",
                         operands[i].name, operands[j].name);
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "%s and %s overlap%s", operands[i].name,
                     operands[j].name, relation == ZM_SAME_VIEW ? "" : " in part");
}

/* All operands of a kind of one type. */
static zm_status types_check(const given *all, size_t count, zm_operand_type type, const char *kind,
                             zm_refusal *refusal)
{
    const given *first = NULL;
    for (size_t i = 0; i < count; i++) {
        const given *one = &all[i];
        if (one->operand->type != type || !one->tensor->buffer)
            continue;
        first = first ? first : one;
        if (one->tensor->dtype != first->tensor->dtype)
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                             "%s is %s, but %s is %s: the %s of a call share a type",
                             one->operand->name, zm_dtype_name(one->tensor->dtype),
                             first->operand->name, zm_dtype_name(first->tensor->dtype), kind);
    }
    return ZM_OK;
}

const zm_tensor *zm_operand_tensor(const zm_operand *operand, const void *params)
{
    return (const zm_tensor *)((const char *)params + operand->offset);
}

zm_status zm_operands_check(const zm_device *device, const zm_operand *operands, const void *params,
                            const zm_extent *extents, size_t count, zm_refusal *refusal)
{
    given all[ZM_MAX_OPERANDS] = {{0}};
    zm_status status = ZM_OK;
    for (size_t i = 0; status == ZM_OK && i < count; i++) {
        all[i] = (given){&operands[i], zm_operand_tensor(&operands[i], params), {0}};
        status = operand_check(device, &all[i], &extents[i], refusal);
    }
    if (status == ZM_OK)
        status = types_check(all, count, ZM_OPERAND_ACTIVATION, "activations", refusal);
    if (status == ZM_OK)
        status = types_check(all, count, ZM_OPERAND_PARAM, "norm weights, biases and positions",
                             refusal);
    for (size_t i = 0; status == ZM_OK && i < count; i++)
        for (size_t j = 0; status == ZM_OK && j < i; j++)
            status = pair_check(operands, all, i, j, refusal);
    return status;
}

zm_dtype zm_operand_dtype(const zm_op *op, zm_operand_type type, const void *params)
{
    for (size_t i = 0; i < op->operand_count; i++) {
        const zm_tensor *tensor = zm_operand_tensor(&op->operands[i], params);
        if (op->operands[i].type == type && tensor->buffer)
            return tensor->dtype;
    }
    return ZM_DTYPE_NONE;
}

uint32_t zm_arg_offset(const zm_tensor *tensor)
{
    return tensor->buffer ? (uint32_t)tensor->offset : 0;
}

uint32_t zm_arg_stride(const zm_tensor *matrix)
{
    return (uint32_t)zm_tensor_row_stride(matrix);
}

uint32_t zm_arg_batch(const zm_tensor *tensor)
{
    return tensor->buffer && tensor->rank == 3 ? (uint32_t)zm_tensor_stride(tensor, 0) : 0;
}

uint32_t zm_arg_flag(const zm_tensor *tensor, uint32_t flag)
{
    return tensor->buffer ? flag : 0;
}

zm_status zm_activation_check(zm_activation activation, zm_refusal *refusal)
{
    if (activation >= ZM_ACTIVATION_NONE && activation <= ZM_ACTIVATION_QUICK_GELU)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "there is no activation %d",
                     (int)activation);
}

zm_status zm_finite_check(const char *name, float value, zm_refusal *refusal)
{
    if (isfinite(value))
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "%s %g is not finite", name,
                     (double)value);
}

zm_status zm_eps_check(float eps, zm_refusal *refusal)
{
    if (isfinite(eps) && eps >= 0)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "eps %g is not 0 or more", (double)eps);
}

zm_status zm_width_check(const char *name, uint32_t d, uint32_t columns, bool one_more,
                         zm_refusal *refusal)
{
    if (d == 0)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, "%s of 2^32", name);
    if (d == columns || (one_more && d - 1 == columns))
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                     "%s %" PRIu32 " does not fit rows of %" PRIu32 ": it is that%s", name, d,
                     columns, one_more ? " or one more" : "");
}

zm_status zm_panel_accepts(zm_kernel_family family, const zm_tensor *weight, zm_refusal *refusal)
{
    uint32_t panel = zm_tuning_of(family)->weight_panel;
    if (weight->panel == panel)
        return zm_blocks_accept(family, weight, refusal);
    return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                     "weights in panels of %" PRIu32 ", not %" PRIu32, weight->panel, panel);
}
