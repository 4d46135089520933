/* SPDX-License-Identifier: Apache-2.0 */
#include "op_case.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/compiler.h"
#include "fill.h"

extern const op_description op_layer_norm, op_rms_norm, op_crms_norm, op_row_statistics, op_add,
    op_recentre, op_matmul, op_deferred_norm, op_conv1d, op_patch_embedding, op_embedding,
    op_kv_store, op_attention, op_rope, op_softmax, op_copy, op_top_k, op_argmax, op_activate;

const op_description *const op_descriptions[] = {
    &op_layer_norm, &op_rms_norm,  &op_crms_norm,       &op_row_statistics, &op_add,
    &op_recentre,   &op_matmul,    &op_deferred_norm,   &op_conv1d,         &op_embedding,
    &op_kv_store,   &op_attention, &op_patch_embedding, &op_rope,           &op_softmax,
    &op_copy,       &op_top_k,     &op_argmax,          &op_activate,
};
const size_t op_description_count = sizeof(op_descriptions) / sizeof(op_descriptions[0]);

const zm_dtype op_activations[3] = {OP_REAL, ZM_F16, ZM_BF16};

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
    zm_tensor tensor = zm_tensor_2d(NULL, OP_ACTIVATION, rows, cols);
    tensor.offset = offset;
    tensor.stride[0] = (uint64_t)cols + pad;
    tensor.stride[1] = 1;
    return tensor;
}

zm_tensor op_batch(uint32_t batch, uint32_t rows, uint32_t cols, uint64_t offset, uint32_t pad)
{
    uint64_t row = (uint64_t)cols + pad;
    return (zm_tensor){.offset = offset,
                       .dtype = OP_ACTIVATION,
                       .rank = 3,
                       .shape = {batch, rows, cols},
                       .stride = {rows * row + pad, row, 1}};
}

zm_tensor op_weight(uint32_t n, uint32_t k, zm_dtype dtype, uint64_t offset)
{
    zm_tensor tensor = zm_tensor_2d(NULL, dtype, n, k);
    tensor.offset = offset;
    tensor.panel = OP_PACKED;
    return tensor;
}

zm_tensor op_typed(zm_tensor tensor, zm_dtype dtype)
{
    tensor.dtype = dtype;
    return tensor;
}

uint32_t op_rows(const zm_tensor *tensor)
{
    uint32_t rows = 1;
    for (uint32_t i = 0; i + 1 < tensor->rank; ++i) {
        rows *= tensor->shape[i];
    }
    return rows;
}

uint32_t op_cols(const zm_tensor *tensor)
{
    return tensor->rank ? tensor->shape[tensor->rank - 1] : 0;
}

uint64_t op_dimension_stride(const zm_tensor *tensor, uint32_t i)
{
    uint64_t packed = 1;
    bool strided = false;
    for (uint32_t j = 0; j < tensor->rank; ++j) {
        packed *= j > i ? tensor->shape[j] : 1;
        strided = strided || tensor->stride[j];
    }
    return !strided || (i + 1 == tensor->rank && tensor->stride[i] == 0) ? packed
                                                                         : tensor->stride[i];
}

uint64_t op_stride(const zm_tensor *tensor)
{
    return tensor->rank < 2 ? op_cols(tensor) : op_dimension_stride(tensor, tensor->rank - 2);
}

uint64_t op_batch_stride(const zm_tensor *tensor)
{
    return tensor->rank < 3 ? 0 : op_dimension_stride(tensor, tensor->rank - 3);
}

uint64_t op_place(const zm_tensor *tensor, size_t row, size_t col)
{
    uint64_t place = tensor->offset;
    if (tensor->rank == 0) {
        return place;
    }
    place += col * op_dimension_stride(tensor, tensor->rank - 1);
    for (uint32_t i = tensor->rank - 1; i-- > 0;) {
        place += row % tensor->shape[i] * op_dimension_stride(tensor, i);
        row /= tensor->shape[i];
    }
    return place;
}

double op_tensor_bytes(const zm_tensor *tensor, size_t real_size)
{
    if (tensor->rank == 0) {
        return 0;
    }
    bool real = tensor->dtype == OP_REAL || tensor->dtype == OP_ACTIVATION;
    uint64_t count = (uint64_t)op_rows(tensor) * op_cols(tensor);
    return (double)(real ? count * real_size : zm_dtype_bytes(tensor->dtype, count));
}

zm_tensor *op_tensor(const op_description *op, op_params *params, size_t operand)
{
    return (zm_tensor *)((char *)params + op->operands[operand].offset);
}

const zm_tensor *op_view(const op_description *op, const op_params *params, size_t operand)
{
    return (const zm_tensor *)((const char *)params + op->operands[operand].offset);
}

/* A text that grows, and stops where its memory ends. */
typedef struct line {
    char *text;
    size_t size, used;
} line;

ZM_PRINTF(2, 3)
static void append(line *l, const char *format, ...)
{
    va_list arguments;
    if (l->used < l->size) {
        va_start(arguments, format);
        l->used += (size_t)vsnprintf(l->text + l->used, l->size - l->used, format, arguments);
        va_end(arguments);
    }
}

static void append_tensor(line *l, const zm_tensor *t)
{
    for (uint32_t i = 0; i < t->rank; ++i) {
        append(l, "[%" PRIu32 "]", t->shape[i]);
    }
    if (t->offset) {
        append(l, "@%" PRIu64, t->offset);
    }
    bool innermost = t->rank && op_dimension_stride(t, t->rank - 1) != 1;
    for (uint32_t i = 0; i < t->rank; ++i) {
        zm_tensor packed = *t;
        memset(packed.stride, 0, sizeof(packed.stride));
        if (op_dimension_stride(t, i) != op_dimension_stride(&packed, i) || innermost) {
            append(l, "/%" PRIu64, op_dimension_stride(t, i));
        }
    }
    if (t->dtype != OP_REAL && t->dtype != OP_ACTIVATION) {
        append(l, ":%s", zm_dtype_name(t->dtype));
    }
}

void op_case_align(const op_description *op, op_case *c)
{
    for (size_t i = 0; i < op->operand_count; ++i) {
        zm_tensor *tensor = op_tensor(op, &c->params, i);
        tensor->offset = 0;
        for (uint32_t j = 0; j + 1 < tensor->rank; ++j) {
            tensor->stride[j] = (tensor->stride[j] + 3) / 4 * 4;
        }
    }
}

void op_case_describe(const op_description *op, const op_case *c, char *text, size_t size)
{
    line l = {text, size, 0};
    text[0] = '\0';
    for (size_t i = 0; i < op->operand_count; ++i) {
        const zm_tensor *t = op_view(op, &c->params, i);
        if (t->rank == 0) {
            continue;
        }
        append(&l, "%s%s", l.used ? " " : "", op->operands[i].name);
        if (c->alias[i]) {
            append(&l, "=%s", op->operands[c->alias[i] - 1].name);
            continue;
        }
        append_tensor(&l, t);
        if (op->operands[i].role != OP_OUTPUT && c->fill[i] != OP_NORMAL) {
            append(&l, ":%s", op_fill_name(c->fill[i]));
        }
    }
    if (c->activation != OP_REAL) {
        append(&l, " activations:%s", zm_dtype_name(c->activation));
    }
    if (op->describe) {
        char more[200] = "";
        op->describe(&c->params, more, sizeof(more));
        append(&l, "%s", more);
    }
}
