/* SPDX-License-Identifier: Apache-2.0 */
#include "onnx/lab.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/alloc.h"
#include "common/half.h"

zm_status onnx_lab_open(onnx_lab *lab, const char *spec)
{
    *lab = (onnx_lab){0};
    scratch_log_init(&lab->log);
    const zm_device_params params = {.spec = spec, .log = &lab->log.log};
    zm_status status = zm_device_open(&params, &lab->device);
    if (status == ZM_OK) {
        lab->info = zm_device_get_info(lab->device);
        status = zm_stream_create(lab->device, NULL, &lab->stream);
    }
    return status;
}

void onnx_lab_close(onnx_lab *lab)
{
    onnx_lab_reset(lab);
    zm_stream_destroy(&lab->stream);
    zm_device_close(&lab->device);
}

void onnx_lab_reset(onnx_lab *lab)
{
    if (lab->stream) {
        zm_stream_wait(lab->stream);
    }
    while (lab->buffer_count > 0) {
        zm_buffer_destroy(&lab->buffers[--lab->buffer_count]);
    }
    lab->log.error[0] = lab->unlike[0] = lab->partly[0] = lab->difference[0] = '\0';
    lab->status = ZM_OK;
    lab->compared = 0;
}

onnx_view onnx_rows(uint64_t rows, uint64_t cols)
{
    return (onnx_view){.shape = {1, 1, (uint32_t)rows, (uint32_t)cols}, .stride = {0, 0, cols, 1}};
}

void onnx_refuse(onnx_lab *lab, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (lab->unlike[0] == '\0') {
        vsnprintf(lab->unlike, sizeof(lab->unlike), format, args);
    }
    va_end(args);
}

void onnx_ran(onnx_lab *lab, zm_status status)
{
    if (lab->status == ZM_OK) {
        lab->status = status;
    }
}

zm_dtype onnx_activation(const onnx_lab *lab, const zm_model_tensor *tensor)
{
    bool narrow = tensor->dtype == ZM_F16 || tensor->dtype == ZM_BF16;
    return narrow ? tensor->dtype : lab->info->real_type;
}

static uint64_t elements(const onnx_view *view)
{
    return (uint64_t)view->shape[0] * view->shape[1] * view->shape[2] * view->shape[3];
}

/* Where element i of the operand is in ONNX's tensor; false for one of the zeros behind a row. */
static bool place(const onnx_view *view, uint64_t i, uint64_t *out)
{
    uint32_t col = (uint32_t)(i % view->shape[3]);
    *out = view->offset;
    for (int d = 3; d >= 0; --d) {
        *out += i % view->shape[d] * view->stride[d];
        i /= view->shape[d];
    }
    return view->inner == 0 || col < view->inner;
}

zm_buffer *onnx_room(onnx_lab *lab, zm_dtype dtype, uint64_t count)
{
    zm_buffer *buffer = NULL;
    if (lab->status == ZM_OK && lab->buffer_count == ONNX_MAX_BUFFERS) {
        lab->status = ZM_ERROR_LIMIT;
    }
    if (lab->status == ZM_OK) {
        /* Filled by words of four bytes. */
        const zm_buffer_params params = {.size = (count * zm_dtype_size(dtype) + 3) / 4 * 4};
        lab->status = zm_buffer_create(lab->device, &params, &buffer);
    }
    if (buffer) {
        lab->buffers[lab->buffer_count++] = buffer;
        onnx_ran(lab, zm_buffer_fill(lab->stream, buffer, 0, zm_buffer_size(buffer), 0));
    }
    return buffer;
}

static void store(void *array, zm_dtype dtype, uint64_t i, double value)
{
    if (dtype == ZM_I32) {
        ((int32_t *)array)[i] = (int32_t)value;
    } else {
        zm_store_real(array, dtype, i, value);
    }
}

/* The elements of a view, in a new array; NULL after an error. */
static void *gather(onnx_lab *lab, const zm_model_tensor *tensor, zm_dtype dtype,
                    const onnx_view *view)
{
    void *array = lab->status == ZM_OK ? zm_calloc(elements(view), zm_dtype_size(dtype)) : NULL;
    if (!array) {
        onnx_ran(lab, ZM_ERROR_OUT_OF_MEMORY);
        return NULL;
    }
    for (uint64_t i = 0; i < elements(view); ++i) {
        uint64_t at;
        bool there = place(view, i, &at);
        if (there && at >= tensor->elements) {
            onnx_ran(lab,
                     zm_fail(&lab->log.log, ZM_ERROR_BAD_FORMAT,
                             "%s has too few elements for the shapes of its case", tensor->name));
            break;
        }
        store(array, dtype, i, there ? onnx_element(tensor, at) : 0);
    }
    return array;
}

