/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weight_source.h"

#include <string.h>

#include "common/half.h"
#include "common/quant.h"

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

/* Rows of [k][rows] elements, each of them in one piece. */
static void gather(void *dst, const zm_weight_source *source, uint64_t row, uint64_t rows)
{
    size_t size = zm_dtype_size(source->tensor->dtype);
    uint64_t cols = zm_weight_cols(source);
    for (uint64_t c = 0; c < cols; c++) {
        const char *in =
            (const char *)source->tensor->data + (c * zm_weight_rows(source) + row) * size;
        char *out = (char *)dst + c * size;
        for (uint64_t r = 0; r < rows; r++)
            memcpy(out + r * cols * size, in + r * size, size);
    }
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
    else
        memcpy(raw, place_of(source, row), zm_dtype_bytes(tensor->dtype, count));
    return tensor->dtype;
}

/* The file does not promise alignment; blocks, whose elements have no size, need none. */
bool zm_weight_is_plain(const zm_weight_source *source, zm_dtype type)
{
    size_t size = zm_dtype_size(type);
    return source->tensor->dtype == type && !source->transposed && source->kernel <= 1 &&
           zm_weight_cols(source) == source->k &&
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
