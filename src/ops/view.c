/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/view.h"

#include <inttypes.h>

#include "common/alloc.h"

bool zm_weight_elements(uint32_t panel, uint32_t n, uint32_t k, uint64_t *out)
{
    uint64_t rows = n;
    if (panel)
        rows = (rows + panel - 1) / panel * panel;
    return zm_mul_u64(rows, k, out);
}

/* ---- strides ---- */

static bool has_strides(const zm_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (tensor->stride[i] != 0)
            return true;
    return false;
}

/* UINT64_MAX where 64 bits don't do, which no buffer reaches. */
static uint64_t packed_stride(const zm_tensor *tensor, uint32_t dim)
{
    uint64_t stride = 1;
    for (uint32_t i = dim + 1; i < tensor->rank; i++)
        if (!zm_mul_u64(stride, tensor->shape[i], &stride))
            return UINT64_MAX;
    return stride;
}

uint64_t zm_tensor_stride(const zm_tensor *tensor, uint32_t dim)
{
    /* A stride that is never taken may say anything. */
    if (tensor->shape[dim] <= 1 || !has_strides(tensor))
        return packed_stride(tensor, dim);
    if (dim + 1 == tensor->rank && tensor->stride[dim] == 0)
        return 1;
    return tensor->stride[dim];
}

uint64_t zm_tensor_row_stride(const zm_tensor *matrix)
{
    if (!matrix->buffer)
        return 0;
    return matrix->rank < 2 ? matrix->shape[0] : zm_tensor_stride(matrix, matrix->rank - 2);
}

bool zm_tensor_is_packed(const zm_tensor *tensor)
{
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (zm_tensor_stride(tensor, i) != packed_stride(tensor, i))
            return false;
    return true;
}

/* ---- the bytes ---- */

/* Rows of quantised elements begin and end with blocks, panels of them with those of all rows. */
static zm_status blocks_check(const zm_tensor *tensor, zm_refusal *refusal)
{
    uint32_t length = zm_dtype_block_length(tensor->dtype);
    uint64_t first = (uint64_t)length * (tensor->panel && length > 1 ? tensor->panel : 1);
    uint64_t rest = tensor->offset % first + tensor->shape[tensor->rank - 1] % length;
    for (uint32_t i = 0; i + 1 < tensor->rank; i++)
        rest += tensor->stride[i] % length;
    if (rest == 0)
        return ZM_OK;
    return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                     "rows of %s are not whole blocks of %" PRIu32, zm_dtype_name(tensor->dtype),
                     length);
}

static zm_status strides_check(const zm_tensor *tensor, bool strided, zm_refusal *refusal)
{
    uint64_t inner = tensor->stride[tensor->rank - 1];
    if (inner > 1 && !strided)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "columns have stride %" PRIu64 ", not 1", inner);
    if (tensor->panel && (has_strides(tensor) || tensor->rank != 2))
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "packed panels are a matrix without strides");
    for (uint32_t i = 0; i < tensor->rank; i++)
        if (tensor->shape[i] == 0)
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "an extent is 0");
    return blocks_check(tensor, refusal);
}

/* Takes in a dimension of the tensor, the widest stride first. */
static void dimension_add(zm_view *view, uint64_t count, uint64_t stride)
{
    uint32_t place = view->dims++;
    for (; place > 0 && view->stride[place - 1] < stride; place--) {
        view->stride[place] = view->stride[place - 1];
        view->count[place] = view->count[place - 1];
    }
    view->stride[place] = stride;
    view->count[place] = count;
}

/* Dimensions without gaps between them become one. */
static void dimensions_join(zm_view *view)
{
    while (view->dims && view->stride[view->dims - 1] == view->run) {
        if (!zm_mul_u64(view->run, view->count[view->dims - 1], &view->run))
            return;
        view->dims--;
    }
    for (uint32_t i = view->dims; i-- > 1;) {
        uint64_t span, count;
        if (!zm_mul_u64(view->stride[i], view->count[i], &span) || span != view->stride[i - 1] ||
            !zm_mul_u64(view->count[i], view->count[i - 1], &count))
            continue;
        view->count[i - 1] = count;
        view->stride[i - 1] = view->stride[i];
        for (uint32_t j = i; j + 1 < view->dims; j++) {
            view->count[j] = view->count[j + 1];
            view->stride[j] = view->stride[j + 1];
        }
        view->dims--;
    }
}

/* Each step of a dimension must clear what lies within it. */
static zm_status extents_fill(zm_view *view, zm_refusal *refusal)
{
    uint64_t extent = view->run;
    for (uint32_t i = view->dims; i-- > 0;) {
        if (view->stride[i] < extent)
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                             "a stride of %" PRIu64 " is less than the %" PRIu64
                             " elements that it steps over",
                             view->stride[i], extent);
        uint64_t last;
        if (!zm_mul_u64(view->stride[i], view->count[i] - 1, &last) ||
            !zm_add_u64(last, extent, &extent))
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "too large");
        view->extent[i] = extent;
    }
    return ZM_OK;
}

/* In elements. */
static zm_status dimensions_get(const zm_tensor *tensor, zm_view *view, zm_refusal *refusal)
{
    *view = (zm_view){.buffer = tensor->buffer, .begin = tensor->offset, .run = 1};
    if (tensor->panel) {
        if (!zm_weight_elements(tensor->panel, tensor->shape[0], tensor->shape[1], &view->run))
            return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT, "too large");
        return ZM_OK;
    }
    for (uint32_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] == 1)
            continue;
        view->step[i] = zm_tensor_stride(tensor, i);
        dimension_add(view, tensor->shape[i], view->step[i]);
    }
    dimensions_join(view);
    return extents_fill(view, refusal);
}