zm_buffer *onnx_put(onnx_lab *lab, const zm_model_tensor *tensor, zm_dtype dtype,
                    const onnx_view *view)
{
    void *array = gather(lab, tensor, dtype, view);
    zm_buffer *buffer = onnx_room(lab, dtype, elements(view));
    if (buffer) {
        onnx_ran(lab, zm_buffer_write(lab->stream, buffer, 0, array,
                                      elements(view) * zm_dtype_size(dtype)));
    }
    free(array);
    return buffer;
}

zm_tensor onnx_put_weight(onnx_lab *lab, const zm_model_tensor *tensor, const onnx_view *view)
{
    const uint32_t n = view->shape[2], k = view->shape[3];
    const zm_dtype dtype = lab->info->real_type;
    zm_weight_layout layout = {0};
    onnx_ran(lab, zm_weight_layout_get(lab->device, n, k, dtype, &layout));
    void *rows = gather(lab, tensor, dtype, view);
    zm_buffer *buffer = onnx_room(lab, dtype, layout.elements);
    void *packed = buffer ? zm_calloc(layout.elements, zm_dtype_size(dtype)) : NULL;
    if (packed) {
        onnx_ran(lab, zm_weight_pack(packed, dtype, &layout, n, 0, rows, dtype, n, k));
        onnx_ran(lab, zm_buffer_write(lab->stream, buffer, 0, packed,
                                      layout.elements * zm_dtype_size(dtype)));
    } else {
        onnx_ran(lab, ZM_ERROR_OUT_OF_MEMORY);
    }
    free(packed);
    free(rows);
    zm_tensor weight = zm_tensor_2d(buffer, dtype, n, k);
    weight.panel = layout.panel;
    return weight;
}

static double tolerance(const zm_model_tensor *expected)
{
    return expected->dtype == ZM_F16    ? ONNX_TOLERANCE_F16
           : expected->dtype == ZM_BF16 ? ONNX_TOLERANCE_BF16
                                        : ONNX_TOLERANCE_F32;
}

static double largest(const zm_model_tensor *tensor)
{
    double most = 0;
    for (uint64_t i = 0; i < tensor->elements; ++i) {
        double value = fabs(onnx_element(tensor, i));
        most = isfinite(value) ? fmax(most, value) : most;
    }
    return most > 0 ? most : 1;
}

/* Infinite unless both are the same NaN, infinity or finite numbers. */
static double distance(double got, double wanted)
{
    if (isnan(wanted) || isinf(wanted)) {
        return (isnan(wanted) && isnan(got)) || got == wanted ? 0 : INFINITY;
    }
    return isfinite(got) ? fabs(got - wanted) : INFINITY;
}

static void compare(onnx_lab *lab, const onnx_operand *expected, const void *got, zm_dtype dtype,
                    const onnx_view *view)
{
    const zm_model_tensor *wanted = expected->tensor;
    double scale = largest(wanted) * tolerance(wanted);
    for (uint64_t i = 0; i < elements(view); ++i) {
        uint64_t at;
        if (!place(view, i, &at)) {
            continue;
        }
        ++lab->compared;
        double value = zm_load_real(got, dtype, i);
        double error =
            at < wanted->elements ? distance(value, onnx_element(wanted, at)) / scale : INFINITY;
        lab->worst = fmax(lab->worst, error);
        if (error > 1 && lab->difference[0] == '\0') {
            snprintf(lab->difference, sizeof(lab->difference),
                     "%s[%llu] is %.9g, not %.9g: %.3g of the largest, tolerance %.1e",
                     expected->name, (unsigned long long)at, value,
                     at < wanted->elements ? onnx_element(wanted, at) : NAN,
                     error * tolerance(wanted), tolerance(wanted));
        }
    }
}

void onnx_expect(onnx_lab *lab, const onnx_operand *expected, const zm_tensor *result,
                 const onnx_view *view)
{
    uint64_t bytes = elements(view) * zm_dtype_size(result->dtype);
    void *got = lab->status == ZM_OK ? zm_calloc(1, bytes) : NULL;
    if (!got) {
        onnx_ran(lab, ZM_ERROR_OUT_OF_MEMORY);
        return;
    }
    onnx_ran(lab, zm_buffer_read(lab->stream, result->buffer,
                                 result->offset * zm_dtype_size(result->dtype), got, bytes));
    if (lab->status == ZM_OK) {
        compare(lab, expected, got, result->dtype, view);
    }
    free(got);
}
