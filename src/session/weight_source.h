/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a weight as they come out of a tensor of a file. */
#ifndef ZM_SRC_SESSION_WEIGHT_SOURCE_H
#define ZM_SRC_SESSION_WEIGHT_SOURCE_H

#include <zeromean/model.h>

/* A tensor of the file on its way into rows of a weight. */
typedef struct zm_weight_source {
    const zm_model_tensor *tensor;
    uint64_t n, k;
    uint32_t kernel; /* > 1: [k / kernel][kernel] becomes [kernel][k / kernel] in each row */
    /* Which of the tensor's rows, as zm_linear_part has it; 0 rows = n, 0 run = n. */
    uint64_t rows, first, run, stride;
    bool transposed; /* [k][rows] */
    /* Columns that the tensor has, where zeros fill up the rest of k; 0 = k. */
    uint64_t cols;
} zm_weight_source;

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

#endif
