/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "graph/graph.h"

static zm_value *value_add(zm_graph *graph, zm_value_kind kind, const char *name)
{
    zm_value **values = zm_graph_reserve(graph, graph->values, &graph->value_capacity,
                                         graph->value_count, sizeof(*values));
    if (!values)
        return NULL;
    graph->values = values;
    zm_value *value = zm_calloc(1, sizeof(*value));
    if (value && name)
        value->name = zm_strdup(name);
    if (!value || (name && !value->name)) {
        free(value);
        zm_graph_fail(graph, ZM_ERROR_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    value->graph = graph;
    value->kind = kind;
    value->index = value->root = (uint32_t)graph->value_count;
    graph->values[graph->value_count++] = value;
    return value;
}

void zm_value_destroy(zm_value *value)
{
    free(value->name);
    free(value);
}

zm_status zm_value_copy(const zm_value *value, const zm_graph *graph, zm_value **out)
{
    zm_value *copy = zm_calloc(1, sizeof(*copy));
    char *name = value->name ? zm_strdup(value->name) : NULL;
    if (!copy || (value->name && !name)) {
        free(copy);
        free(name);
        return ZM_ERROR_OUT_OF_MEMORY;
    }
    *copy = *value;
    copy->graph = graph;
    copy->name = name;
    *out = copy;
    return ZM_OK;
}

zm_value *zm_value_find(const zm_graph *graph, const zm_tensor *tensor)
{
    if (!tensor->buffer)
        return NULL;
    if (!tensor->buffer->device) {
        zm_value *value = (zm_value *)tensor->buffer;
        return value->graph == graph ? value : NULL;
    }
    for (size_t i = 0; i < graph->value_count; i++) {
        zm_value *value = graph->values[i];
        if (value->kind == ZM_VALUE_BUFFER && value->tensor.buffer == tensor->buffer)
            return value;
    }
    return NULL;
}

zm_value *zm_value_of(zm_graph *graph, const zm_tensor *tensor)
{
    zm_value *value = zm_value_find(graph, tensor);
    if (value || !tensor->buffer->device)
        return value;
    value = value_add(graph, ZM_VALUE_BUFFER, NULL);
    if (value)
        value->tensor.buffer = tensor->buffer;
    return value;
}

zm_value *zm_extern_find(const zm_graph *graph, const char *name)
{
    for (size_t i = 0; i < graph->value_count; i++) {
        zm_value *value = graph->values[i];
        if (value->kind == ZM_VALUE_EXTERN && strcmp(value->name, name) == 0)
            return value;
    }
    return NULL;
}

/* ---- tensors ---- */

static bool shape_is_sound(zm_graph *graph, const char *name, uint32_t rank, const zm_size *shape)
{
    bool sound = shape && rank >= 1 && rank <= ZM_MAX_RANK;
    for (uint32_t i = 0; sound && i < rank; i++)
        sound = zm_size_is_sound(graph, shape[i]) && zm_size_most(graph, shape[i]) > 0;
    if (!sound)
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "tensor %s: needs 1 to %d sizes of this graph, none of them 0",
                      name ? name : "without a name", ZM_MAX_RANK);
    return sound;
}

static zm_tensor tensor_add(zm_graph *graph, zm_value_kind kind, const char *name, zm_dtype dtype,
                            uint32_t rank, const zm_size *shape)
{
    uint64_t bytes;
    if (!graph || graph->status != ZM_OK || !shape_is_sound(graph, name, rank, shape))
        return (zm_tensor){0};
    zm_value *value = value_add(graph, kind, name);
    if (!value)
        return (zm_tensor){0};
    zm_tensor tensor = {.buffer = &value->buffer, .dtype = dtype, .rank = rank};
    memcpy(tensor.shape, shape, rank * sizeof(*shape));
    value->tensor = tensor;
    if ((dtype != ZM_DTYPE_NONE && zm_dtype_size(dtype) == 0) ||
        zm_value_bytes(graph, value, &bytes) != ZM_OK) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "tensor %s: no type %d, or too large",
                      name ? name : "without a name", (int)dtype);
        return (zm_tensor){0};
    }
    return tensor;
}

