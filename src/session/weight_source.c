/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weight_source.h"

#include <string.h>

#include "common/half.h"
#include "common/quant.h"

#define PIECE 512u /* elements of a tensor that changes */

void zm_weight_source_set(zm_weight_source *source, const zm_model_tensor *tensor,
                          const zm_plan *plan)
{
    const zm_plan_item *item = plan && tensor ? zm_plan_find(plan, tensor) : NULL;
    source->tensor = tensor;
    source->change = item && item->axis != ZM_RECENTRE_NONE ? item : NULL;
    if (tensor)
        source->dtype = item ? item->made.dtype : tensor->dtype;
}

zm_status zm_weight_source_begin(zm_weight_source *source)
{
    const zm_plan_item *change = source->change;
    return change ? zm_recentring_init(&source->recentring, source->tensor, change->axis,
                                       &change->change, change->gain)
                  : ZM_OK;
}

void zm_weight_source_end(zm_weight_source *source)
{
    zm_recentring_finish(&source->recentring);
}

uint64_t zm_weight_rows(const zm_weight_source *source)
{
    return source->rows ? source->rows : source->n;
}

uint64_t zm_weight_cols(const zm_weight_source *source)
{
    return source->cols ? source->cols : source->k;
}

uint64_t zm_weight_row(const zm_weight_source *source, uint64_t row, uint64_t *together)
{
    uint64_t run = source->run ? source->run : source->n;
    *together = run - row % run;
    return source->first + row / run * source->stride + row % run;
}

/* [channels][kernel] -> [kernel][channels] for each of rows rows. */
static void reorder(void *dst, const void *src, zm_dtype type, uint64_t rows, uint64_t channels,
                    uint32_t kernel)
{
    size_t size = zm_dtype_size(type);
    for (uint64_t row = 0; row < rows; row++) {
        char *out = (char *)dst + row * channels * kernel * size;
        const char *in = (const char *)src + row * channels * kernel * size;
        for (uint32_t j = 0; j < kernel; j++) {
            for (uint64_t c = 0; c < channels; c++, out += size)
                memcpy(out, in + (c * kernel + j) * size, size);
        }
    }
}

/* Elements of a floating type, `step` elements apart: as they are, or recentred and rounded to what
 * a converted file would have. */
static void copy_elements(char *out, const zm_weight_source *source, uint64_t first, uint64_t count,
                          uint64_t step)
{
    size_t size = zm_dtype_size(source->dtype);
    double exact[PIECE], rounded[PIECE];
    for (uint64_t done = 0, piece; done < count; done += piece) {
        const char *in = (const char *)source->tensor->data + (first + done) * size;
        piece = count - done;
        if (source->change) {
            piece = piece < PIECE ? piece : PIECE;
            zm_recentring_read(&source->recentring, first + done, piece, exact);
            zm_convert_reals(rounded, source->dtype, exact, ZM_F64, piece);
            in = (const char *)rounded;
        }
        for (uint64_t i = 0; step > 1 && i < piece; i++)
            memcpy(out + (done + i) * step * size, in + i * size, size);
        if (step == 1)
            memcpy(out + done * size, in, piece * size);
    }
}

/* Rows of [k][rows] elements, each of them in one piece. */
static void gather(void *dst, const zm_weight_source *source, uint64_t row, uint64_t rows)
{
    size_t size = zm_dtype_size(source->dtype);
    uint64_t cols = zm_weight_cols(source);
    for (uint64_t c = 0; c < cols; c++)
        copy_elements((char *)dst + c * size, source, c * zm_weight_rows(source) + row, rows, cols);
}

static const void *place_of(const zm_weight_source *source, uint64_t row)
{
    const zm_model_tensor *tensor = source->tensor;
    return (const char *)tensor->data + zm_dtype_bytes(tensor->dtype, row * zm_weight_cols(source));
}

/* Rows of the tensor that are together, as they are in the file, but blocks decoded unless they are
 * what is wanted: the type. */
static zm_dtype take(void *raw, const zm_weight_source *source, uint64_t row, uint64_t rows,
                     zm_dtype wanted)
{
    const zm_model_tensor *tensor = source->tensor;
    uint64_t count = rows * zm_weight_cols(source);
    if (tensor->dtype != wanted && zm_dtype_block_length(tensor->dtype) != 1) {
        zm_quant_decode(raw, place_of(source, row), tensor->dtype, count);
        return ZM_F32;
    }
    if (source->transposed)
        gather(raw, source, row, rows);
    else if (zm_dtype_block_length(tensor->dtype) != 1)
        memcpy(raw, place_of(source, row), zm_dtype_bytes(tensor->dtype, count));
    else
        copy_elements(raw, source, row * zm_weight_cols(source), count, 1);
    return source->dtype;
}

/* The file does not promise alignment; blocks, whose elements have no size, need none. */
bool zm_weight_is_plain(const zm_weight_source *source, zm_dtype type)
{
    size_t size = zm_dtype_size(type);
    return source->tensor->dtype == type && !source->change && !source->transposed &&
           source->kernel <= 1 && zm_weight_cols(source) == source->k &&
           (size == 0 || (uintptr_t)source->tensor->data % size == 0);
}

/* Rows of fewer columns become rows of k. */
static void widen(void *dst, const void *src, zm_dtype type, const zm_weight_source *source,
                  uint64_t rows)
{
    size_t size = zm_dtype_size(type), stored = zm_weight_cols(source) * size;
    for (uint64_t row = 0; row < rows; row++) {
        char *out = (char *)dst + row * source->k * size;
        memcpy(out, (const char *)src + row * stored, stored);
        memset(out + stored, 0, source->k * size - stored);
    }
}

const void *zm_weight_fetch(void *raw, void *real, const zm_weight_source *source, uint64_t row,
                            uint64_t *rows, zm_dtype type)
{
    uint64_t together, place = zm_weight_row(source, row, &together);
    *rows = together < *rows ? together : *rows;
    if (zm_weight_is_plain(source, type))
        return place_of(source, place);
    uint64_t count = *rows * zm_weight_cols(source);
    zm_dtype stored = take(raw, source, place, *rows, type);
    void *values = raw, *other = real;
    if (stored != type) {
        zm_convert_reals(real, type, raw, stored, count);
        values = real;
        other = raw;
    }
    if (zm_weight_cols(source) < source->k) {
        widen(other, values, type, source, *rows);
        values = other;
    }
    if (source->kernel > 1) {
        reorder(other, values, type, *rows, source->k / source->kernel, source->kernel);
        values = other;
    }
    return values;
}

const void *zm_weight_fetch_scaled(void *raw, void *real, const zm_weight_source *source,
                                   uint64_t row, uint64_t *rows, const double *gain, zm_dtype type)
{
    const double *values = zm_weight_fetch(raw, real, source, row, rows, ZM_F64);
    void *out = values == raw ? real : raw;
    for (uint64_t i = 0; i < *rows; i++)
        for (uint64_t j = 0; j < source->k; j++) {
            const double value = values[i * source->k + j] * gain[i];
            if (type == ZM_F64)
                ((double *)out)[i * source->k + j] = value;
            else
                ((float *)out)[i * source->k + j] = (float)value;
        }
    return out;
}
