/* SPDX-License-Identifier: Apache-2.0 */
/* What kv_store and attention share about the cache. */
#ifndef ZM_SRC_OPS_KV_LAYOUT_H
#define ZM_SRC_OPS_KV_LAYOUT_H

#include "ops/op.h"

/* Is it a layout that zm_kv_layout_get could have written, for any kernel of the device, and are
 * the caches of its type? Afterwards elements and heads * head_dim fit 32 bits. */
zm_status zm_kv_layout_check(const zm_device *device, const zm_kv_layout *layout,
                             const zm_tensor *keys, const zm_tensor *values, zm_refusal *refusal);

/* Whose rows are whose, as an application gives it. */
typedef struct zm_kv_rows {
    uint32_t all;       /* rows that there are */
    uint32_t sequences; /* 0 = 1 */
    bool ragged;        /* each has its own number, where starts says */
    uint32_t most;      /* ragged: of a sequence; 0 = all */
} zm_kv_rows;

uint32_t zm_kv_sequences(uint32_t sequences);
/* Of a sequence, at most. */
uint32_t zm_kv_rows_most(const zm_kv_rows *rows);
zm_status zm_kv_rows_check(const zm_kv_rows *rows, zm_refusal *refusal);

/* Does it suit the kernels that read keys as the family likes it? */
zm_status zm_kv_layout_accepts(zm_kernel_family family, const zm_kv_layout *layout,
                               zm_refusal *refusal);

#endif
