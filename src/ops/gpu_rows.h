/* SPDX-License-Identifier: Apache-2.0 */
/* How the gpu family cuts rows and elements into work-groups. */
#ifndef ZM_SRC_OPS_GPU_ROWS_H
#define ZM_SRC_OPS_GPU_ROWS_H

#include "ops/op.h"
#include "ops/options.h"

/* Found by reasoning about the devices, not yet by measuring on them. */
typedef struct zm_gpu_row_tuning {
    uint32_t small_items, large_items; /* of a work-group */
    uint32_t small_row;                /* a row up to here gets a small work-group */
    uint32_t groups_per_unit; /* kernels that deal out elements: work-groups per compute unit */
    uint32_t argmax_chunk;    /* elements of a long row that one work-group looks at, at least */

    uint32_t attention_items;       /* many rows: of a work-group, */
    uint32_t attention_rows_each;   /* rows of an item, */
    uint32_t attention_keys;        /* keys at a time, */
    uint32_t attention_chunk;       /* columns of keys at a time */
    uint32_t attention_local_bytes; /* local memory that a tile may take */
    uint32_t row_queries;           /* few rows: packed rows of a work-group, at most */
    uint32_t row_most_rows;         /* up to here rows are few, */
    uint32_t row_most_packed;       /* or up to here rows x heads that share a KV head */
    uint32_t row_split_keys;        /* keys of a split, at least */
    uint32_t row_groups;            /* work-groups that splitting aims at */
} zm_gpu_row_tuning;

const zm_gpu_row_tuning *zm_gpu_row_tuning_get(const zm_device *device);
/* Before anything was tuned. */
const zm_gpu_row_tuning *zm_gpu_row_tuning_default(void);

/* The largest power of two of work-items that is neither over `wanted` nor over the device. */
uint32_t zm_gpu_items(const zm_device *device, uint32_t wanted);
/* Nor over what the call allows. */
uint32_t zm_gpu_call_items(const zm_call *call, uint32_t wanted);

/* What the kernels with teams of 16 items need: work-groups of that size. */
zm_status zm_gpu_accepts(const zm_device *device, const void *params, zm_refusal *refusal);

/* Appends ALIGNED=1 when vectors of four of all these tensors (absent ones too) lie at multiples of
 * four elements. */
void zm_gpu_options_aligned(zm_options *options, const zm_tensor *const *tensors, size_t count);

/* A work-group per row of d elements; completes options by ITEMS, SUB_GROUPS and KEEP. */
zm_cut zm_gpu_cut_rows(const zm_call *call, const zm_options *options, uint32_t rows, uint32_t d);

/* Work-groups that deal out `count` pieces among their items. */
zm_cut zm_gpu_cut_pieces(const zm_call *call, const zm_options *options, uint64_t count);

#endif
