/* SPDX-License-Identifier: Apache-2.0 */
#include "op_case.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "fill.h"

extern const op_description op_layer_norm, op_rms_norm, op_add, op_recentre, op_matmul, op_conv1d,
    op_embedding, op_kv_store, op_attention, op_argmax;

const op_description *const op_descriptions[] = {
    &op_layer_norm, &op_rms_norm,  &op_add,      &op_recentre,  &op_matmul,
    &op_conv1d,     &op_embedding, &op_kv_store, &op_attention, &op_argmax,
};
const size_t op_description_count = sizeof(op_descriptions) / sizeof(op_descriptions[0]);

const uint32_t op_sizes[] = {
    1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,  12,  13,  14,  15,  16,  17,  18, 19,
    20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30,  31,  32,  33,  34,  35,  36,  37, 38,
    39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49,  50,  51,  52,  53,  54,  55,  56, 57,
    58, 59, 60, 61, 62, 63, 64, 65, 66, 67, 127, 128, 129, 511, 512, 513, 769,
};
const size_t op_size_count = sizeof(op_sizes) / sizeof(op_sizes[0]);

op_case *op_list_add(op_list *list)
{
    void *cases = list->cases;
    if (!zm_array_reserve(&cases, &list->capacity, list->count + 1, sizeof(op_case))) {
        return NULL;
    }
    list->cases = cases;
    op_case *c = &list->cases[list->count++];
    memset(c, 0, sizeof(*c));
    return c;
}

void op_list_finish(op_list *list)
{
    free(list->cases);
    memset(list, 0, sizeof(*list));
}

zm_tensor op_vector(uint32_t n, uint64_t offset)
{
    zm_tensor tensor = zm_tensor_1d(NULL, OP_REAL, n);
    tensor.offset = offset;
    return tensor;
}

zm_tensor op_matrix(uint32_t rows, uint32_t cols, uint64_t offset, uint32_t pad)
{
    zm_tensor tensor = zm_tensor_2d(NULL, OP_REAL, rows, cols);
    tensor.offset = offset;
    tensor.stride[0] = (uint64_t)cols + pad;
    tensor.stride[1] = 1;
    return tensor;
}

zm_tensor op_weight(uint32_t n, uint32_t k, zm_dtype dtype, uint64_t offset)
{
    zm_tensor tensor = zm_tensor_2d(NULL, dtype, n, k);
    tensor.offset = offset;
    tensor.panel = OP_PACKED;
    return tensor;
}

uint32_t op_rows(const zm_tensor *tensor)
{
    return tensor->rank == 2 ? tensor->shape[0] : 1;
}

uint32_t op_cols(const zm_tensor *tensor)
{
    return tensor->shape[tensor->rank == 2];
}

uint64_t op_stride(const zm_tensor *tensor)
{
    return tensor->rank == 2 && tensor->stride[0] ? tensor->stride[0] : op_cols(tensor);
}

double op_tensor_bytes(const zm_tensor *tensor, size_t real_size)
{
    if (tensor->rank == 0) {
        return 0;
    }
    size_t size = tensor->dtype == OP_REAL ? real_size : zm_dtype_size(tensor->dtype);
    return (double)op_rows(tensor) * op_cols(tensor) * (double)size;
}

zm_tensor *op_tensor(const op_description *op, op_params *params, size_t operand)
{
    return (zm_tensor *)((char *)params + op->operands[operand].offset);
}

const zm_tensor *op_view(const op_description *op, const op_params *params, size_t operand)
{
    return (const zm_tensor *)((const char *)params + op->operands[operand].offset);
}

void op_case_describe(const op_description *op, const op_case *c, char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (size_t i = 0; i < op->operand_count && used < size; ++i) {
        const zm_tensor *t = op_view(op, &c->params, i);
        const char *space = used ? " " : "";
        const char *name = op->operands[i].name;
        if (t->rank == 0) {
            continue;
        }
        if (c->alias[i]) {
            used += (size_t)snprintf(text + used, size - used, "%s%s=%s", space, name,
                                     op->operands[c->alias[i] - 1].name);
            continue;
        }
        used += (size_t)snprintf(text + used, size - used, "%s%s[%" PRIu32 "][%" PRIu32 "]", space,
                                 name, op_rows(t), op_cols(t));
        if (used < size && (t->offset || op_stride(t) != op_cols(t))) {
            used += (size_t)snprintf(text + used, size - used, "@%" PRIu64 "/%" PRIu64, t->offset,
                                     op_stride(t));
        }
        if (used < size && t->dtype != OP_REAL) {
            used += (size_t)snprintf(text + used, size - used, ":%s", zm_dtype_name(t->dtype));
        }
        if (used < size && op->operands[i].role != OP_OUTPUT && c->fill[i] != OP_NORMAL) {
            used += (size_t)snprintf(text + used, size - used, ":%s", op_fill_name(c->fill[i]));
        }
    }
}
