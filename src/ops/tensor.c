/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/ops.h>

zm_tensor zm_tensor_1d(zm_buffer *buffer, zm_dtype dtype, uint32_t n)
{
    return (zm_tensor){.buffer = buffer, .dtype = dtype, .rank = 1, .shape = {n}};
}

zm_tensor zm_tensor_2d(zm_buffer *buffer, zm_dtype dtype, uint32_t rows, uint32_t cols)
{
    return (zm_tensor){.buffer = buffer, .dtype = dtype, .rank = 2, .shape = {rows, cols}};
}

static bool is_packed(const zm_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (tensor->stride[i] != 0)
            return false;
    return true;
}

/* Writes out the strides that packing implies. */
static void set_strides(zm_tensor *tensor)
{
    uint64_t stride = 1;
    for (uint32_t i = tensor->rank; i-- > 0;) {
        tensor->stride[i] = stride;
        stride *= tensor->shape[i];
    }
}

/* A part that no view can say: rank 0, which every op refuses. */
static zm_tensor no_view(zm_tensor tensor)
{
    tensor.rank = 0;
    return tensor;
}

zm_tensor zm_tensor_rows(zm_tensor matrix, uint32_t first, uint32_t count)
{
    if (matrix.rank < 1 || matrix.rank > ZM_MAX_RANK)
        return no_view(matrix);
    if (matrix.panel && first % matrix.panel != 0)
        return no_view(matrix);
    uint64_t row = matrix.stride[0];
    if (is_packed(&matrix)) {
        row = 1;
        for (uint32_t i = 1; i < matrix.rank; i++)
            row *= matrix.shape[i];
    }
    matrix.offset += first * row;
    matrix.shape[0] = count;
    return matrix;
}

zm_tensor zm_tensor_cols(zm_tensor matrix, uint32_t first, uint32_t count)
{
    if (matrix.rank < 1 || matrix.rank > ZM_MAX_RANK || matrix.panel)
        return no_view(matrix);
    if (is_packed(&matrix))
        set_strides(&matrix);
    matrix.offset += first;
    matrix.shape[matrix.rank - 1] = count;
    return matrix;
}
