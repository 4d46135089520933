/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/transfer.h"

#include <math.h>
#include <stdlib.h>

#include "common/half.h"

enum { PIECE = 16384 };

typedef struct transfer {
    const zm_transfer_params *params;
    const zm_model_tensor *tensor;
    zm_recentring recentring;
    double exact[PIECE], stored[PIECE];
    uint8_t bytes[PIECE * sizeof(double)];
    double error, total; /* sums of squares */
} transfer;

/* A mean spreads a NaN over its whole group: look up where it came from. */
static uint64_t first_broken(const zm_model_tensor *tensor)
{
    uint64_t i = 0;
    while (i < tensor->elements && isfinite(zm_load_real(tensor->data, tensor->dtype, i)))
        i++;
    return i;
}

static zm_status check_piece(const transfer *t, uint64_t first, uint64_t count)
{
    const zm_model_tensor *tensor = t->tensor;
    const char *path = t->params->item->file->path;
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

static zm_status transfer_pieces(transfer *t)
{
    const zm_transfer_params *params = t->params;
    zm_dtype type = params->item->dtype;
    size_t input_size = zm_dtype_size(t->tensor->dtype), output_size = zm_dtype_size(type);
    for (uint64_t done = 0; done < t->tensor->elements;) {
        uint64_t left = t->tensor->elements - done;
        uint64_t count = left < PIECE ? left : PIECE;
        zm_recentring_read(&t->recentring, done, count, t->exact);
        zm_convert_reals(t->bytes, type, t->exact, ZM_F64, count);
        zm_convert_reals(t->stored, ZM_F64, t->bytes, type, count);
        zm_status status = check_piece(t, done, count);
        if (status)
            return status;
        measure_piece(t, count);
        status = zm_tensor_writer_write(params->writer, t->bytes, count * output_size);
        if (status)
            return status;
        if (!zm_convert_progress_advance(params->progress, count * input_size))
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
                       params->item->file->path, tensor->name);
    t->params = params;
    t->tensor = tensor;
    t->error = t->total = 0.0;
    zm_status status = zm_recentring_init(&t->recentring, tensor, params->item->axis);
    if (status)
        zm_fail(params->log, status, "%s: %s cannot be recentred: %s", params->item->file->path,
                tensor->name, zm_status_message(status));
    else
        status = transfer_pieces(t);
    if (status == ZM_OK && t->total > 0.0)
        *rounding = sqrt(t->error / t->total);
    zm_recentring_finish(&t->recentring);
    free(t);
    return status;
}
