/* SPDX-License-Identifier: Apache-2.0 */
/* How much work an operation is, roughly: multiplications and additions where there are many, and
 * elements that are moved elsewhere. */
#include "graph/executable.h"

static uint64_t elements(const zm_tensor *tensor)
{
    uint64_t count = tensor->buffer ? 1 : 0;
    for (uint32_t i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

/* Each element of dst is a sum over a row of the weight. */
static uint64_t product_work(const zm_tensor *weight, const zm_tensor *dst)
{
    return 2 * elements(dst) * weight->shape[weight->rank - 1];
}

static uint64_t operand_work(const zm_op *op, const void *params)
{
    uint64_t work = 0;
    for (size_t i = 0; i < op->operand_count; i++)
        if (op->operands[i].type != ZM_OPERAND_SIZE && op->operands[i].type != ZM_OPERAND_WEIGHT &&
            op->operands[i].type != ZM_OPERAND_CACHE)
            work += elements((const zm_tensor *)((const char *)params + op->operands[i].offset));
    return work;
}

uint64_t zm_op_work(const zm_op *op, const void *params)
{
    if (op == &zm_op_matmul) {
        const zm_matmul_params *p = params;
        return product_work(&p->weight, &p->dst) * (p->gated ? 2 : 1);
    }
    if (op == &zm_op_conv1d) {
        const zm_conv1d_params *p = params;
        return product_work(&p->weight, &p->dst);
    }
    if (op == &zm_op_patch_embedding) {
        const zm_patch_embedding_params *p = params;
        return product_work(&p->weight, &p->dst);
    }
    if (op == &zm_op_attention) {
        const zm_attention_params *p = params;
        return 4 * elements(&p->q) * p->kv_length;
    }
    return operand_work(op, params);
}
