/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor on its way: rows of the source in the output's order, as float64, to the output's
 * type. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "common/quant.h"
#include "convert/reformat.h"

/* Elements of a block of rows, unless one row is longer; and of what is copied as it is, bytes. */
enum { BLOCK = 1 << 18, PIECE = 1 << 20 };

typedef struct mover {
    const zm_reformat_tensor_params *params;
    const zm_reformat_item *item;
    uint64_t rows, columns;
    uint64_t at_once; /* rows */
    double *exact;    /* of a block, in the output's order */
    double *strip;    /* of transposed ones */
    float *narrow;
    uint8_t *bytes;
    double error, total; /* sums of squares */
} mover;

/* The source's row that row r of the output is. */
static uint64_t source_row(const mover *m, uint64_t r)
{
    const zm_text_info *text = &zm_model_get_info(m->params->plan->model)->text;
    const uint64_t dim = text->head_dim, kv = text->kv_heads, group = text->heads / kv;
    const uint64_t head = r / dim, i = r % dim;
    switch (m->item->order) {
    case ZM_ROWS_TO_PARTS:
        if (head < text->heads)
            return ((head / group) * (group + 2) + head % group) * dim + i;
        return ((head - text->heads) % kv * (group + 2) + group + (head - text->heads) / kv) * dim +
               i;
    case ZM_ROWS_TO_GROUPS: {
        const uint64_t which = head / (group + 2), part = head % (group + 2);
        if (part < group)
            return (which * group + part) * dim + i;
        return (text->heads + (part - group) * kv + which) * dim + i;
    }
    case ZM_ROWS_TO_PAIRS: return head * dim + i % 2 * (dim / 2) + i / 2;
    case ZM_ROWS_TO_HALVES: return head * dim + i % (dim / 2) * 2 + i / (dim / 2);
    case ZM_ROWS_SAME:
    default: return r;
    }
}

/* Of the source, in its own order. */
static void load(const mover *m, uint64_t first, uint64_t count, double *out)
{
    const zm_model_tensor *source = m->item->source;
    zm_quant_load(out, source->data, source->dtype, first, count);
}

/* A strip of the source is one column of the block. */
static void load_transposed(const mover *m, uint64_t first, uint64_t count)
{
    for (uint64_t column = 0; column < m->columns; column++) {
        load(m, column * m->rows + first, count, m->strip);
        for (uint64_t i = 0; i < count; i++)
            m->exact[i * m->columns + column] = m->strip[i];
    }
}

static void load_rows(const mover *m, uint64_t first, uint64_t count)
{
    if (m->item->transposed)
        load_transposed(m, first, count);
    else if (m->item->order == ZM_ROWS_SAME)
        load(m, first * m->columns, count * m->columns, m->exact);
    else
        for (uint64_t i = 0; i < count; i++)
            load(m, source_row(m, first + i) * m->columns, m->columns, m->exact + i * m->columns);
    for (uint64_t i = 0; i < count * m->columns; i++)
        m->exact[i] += m->item->added;
}

/* Blocks begin .. end-1: each by itself, so that any thread makes the same bytes of it. */
static void encode_blocks(void *user, size_t begin, size_t end)
{
    const mover *m = user;
    const zm_dtype type = m->item->made.dtype;
    const uint32_t length = zm_dtype_block_length(type);
    zm_quant_encode(m->bytes + begin * zm_dtype_block_size(type), type, m->narrow + begin * length,
                    (end - begin) * length);
}

/* Plain types are rounded once, from float64. */
static void encode(mover *m, uint64_t count)
{
    const zm_dtype type = m->item->made.dtype;
    const uint32_t length = zm_dtype_block_length(type);
    if (length == 1) {
        zm_convert_reals(m->bytes, type, m->exact, ZM_F64, count);
        return;
    }
    zm_convert_reals(m->narrow, ZM_F32, m->exact, ZM_F64, count);
    zm_pool_run(m->params->pool, (size_t)(count / length), encode_blocks, m);
}

static zm_status fail_value(const mover *m, double value, double stored, uint64_t element)
{
    const zm_model_info *info = zm_model_get_info(m->params->plan->model);
    if (!isfinite(value))
        return zm_fail(m->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s: element %" PRIu64 " of what becomes %s is NaN or Inf; repair the "
                       "model first",
                       info->path, m->item->source->name, element, m->item->made.name);
    return zm_fail(m->params->log, ZM_ERROR_UNSUPPORTED,
                   "%s: %s: element %" PRIu64 " of what becomes %s is %g, too large for %s (%g); "
                   "choose another type",
                   info->path, m->item->source->name, element, m->item->made.name, value,
                   zm_dtype_name(m->item->made.dtype), stored);
}