zm_tensor zm_graph_tensor(zm_graph *graph, const char *name, zm_dtype dtype, uint32_t rank,
                          const zm_size *shape)
{
    return tensor_add(graph, ZM_VALUE_INNER, name, dtype, rank, shape);
}

zm_tensor zm_graph_extern(zm_graph *graph, const char *name, zm_dtype dtype, uint32_t rank,
                          const zm_size *shape)
{
    if (!graph || graph->status != ZM_OK)
        return (zm_tensor){0};
    if (!name || zm_extern_find(graph, name)) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT, "extern %s: needs a name of its own",
                      name ? name : "without a name");
        return (zm_tensor){0};
    }
    return tensor_add(graph, ZM_VALUE_EXTERN, name, dtype, rank, shape);
}

zm_tensor zm_graph_rows(zm_graph *graph, zm_tensor matrix, zm_size first, zm_size count)
{
    if (!graph || graph->status != ZM_OK)
        return (zm_tensor){0};
    zm_value *base = matrix.buffer ? zm_value_of(graph, &matrix) : NULL;
    bool sound = base && matrix.rank >= 1 && matrix.rank <= ZM_MAX_RANK && !matrix.panel &&
                 zm_size_is_sound(graph, first) && zm_size_is_sound(graph, count);
    if (!sound) {
        zm_graph_fail(graph, ZM_ERROR_INVALID_ARGUMENT,
                      "rows: needs a tensor and sizes of this graph, and no panels");
        return (zm_tensor){0};
    }
    zm_value *value = value_add(graph, ZM_VALUE_ROWS, NULL);
    if (!value)
        return (zm_tensor){0};
    value->tensor = matrix;
    value->base = base->index;
    value->root = base->root;
    value->first = first;
    matrix.buffer = &value->buffer;
    matrix.offset = 0;
    matrix.shape[0] = count;
    return matrix;
}

/* ---- what is asked of them ---- */

static uint64_t shape_symbols(const zm_graph *graph, const zm_tensor *tensor)
{
    uint64_t symbols = 0;
    for (uint32_t i = 0; i < tensor->rank; i++)
        symbols |= zm_size_symbols(graph, tensor->shape[i]);
    return symbols;
}

uint64_t zm_value_symbols(const zm_graph *graph, const zm_value *value, const zm_tensor *tensor)
{
    /* Also of what it is a part of, behind which it must not reach. */
    uint64_t symbols =
        shape_symbols(graph, tensor) | shape_symbols(graph, &graph->values[value->root]->tensor);
    for (; value->kind == ZM_VALUE_ROWS; value = graph->values[value->base]) {
        zm_tensor row = value->tensor;
        row.shape[0] = 1; /* how many there are does not move them */
        symbols |= shape_symbols(graph, &row) | zm_size_symbols(graph, value->first);
    }
    return symbols;
}

bool zm_value_is_whole(const zm_value *value, const zm_tensor *tensor)
{
    bool whole = value->kind == ZM_VALUE_INNER && tensor->offset == 0 &&
                 tensor->rank == value->tensor.rank && tensor->dtype == value->tensor.dtype;
    for (uint32_t i = 0; whole && i < tensor->rank; i++)
        whole = tensor->shape[i] == value->tensor.shape[i] && tensor->stride[i] == 0;
    return whole;
}

zm_status zm_value_bytes(const zm_graph *graph, const zm_value *value, uint64_t *out)
{
    /* Room for the widest where the type is not known yet. */
    uint64_t bytes = value->tensor.dtype ? zm_dtype_size(value->tensor.dtype) : sizeof(double);
    for (uint32_t i = 0; i < value->tensor.rank; i++)
        if (!zm_mul_u64(bytes, zm_size_most(graph, value->tensor.shape[i]), &bytes))
            return ZM_ERROR_LIMIT;
    *out = bytes;
    return ZM_OK;
}

void zm_value_print(const zm_value *value, char *text, size_t capacity)
{
    if (value->name)
        snprintf(text, capacity, "%s", value->name);
    else
        snprintf(text, capacity, "%%%" PRIu32, value->index);
}
