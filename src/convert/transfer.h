/* SPDX-License-Identifier: Apache-2.0 */
/* One tensor from the input's mapping to the output file, through a small buffer. */
#ifndef ZM_SRC_CONVERT_TRANSFER_H
#define ZM_SRC_CONVERT_TRANSFER_H

#include "convert/plan.h"
#include "convert/progress.h"
#include "format/safetensors.h"

typedef struct zm_transfer_params {
    const zm_plan_item *item;
    const zm_model *model; /* whose pages are let go of behind what is written; NULL = none */
    zm_tensor_writer *writer;
    const zm_log *log;
    zm_convert_progress *progress; /* counts bytes of the input */
} zm_transfer_params;

/* *rounding: relative L2 between the float64 result and what was stored. ZM_ERROR_UNSUPPORTED: a
 * NaN or Inf in the tensor, or a value too large for the type; ZM_ERROR_CANCELLED. */
zm_status zm_transfer_tensor(const zm_transfer_params *params, double *rounding);

#endif
