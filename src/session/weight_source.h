/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a weight as they come out of a tensor of a file. */
#ifndef ZM_SRC_SESSION_WEIGHT_SOURCE_H
#define ZM_SRC_SESSION_WEIGHT_SOURCE_H

#include "convert/plan.h"

/* A tensor of the file on its way into rows of a weight. */
typedef struct zm_weight_source {
    const zm_model_tensor *tensor;
    zm_dtype dtype;             /* of the elements that come out, unless blocks are decoded */
    const zm_plan_item *change; /* of its vectors; NULL = they are as in the file */
    zm_recentring recentring;   /* between begin and end */
    uint64_t n, k;
    uint32_t kernel; /* > 1: [k / kernel][kernel] becomes [kernel][k / kernel] in each row */
    /* Which of the tensor's rows, as zm_linear_part has it; 0 rows = n, 0 run = n. */
    uint64_t rows, first, run, stride;
    bool transposed; /* [k][rows] */
    /* Columns that the tensor has, where zeros fill up the rest of k; 0 = k. */
    uint64_t cols;
} zm_weight_source;

/* The tensor and the type as they are in the file or, with a plan, in the file that a conversion by
 * it would write. tensor may be NULL; the plan has to stay. */
void zm_weight_source_set(zm_weight_source *source, const zm_model_tensor *tensor,
                          const zm_plan *plan);

/* Before the first fetch: reads a tensor that is to be recentred for its means.
 * ZM_ERROR_OUT_OF_MEMORY. */
zm_status zm_weight_source_begin(zm_weight_source *source);
/* Tolerates one that was not begun. */
void zm_weight_source_end(zm_weight_source *source);

/* What the tensor has. */
uint64_t zm_weight_cols(const zm_weight_source *source);
uint64_t zm_weight_rows(const zm_weight_source *source);
/* The tensor's row that becomes this one, and how many behind it are together with it. */
uint64_t zm_weight_row(const zm_weight_source *source, uint64_t row, uint64_t *together);

/* Are rows that are together, in this type, what the file has, where it has them? */
bool zm_weight_is_plain(const zm_weight_source *source, zm_dtype type);
/* Rows of the source from this one on, in this type: those of the file where they are plain; else
 * in raw or real, both large enough for them as they are stored, decoded, and in this type.
 * *rows: at most so many; those that were fetched. */
const void *zm_weight_fetch(void *raw, void *real, const zm_weight_source *source, uint64_t row,
                            uint64_t *rows, zm_dtype type);

/* The same as F32 or F64, times gain[0 .. *rows - 1] of each row, rounded once; raw and real are
 * large enough for them as F64. */
const void *zm_weight_fetch_scaled(void *raw, void *real, const zm_weight_source *source,
                                   uint64_t row, uint64_t *rows, const double *gain, zm_dtype type);

#endif
