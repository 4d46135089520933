/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/transfer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/half.h"
#include "common/quant.h"

enum { PIECE = 16384 }; /* of whole blocks */

typedef struct transfer {
    const zm_transfer_params *params;
    const zm_model_tensor *tensor;
    zm_recentring recentring;
    double exact[PIECE], stored[PIECE];
    float single[PIECE];
    uint8_t bytes[PIECE * sizeof(double)];
    double error, total; /* sums of squares */
} transfer;

/* A mean spreads a NaN over its whole group: look up where it came from. */
static uint64_t first_broken(const zm_model_tensor *tensor)
{
    uint64_t i = 0;
    double value = 0;
    for (; i < tensor->elements; i++) {
        zm_quant_load(&value, tensor->data, tensor->dtype, i, 1);
        if (!isfinite(value))
            break;
    }
    return i;
}

static zm_status check_piece(const transfer *t, uint64_t first, uint64_t count)
{
    const zm_model_tensor *tensor = t->tensor;
    const char *path = t->params->item->path;
    uint64_t i = 0;
    while (i < count && isfinite(t->exact[i]) && isfinite(t->stored[i]))
        i++;
    if (i == count)
        return ZM_OK;
    uint64_t broken = first_broken(tensor);
    if (broken < tensor->elements)
        return zm_fail(t->params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: %s: element %llu is NaN or Inf; repair the model first", path,
                       tensor->name, (unsigned long long)broken);
    return zm_fail(t->params->log, ZM_ERROR_UNSUPPORTED,
                   "%s: %s: element %llu is %g, too large for %s; choose another type", path,
                   tensor->name, (unsigned long long)(first + i), t->exact[i],
                   zm_dtype_name(t->params->item->dtype));
}

static void measure_piece(transfer *t, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double error = t->stored[i] - t->exact[i];
        t->error += error * error;
        t->total += t->exact[i] * t->exact[i];
    }
}

/* Blocks that stay as they are are copied: encoding them again could give others. */
static void encode_piece(transfer *t, uint64_t first, uint64_t count)
{
    const zm_model_tensor *tensor = t->tensor;
    zm_dtype type = t->params->item->dtype;
    if (zm_dtype_block_length(type) == 1) {
        zm_convert_reals(t->bytes, type, t->exact, ZM_F64, count);
    } else if (t->params->item->axis == ZM_RECENTRE_NONE && type == tensor->dtype) {
        memcpy(t->bytes, (const uint8_t *)tensor->data + zm_dtype_bytes(type, first),
               zm_dtype_bytes(type, count));
    } else {
        zm_convert_reals(t->single, ZM_F32, t->exact, ZM_F64, count);
        zm_quant_encode(t->bytes, type, t->single, count);
    }
}

static zm_status transfer_pieces(transfer *t)
{
    const zm_transfer_params *params = t->params;
    zm_dtype type = params->item->dtype;
    for (uint64_t done = 0; done < t->tensor->elements;) {
        uint64_t left = t->tensor->elements - done;
        uint64_t count = left < PIECE ? left : PIECE;
        zm_recentring_read(&t->recentring, done, count, t->exact);
        encode_piece(t, done, count);
        zm_quant_load(t->stored, t->bytes, type, 0, count);
        zm_status status = check_piece(t, done, count);
        if (status)
            return status;
        measure_piece(t, count);
        status = zm_tensor_writer_write(params->writer, t->bytes, zm_dtype_bytes(type, count));
        if (status)
            return status;
        if (!zm_convert_progress_advance(params->progress, zm_dtype_bytes(t->tensor->dtype, count)))
            return ZM_ERROR_CANCELLED;
        done += count;
    }
    return ZM_OK;
}

zm_status zm_transfer_tensor(const zm_transfer_params *params, double *rounding)
{
    const zm_model_tensor *tensor = params->item->tensor;
    *rounding = 0.0;
    transfer *t = malloc(sizeof(*t));
    if (!t)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to convert %s",
                       params->item->path, tensor->name);
    t->params = params;
    t->tensor = tensor;
    t->error = t->total = 0.0;
    zm_status status = zm_recentring_init(&t->recentring, tensor, params->item->axis);
    if (status)
        zm_fail(params->log, status, "%s: %s cannot be recentred: %s", params->item->path,
                tensor->name, zm_status_message(status));
    else
        status = transfer_pieces(t);
    if (status == ZM_OK && t->total > 0.0)
        *rounding = sqrt(t->error / t->total);
    zm_recentring_finish(&t->recentring);
    free(t);
    return status;
}