/* What was stored is decoded again; narrow is free by now. */
static zm_status measure(mover *m, uint64_t first, uint64_t count)
{
    const zm_dtype type = m->item->made.dtype;
    for (uint64_t done = 0; done < count;) {
        double stored[256];
        const uint64_t n = count - done < 256 ? count - done : 256;
        zm_quant_load(stored, m->bytes, type, done, n);
        for (uint64_t i = 0; i < n; i++) {
            const double exact = m->exact[done + i], error = stored[i] - exact;
            if (!isfinite(error))
                return fail_value(m, exact, stored[i], first * m->columns + done + i);
            m->error += error * error;
            m->total += exact * exact;
        }
        done += n;
    }
    return ZM_OK;
}

static zm_status move_rows(mover *m)
{
    const zm_reformat_tensor_params *params = m->params;
    const zm_model_tensor *made = &m->item->made;
    uint64_t told = 0;
    for (uint64_t row = 0; row < m->rows;) {
        const uint64_t left = m->rows - row, count = left < m->at_once ? left : m->at_once;
        load_rows(m, row, count);
        encode(m, count * m->columns);
        zm_status status = measure(m, row, count * m->columns);
        if (status == ZM_OK)
            status = zm_tensor_writer_write(params->writer, m->bytes,
                                            zm_dtype_bytes(made->dtype, count * m->columns));
        if (status != ZM_OK)
            return status;
        row += count;
        const uint64_t by_now =
            (uint64_t)((double)m->item->source->bytes * (double)row / (double)m->rows);
        if (!zm_convert_progress_advance(params->progress, by_now - told))
            return ZM_ERROR_CANCELLED;
        told = by_now;
    }
    return ZM_OK;
}

/* Nothing changes but the place. */
static zm_status copy(const zm_reformat_tensor_params *params)
{
    const zm_model_tensor *source = params->item->source;
    for (uint64_t done = 0; done < source->bytes;) {
        const uint64_t left = source->bytes - done, size = left < PIECE ? left : PIECE;
        zm_status status =
            zm_tensor_writer_write(params->writer, (const uint8_t *)source->data + done, size);
        if (status != ZM_OK)
            return status;
        if (!zm_convert_progress_advance(params->progress, size))
            return ZM_ERROR_CANCELLED;
        done += size;
    }
    return ZM_OK;
}

static bool reserve(mover *m)
{
    uint64_t elements, bytes;
    m->at_once = m->columns < BLOCK ? BLOCK / m->columns : 1;
    if (m->at_once > m->rows)
        m->at_once = m->rows;
    if (!zm_mul_u64(m->at_once, m->columns, &elements) ||
        !zm_mul_u64(elements, sizeof(double), &bytes) || bytes > SIZE_MAX)
        return false;
    m->exact = zm_calloc((size_t)elements, sizeof(*m->exact));
    m->strip = zm_calloc((size_t)m->at_once, sizeof(*m->strip));
    m->narrow = zm_calloc((size_t)elements, sizeof(*m->narrow));
    m->bytes = zm_aligned_calloc(64, (size_t)bytes); /* no type is wider than float64 */
    return m->exact && m->strip && m->narrow && m->bytes;
}

zm_status zm_reformat_tensor(const zm_reformat_tensor_params *params, double *rounding)
{
    const zm_reformat_item *item = params->item;
    const zm_model_tensor *made = &item->made;
    zm_status status = ZM_OK;
    *rounding = 0;
    if (item->source->dtype == made->dtype && item->order == ZM_ROWS_SAME && !item->transposed &&
        item->added == 0)
        return copy(params);
    if (made->elements == 0)
        return ZM_OK;
    mover m = {.params = params, .item = item, .rows = made->rank ? made->shape[0] : 1};
    m.columns = made->elements / m.rows;
    if (reserve(&m))
        status = move_rows(&m);
    else
        status = zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "no memory to convert %s",
                         item->source->name);
    if (status == ZM_OK && m.total > 0)
        *rounding = sqrt(m.error / m.total);
    free(m.exact);
    free(m.strip);
    free(m.narrow);
    free(m.bytes);
    return status;
}