static zm_status reach_check(const zm_tensor *tensor, const zm_view *view, zm_refusal *refusal)
{
    uint64_t held = tensor->buffer->size / zm_dtype_block_size(tensor->dtype) *
                    zm_dtype_block_length(tensor->dtype);
    uint64_t end;
    if (!zm_add_u64(view->begin, view->dims ? view->extent[0] : view->run, &end) || end > held)
        return zm_refuse(refusal, ZM_ERROR_INVALID_ARGUMENT,
                         "reaches outside its buffer of %" PRIu64 " elements", held);
    bool fits = tensor->offset <= UINT32_MAX;
    for (uint32_t i = 0; i < tensor->rank; i++)
        fits &= tensor->shape[i] == 1 || zm_tensor_stride(tensor, i) <= UINT32_MAX;
    return fits ? ZM_OK
                : zm_refuse(refusal, ZM_ERROR_UNSUPPORTED,
                            "offset or stride of 2^32 elements or more");
}

zm_status zm_view_get(const zm_tensor *tensor, bool strided, zm_view *out, zm_refusal *refusal)
{
    zm_status status = strides_check(tensor, strided, refusal);
    if (status == ZM_OK)
        status = dimensions_get(tensor, out, refusal);
    if (status == ZM_OK)
        status = reach_check(tensor, out, refusal);
    if (status != ZM_OK)
        return status;
    out->begin = zm_dtype_bytes(tensor->dtype, out->begin);
    out->run = zm_dtype_bytes(tensor->dtype, out->run);
    for (uint32_t i = 0; i < ZM_MAX_RANK; i++) {
        out->stride[i] = zm_dtype_bytes(tensor->dtype, out->stride[i]);
        out->extent[i] = zm_dtype_bytes(tensor->dtype, out->extent[i]);
        out->step[i] = zm_dtype_bytes(tensor->dtype, out->step[i]);
    }
    return ZM_OK;
}

/* ---- overlaps ---- */

/* Is nothing left of the view from dim on but one run? */
static bool is_run(const zm_view *view, uint32_t dim)
{
    return dim >= view->dims || dim >= ZM_MAX_RANK;
}

/* Bytes from the first to the last of the dimensions from dim on. */
static uint64_t extent_of(const zm_view *view, uint32_t dim)
{
    return is_run(view, dim) ? view->run : view->extent[dim];
}

/* What a view holds from dim on, of one step of each dimension before. */
typedef struct part {
    const zm_view *view;
    uint32_t dim;
    uint64_t base; /* the first byte */
} part;

static uint64_t end_of(part p)
{
    return p.base + extent_of(p.view, p.dim);
}

static uint64_t stride_of(part p)
{
    return is_run(p.view, p.dim) ? 0 : p.view->stride[p.dim];
}

static part part_step(part p, uint64_t step)
{
    return (part){p.view, p.dim + 1, p.base + step * stride_of(p)};
}

static zm_relation parts_relate(part a, part b, uint32_t *budget);

/* a is of several steps: only those count that reach into what b spans. */
static zm_relation steps_relate(part a, part b, uint32_t *budget)
{
    uint64_t first_end = a.base + extent_of(a.view, a.dim + 1);
    uint64_t step = b.base < first_end ? 0 : (b.base - first_end) / stride_of(a) + 1;
    zm_relation relation = ZM_DISJOINT;
    for (; step < a.view->count[a.dim] && relation == ZM_DISJOINT; step++) {
        part one = part_step(a, step);
        if (one.base >= end_of(b))
            break;
        relation = parts_relate(one, b, budget);
    }
    return relation;
}

/* The steps of the wider stride are looked at one by one. Of equal strides only the distance of two
 * steps counts, so that one of them may be the first one. */
static zm_relation parts_relate(part a, part b, uint32_t *budget)
{
    if (end_of(a) <= b.base || end_of(b) <= a.base)
        return ZM_DISJOINT;
    if (stride_of(a) == 0 && stride_of(b) == 0)
        return ZM_OVERLAP;
    if (*budget == 0)
        return ZM_TANGLED;
    --*budget;
    if (stride_of(a) > stride_of(b))
        return steps_relate(a, b, budget);
    if (stride_of(a) < stride_of(b))
        return steps_relate(b, a, budget);
    zm_relation relation = parts_relate(part_step(a, 0), b, budget);
    return relation == ZM_DISJOINT ? parts_relate(part_step(b, 0), a, budget) : relation;
}

static bool is_same(const zm_view *a, const zm_view *b)
{
    bool same = a->begin == b->begin && a->run == b->run && a->dims == b->dims;
    for (uint32_t i = 0; same && i < a->dims; i++)
        same = a->count[i] == b->count[i] && a->stride[i] == b->stride[i];
    for (uint32_t i = 0; same && i < ZM_MAX_RANK; i++)
        same = a->step[i] == b->step[i];
    return same;
}

zm_relation zm_view_relation(const zm_view *a, const zm_view *b)
{
    if (a->buffer != b->buffer)
        return ZM_DISJOINT;
    if (is_same(a, b))
        return ZM_SAME_VIEW;
    uint32_t budget = ZM_VIEW_STEPS;
    return parts_relate((part){a, 0, a->begin}, (part){b, 0, b->begin}, &budget);
}
