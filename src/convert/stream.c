/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/stream.h"

#include <math.h>
#include <stdlib.h>

#include "common/half.h"

enum { PIECE = 16384 };

typedef struct stream {
    const zm_stream_params *params;
    const zm_model_tensor *tensor;
    zm_recentring recentring;
    double exact[PIECE], stored[PIECE];
    uint8_t bytes[PIECE * sizeof(double)];
    double error, total; /* sums of squares */
} stream;

static zm_status check_piece(const stream *s, uint64_t first, uint64_t count)
{
    const zm_model_tensor *tensor = s->tensor;
    zm_dtype type = s->params->item->dtype;
    for (uint64_t i = 0; i < count; i++) {
        if (!isfinite(s->exact[i]))
            return zm_fail(s->params->log, ZM_ERROR_UNSUPPORTED,
                           "%s: holds NaN or Inf near element %llu; repair the model first",
                           tensor->name, (unsigned long long)(first + i));
        if (!isfinite(s->stored[i]))
            return zm_fail(s->params->log, ZM_ERROR_UNSUPPORTED,
                           "%s: element %llu is %g, too large for %s; choose another type",
                           tensor->name, (unsigned long long)(first + i), s->exact[i],
                           zm_dtype_name(type));
    }
    return ZM_OK;
}

static void measure_piece(stream *s, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        double error = s->stored[i] - s->exact[i];
        s->error += error * error;
        s->total += s->exact[i] * s->exact[i];
    }
}

static zm_status stream_reals(stream *s)
{
    const zm_stream_params *params = s->params;
    zm_dtype type = params->item->dtype;
    size_t input_size = zm_dtype_size(s->tensor->dtype), output_size = zm_dtype_size(type);
    for (uint64_t done = 0; done < s->tensor->elements;) {
        uint64_t left = s->tensor->elements - done;
        uint64_t count = left < PIECE ? left : PIECE;
        zm_recentring_read(&s->recentring, done, count, s->exact);
        zm_convert_reals(s->bytes, type, s->exact, ZM_F64, count);
        zm_convert_reals(s->stored, ZM_F64, s->bytes, type, count);
        zm_status status = check_piece(s, done, count);
        if (status)
            return status;
        measure_piece(s, count);
        status = zm_safetensors_writer_write(params->writer, s->bytes, count * output_size);
        if (status)
            return status;
        if (!zm_convert_progress_advance(params->progress, count * input_size))
            return ZM_ERROR_CANCELLED;
        done += count;
    }
    return ZM_OK;
}

zm_status zm_stream_tensor(const zm_stream_params *params, double *rounding)
{
    const zm_model_tensor *tensor = params->item->tensor;
    *rounding = 0.0;
    stream *s = malloc(sizeof(*s));
    if (!s)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "%s: no memory to convert it",
                       tensor->name);
    s->params = params;
    s->tensor = tensor;
    s->error = s->total = 0.0;
    zm_status status = zm_recentring_init(&s->recentring, tensor, params->item->axis);
    if (status)
        zm_fail(params->log, status, "%s: cannot be recentred: %s", tensor->name,
                zm_status_message(status));
    else
        status = stream_reals(s);
    if (status == ZM_OK && s->total > 0.0)
        *rounding = sqrt(s->error / s->total);
    zm_recentring_finish(&s->recentring);
    free(s);
    return status;
}
