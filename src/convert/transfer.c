/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/transfer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/half.h"
#include "common/quant.h"
#include "model/pages.h"

#define DROPPED (UINT64_C(16) << 20)

enum { PIECE = 16384 }; /* of whole blocks */

typedef struct transfer {
    const zm_transfer_params *params;
    zm_recentring recentring;
    double *sums; /* what a bias takes over; NULL = nothing */
    double exact[PIECE], stored[PIECE];
    float single[PIECE];
    uint8_t bytes[PIECE * sizeof(double)];
    double error, total;    /* sums of squares */
    uint64_t told, dropped; /* bytes of the input */
} transfer;

static bool is_broken(const zm_model_tensor *tensor, uint64_t *index)
{
    double value = 0;
    for (*index = 0; tensor && *index < tensor->elements; ++*index) {
        zm_quant_load(&value, tensor->data, tensor->dtype, *index, 1);
        if (!isfinite(value))
            return true;
    }
    return false;
}

/* A sum spreads a NaN over all that it is for: look up where it came from. */
static zm_status check_piece(const transfer *t, uint64_t first, uint64_t count)
{
    const zm_plan_item *item = t->params->item;
    const zm_model_tensor *const sources[] = {item->tensor, item->gain, item->reader, item->shift};
    uint64_t i = 0, broken;
    while (i < count && isfinite(t->exact[i]) && isfinite(t->stored[i]))
        i++;
    if (i == count)
        return ZM_OK;
    for (size_t s = 0; s < sizeof(sources) / sizeof(sources[0]); s++)
        if (is_broken(sources[s], &broken))
            return zm_fail(t->params->log, ZM_ERROR_UNSUPPORTED,
                           "%s: %s: element %llu is NaN or Inf; repair the model first", item->path,
                           sources[s]->name, (unsigned long long)broken);
    return zm_fail(t->params->log, ZM_ERROR_UNSUPPORTED,
                   "%s: %s: element %llu is %g, too large for %s; choose another type", item->path,
                   item->made.name, (unsigned long long)(first + i), t->exact[i],
                   zm_dtype_name(item->made.dtype));
}

static void measure_piece(transfer *t, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double error = t->stored[i] - t->exact[i];
        t->error += error * error;
        t->total += t->exact[i] * t->exact[i];
    }
}

static void read_piece(transfer *t, uint64_t first, uint64_t count)
{
    const zm_plan_item *item = t->params->item;
    if (item->tensor)
        zm_recentring_read(&t->recentring, first, count, t->exact);
    for (uint64_t i = 0; i < count; i++) {
        if (!item->tensor)
            t->exact[i] = item->filled;
        if (t->sums)
            t->exact[i] += t->sums[first + i];
    }
}

/* Blocks that stay as they are are copied: encoding them again could give others. */
static void encode_piece(transfer *t, uint64_t first, uint64_t count)
{
    const zm_plan_item *item = t->params->item;
    zm_dtype type = item->made.dtype;
    if (zm_dtype_block_length(type) == 1) {
        zm_convert_reals(t->bytes, type, t->exact, ZM_F64, count);
    } else if (!item->changed && type == item->tensor->dtype) {
        memcpy(t->bytes, (const uint8_t *)item->tensor->data + zm_dtype_bytes(type, first),
               zm_dtype_bytes(type, count));
    } else {
        zm_convert_reals(t->single, ZM_F32, t->exact, ZM_F64, count);
        zm_quant_encode(t->bytes, type, t->single, count);
    }
}

/* Of the input, for so many elements of the output, which may have more of them, or fewer. */
static uint64_t bytes_behind(const zm_plan_item *item, uint64_t done)
{
    const uint64_t bytes = item->tensor ? item->tensor->bytes : 0;
    return done == item->made.elements
               ? bytes
               : (uint64_t)((double)bytes * (double)done / (double)item->made.elements);
}

/* Pages are let go of on the way: a table alone can be larger than what a conversion is to take. */
static bool advance(transfer *t, uint64_t done)
{
    const zm_transfer_params *params = t->params;
    const zm_model_tensor *tensor = params->item->tensor;
    const uint64_t bytes = bytes_behind(params->item, done);
    const bool enough = bytes - t->dropped >= DROPPED || done == params->item->made.elements;
    if (params->model && tensor && enough) {
        const zm_model_tensor part = {.data = (const uint8_t *)tensor->data + t->dropped,
                                      .bytes = bytes - t->dropped};
        zm_model_drop_pages(params->model, &part);
        t->dropped = bytes;
    }
    const bool go_on = zm_convert_progress_advance(params->progress, bytes - t->told);
    t->told = bytes;
    return go_on;
}

static zm_status transfer_pieces(transfer *t)
{
    const zm_transfer_params *params = t->params;
    const zm_model_tensor *made = &params->item->made;
    for (uint64_t done = 0; done < made->elements;) {
        uint64_t left = made->elements - done;
        uint64_t count = left < PIECE ? left : PIECE;
        read_piece(t, done, count);
        encode_piece(t, done, count);
        zm_quant_load(t->stored, t->bytes, made->dtype, 0, count);
        zm_status status = check_piece(t, done, count);
        if (status)
            return status;
        measure_piece(t, count);
        status =
            zm_tensor_writer_write(params->writer, t->bytes, zm_dtype_bytes(made->dtype, count));
        if (status)
            return status;
        done += count;
        if (!advance(t, done))
            return ZM_ERROR_CANCELLED;
    }
    return ZM_OK;
}

static zm_status take_shift(transfer *t)
{
    const zm_plan_item *item = t->params->item;
    if (!item->shift)
        return ZM_OK;
    double *vector = zm_calloc(item->shift->elements, sizeof(*vector));
    t->sums = zm_calloc(item->made.elements, sizeof(*t->sums));
    if (vector && t->sums) {
        zm_quant_load(vector, item->shift->data, item->shift->dtype, 0, item->shift->elements);
        zm_matrix_times(item->reader, item->transposed, vector, t->sums);
        if (t->params->model)
            zm_model_drop_pages(t->params->model, item->reader);
    }
    free(vector);
    return vector && t->sums ? ZM_OK : ZM_ERROR_OUT_OF_MEMORY;
}

zm_status zm_transfer_tensor(const zm_transfer_params *params, double *rounding)
{
    const zm_plan_item *item = params->item;
    *rounding = 0.0;
    transfer *t = malloc(sizeof(*t));
    if (!t)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to convert %s",
                       item->path, item->made.name);
    t->params = params;
    t->sums = NULL;
    t->error = t->total = 0.0;
    t->told = t->dropped = 0;
    t->recentring = (zm_recentring){0};
    zm_status status = ZM_OK;
    if (item->tensor)
        status =
            zm_recentring_init(&t->recentring, item->tensor, item->axis, &item->change, item->gain);
    if (status == ZM_OK)
        status = take_shift(t);
    if (status)
        zm_fail(params->log, status, "%s: %s cannot be converted: %s", item->path, item->made.name,
                zm_status_message(status));
    else
        status = transfer_pieces(t);
    if (status == ZM_OK && t->total > 0.0)
        *rounding = sqrt(t->error / t->total);
    zm_recentring_finish(&t->recentring);
    free(t->sums);
    free(t);
    return status;
}
