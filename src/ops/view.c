/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/view.h"

#include <inttypes.h>

#include "common/alloc.h"

uint64_t zm_tensor_row_stride(const zm_tensor *matrix)
{
    if (!matrix->buffer)
        return 0;
    uint32_t cols = matrix->shape[matrix->rank - 1];
    /* The stride of a single row is never taken, whatever it says. */
    bool strided = matrix->rank > 1 && matrix->shape[0] > 1 && matrix->stride[0] != 0;
    return strided ? matrix->stride[0] : cols;
}

bool zm_weight_elements(uint32_t panel, uint32_t n, uint32_t k, uint64_t *out)
{
    uint64_t rows = n;
    if (panel)
        rows = (rows + panel - 1) / panel * panel;
    return zm_mul_u64(rows, k, out);
}

static zm_status strides_check(const zm_tensor *tensor, uint64_t cols, zm_refusal *refusal)
{
    uint64_t inner = tensor->stride[tensor->rank - 1];
    bool packed = tensor->stride[0] == 0 && inner == 0;
    if (tensor->rank == 1 && inner > 1)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "stride %" PRIu64 ", not 1", inner);
    if (packed || tensor->rank == 1)
        return ZM_OK;
    if (inner > 1)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "columns have stride %" PRIu64 ", not 1", inner);
    if (tensor->panel)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "packed panels have no strides");
    if (tensor->shape[0] > 1 && tensor->stride[0] < cols)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "row stride %" PRIu64 " is less than the %" PRIu64 " columns",
                         tensor->stride[0], cols);
    return ZM_OK;
}

/* Rows, columns and stride in elements. */
static zm_status extents_get(const zm_tensor *tensor, zm_view *out, zm_refusal *refusal)
{
    uint32_t cols = tensor->shape[tensor->rank - 1];
    uint32_t rows = tensor->rank == 1 ? 1 : tensor->shape[0];
    if (rows == 0 || cols == 0)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "an extent is 0");
    zm_status status = strides_check(tensor, cols, refusal);
    if (status != ZM_OK)
        return status;

    *out = (zm_view){.buffer = tensor->buffer, .rows = rows, .row_bytes = cols};
    out->stride = zm_tensor_row_stride(tensor);
    if (tensor->panel) {
        out->rows = 1;
        if (!zm_weight_elements(tensor->panel, rows, cols, &out->row_bytes))
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "too large");
    }
    if (out->stride == cols && !tensor->panel) {
        out->row_bytes = (uint64_t)rows * cols;
        out->rows = 1;
    }
    if (out->rows == 1)
        out->stride = out->row_bytes;
    return ZM_OK;
}

zm_status zm_view_get(const zm_tensor *tensor, zm_view *out, zm_refusal *refusal)
{
    zm_status status = extents_get(tensor, out, refusal);
    if (status != ZM_OK)
        return status;
    uint64_t element = zm_dtype_size(tensor->dtype);
    uint64_t held = tensor->buffer->size / element, end;
    if (!zm_mul_u64(out->rows - 1, out->stride, &end) || !zm_add_u64(end, out->row_bytes, &end) ||
        !zm_add_u64(end, tensor->offset, &end) || end > held)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "reaches outside its buffer of %" PRIu64 " elements", held);
    if (tensor->offset > UINT32_MAX || zm_tensor_row_stride(tensor) > UINT32_MAX)
        return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                         "offset or stride of 2^32 elements or more");
    out->begin = tensor->offset * element;
    out->row_bytes *= element;
    out->stride *= element;
    return ZM_OK;
}

/* Does any row of the view share a byte with [begin, end)? */
static bool rows_touch(const zm_view *view, uint64_t begin, uint64_t end)
{
    uint64_t first_end = view->begin + view->row_bytes;
    uint64_t row = begin < first_end ? 0 : (begin - first_end) / view->stride + 1;
    return row < view->rows && view->begin + row * view->stride < end;
}

static bool any_row_touches(const zm_view *a, uint64_t rows, const zm_view *b)
{
    for (uint64_t row = 0; row < rows; row++) {
        uint64_t begin = a->begin + row * a->stride;
        if (rows_touch(b, begin, begin + a->row_bytes))
            return true;
    }
    return false;
}

zm_relation zm_view_relation(const zm_view *a, const zm_view *b)
{
    if (a->buffer != b->buffer)
        return ZM_DISJOINT;
    bool overlap;
    if (a->stride == b->stride) {
        if (a->begin == b->begin && a->rows == b->rows && a->row_bytes == b->row_bytes)
            return ZM_SAME_VIEW;
        /* Only the distance of two rows counts, so one of them may be a first one. */
        overlap = any_row_touches(a, 1, b) || any_row_touches(b, 1, a);
    } else if (a->rows <= b->rows) {
        overlap = any_row_touches(a, a->rows, b);
    } else {
        overlap = any_row_touches(b, b->rows, a);
    }
    return overlap ? ZM_OVERLAP : ZM_DISJOINT;
}
