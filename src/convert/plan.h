/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of each tensor. The plan reads roles, never names: a new architecture needs nothing
 * here. */
#ifndef ZM_SRC_CONVERT_PLAN_H
#define ZM_SRC_CONVERT_PLAN_H

#include "common/log.h"
#include "convert/recentre.h"

/* A tensor of the output, from one of the input or, where there is none, of one number. */
typedef struct zm_plan_item {
    const char *path;              /* of the model */
    const zm_model_tensor *tensor; /* of the input; NULL = there is none */
    zm_model_tensor made;          /* without data */
    char *owned;                   /* its name where the input has none; else NULL */
    zm_recentre_axis axis;         /* where vectors of the main branch lie that change */
    zm_vector_change change;
    const zm_model_tensor *gain; /* a norm's weight, which the vectors take over; NULL = none */
    /* A norm's bias, which a reader's bias takes over by its weight; NULL = none. */
    const zm_model_tensor *shift, *reader;
    bool transposed; /* the reader is [d][n] */
    double filled;   /* without a tensor: all elements, before the shift */
    bool changed;
} zm_plan_item;

/* In the order of the output: wide types first, so that every tensor is aligned to its type. */
typedef struct zm_plan {
    zm_plan_item *items;
    size_t count;
    size_t changed, requantised;
    uint64_t input_bytes, output_bytes; /* of the tensors */
} zm_plan;

typedef struct zm_plan_params {
    zm_norm norm; /* of the output */
    bool folded;  /* its norms have no weights; as it is for ZM_NORM_CRMS and ZM_NORM_ORTHO */
    zm_dtype type;
    bool lossy; /* this and the type: as in zm_convert_params */
    const zm_log *log;
} zm_plan_params;

/* The model must outlive the plan. ZM_ERROR_UNSUPPORTED: a tensor stands in the way of an exact
 * conversion, or there is no way from the model's norm to that one. */
zm_status zm_plan_make(const zm_model *model, const zm_plan_params *params, zm_plan *out);
void zm_plan_finish(zm_plan *plan);
/* Orders items, for qsort. */
int zm_plan_compare(const void *left, const void *right);
/* The item of a tensor of its model; NULL when it has none. */
const zm_plan_item *zm_plan_find(const zm_plan *plan, const zm_model_tensor *tensor);

#endif
