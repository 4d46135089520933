/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of each tensor. The plan reads roles, never names: a new architecture needs nothing
 * here. */
#ifndef ZM_SRC_CONVERT_PLAN_H
#define ZM_SRC_CONVERT_PLAN_H

#include "common/log.h"
#include "convert/recentre.h"

typedef struct zm_plan_item {
    const char *path; /* of the model */
    const zm_model_tensor *tensor;
    zm_recentre_axis axis;
    zm_dtype dtype; /* of the output */
} zm_plan_item;

/* In the order of the output: wide types first, so that every tensor is aligned to its type. */
typedef struct zm_plan {
    zm_plan_item *items;
    size_t count;
    size_t recentred, requantised;
    uint64_t input_bytes, output_bytes; /* of the tensors */
} zm_plan;

/* type and lossy: as in zm_convert_params. Nothing is recentred where the norm is not LayerNorm.
 * The model must outlive the plan. ZM_ERROR_UNSUPPORTED: a tensor stands in the way of an exact
 * conversion. */
zm_status zm_plan_make(const zm_model *model, zm_dtype type, bool lossy, const zm_log *log,
                       zm_plan *out);
void zm_plan_finish(zm_plan *plan);

#endif
