/* SPDX-License-Identifier: Apache-2.0 */
/* From a node's tensors and sizes to those of a run. */
#include <inttypes.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/executable.h"
#include "ops/view.h"

static void shape_resolve(const zm_executable *exe, zm_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->rank; i++)
        tensor->shape[i] = zm_size_number(exe->numbers, tensor->shape[i]);
}

/* Elements before the view in the memory behind it. */
static uint64_t rows_offset(const zm_executable *exe, const zm_value *value)
{
    uint64_t offset = 0;
    for (; value->kind == ZM_VALUE_ROWS; value = exe->graph->values[value->base]) {
        zm_tensor matrix = value->tensor;
        shape_resolve(exe, &matrix);
        offset += matrix.offset +
                  zm_size_number(exe->numbers, value->first) * zm_tensor_stride(&matrix, 0);
    }
    return offset;
}

/* Does the view end before its tensor does? What is behind it in the arena is another one's. */
static bool stays_within(const zm_executable *exe, const zm_tensor *view, const zm_value *root)
{
    uint64_t end = view->offset, held = 1, step;
    zm_tensor all = root->tensor;
    shape_resolve(exe, &all);
    for (uint32_t i = 0; i < view->rank; i++)
        if (!zm_mul_u64(view->shape[i] ? view->shape[i] - 1 : 0, zm_tensor_stride(view, i),
                        &step) ||
            !zm_add_u64(end, step, &end))
            return false;
    for (uint32_t i = 0; i < all.rank; i++)
        held *= all.shape[i]; /* which fits: zm_value_bytes */
    return end < held;
}

/* A weight that was bound in panels can be taken whole, or from a panel's first row. */
static zm_status panel_resolve(uint32_t panel, zm_tensor *tensor, zm_refusal *refusal)
{
    bool plain = tensor->rank == 2 && tensor->stride[0] == 0 && tensor->stride[1] == 0;
    if (!plain || tensor->offset % ((uint64_t)panel * tensor->shape[1]) != 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "a part of a weight in panels of %" PRIu32, panel);
    tensor->panel = panel;
    return ZM_OK;
}

/* What a symbol that may be 0 (a position) makes of a shape. */
static zm_status extents_check(const zm_executable *exe, const zm_tensor *tensor, const char *name,
                               zm_refusal *refusal)
{
    char size[96];
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (!(tensor->shape[i] & ZM_SIZE_FORMULA) || zm_size_number(exe->numbers, tensor->shape[i]))
            continue;
        zm_size_print(exe->graph, tensor->shape[i], size, sizeof(size));
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "%s: dimension %" PRIu32 ", %s, is 0 in this run", name, i, size);
    }
    return ZM_OK;
}

static zm_status tensor_resolve(const zm_executable *exe, const zm_node *node, size_t i,
                                zm_refusal *refusal)
{
    zm_tensor *tensor = (zm_tensor *)((char *)exe->params + node->op->operands[i].offset);
    const zm_value *root = zm_node_root(exe->graph, node, i);
    const zm_tensor *place = &exe->places[root->index];
    const char *name = node->op->operands[i].name;
    zm_refusal inner;
    zm_status status = extents_check(exe, tensor, name, refusal);
    if (status != ZM_OK)
        return status;
    shape_resolve(exe, tensor);
    tensor->offset += rows_offset(exe, exe->graph->values[node->value[i] - 1]);
    if (root->tensor.rank > 0 && !stays_within(exe, tensor, root))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "%s: reaches outside its tensor",
                         name);
    if (place->panel)
        status = panel_resolve(place->panel, tensor, &inner);
    if (status != ZM_OK)
        return zm_refuse(refusal, status, "%s: %.120s", name, inner.reason);
    tensor->buffer = place->buffer;
    tensor->offset += place->offset;
    return ZM_OK;
}

static void size_resolve(const zm_executable *exe, const zm_operand *operand)
{
    zm_size size;
    memcpy(&size, (const char *)exe->params + operand->offset, sizeof(size));
    size = zm_size_number(exe->numbers, size);
    memcpy((char *)exe->params + operand->offset, &size, sizeof(size));
}

/* Column sums that no pass has used yet are no operand. */
static void sums_hide(zm_matmul_params *p)
{
    if (p->scale.kind == ZM_ROW_SCALE_NONE)
        p->scale.column_sums = (zm_tensor){0};
}

zm_status zm_executable_fill(zm_executable *exe, size_t n, zm_refusal *refusal)
{
    const zm_node *node = &exe->graph->nodes[n];
    zm_status status = ZM_OK;
    memcpy(exe->params, node->params, node->op->params_size);
    for (size_t i = 0; status == ZM_OK && i < node->op->operand_count; i++) {
        if (node->op->operands[i].type == ZM_OPERAND_SIZE)
            size_resolve(exe, &node->op->operands[i]);
        else if (node->value[i])
            status = tensor_resolve(exe, node, i, refusal);
    }
    if (node->op == &zm_op_matmul)
        sums_hide(exe->params);
    return status;
}

zm_status zm_executable_resolve(zm_executable *exe, size_t n)
{
    const zm_node *node = &exe->graph->nodes[n];
    char name[96];
    zm_refusal refusal;
    zm_status status = zm_executable_fill(exe, n, &refusal);
    if (status == ZM_OK)
        status = node->op->check(exe->device, exe->params, &refusal);
    if (status == ZM_OK)
        return ZM_OK;
    zm_node_print(exe->graph, n, name, sizeof(name));
    return zm_fail(&exe->graph->log, status, "graph: %s: %s", name, refusal.reason);
}
