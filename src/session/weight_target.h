/* SPDX-License-Identifier: Apache-2.0 */
/* A weight in the device's memory while it is filled. */
#ifndef ZM_SRC_SESSION_WEIGHT_TARGET_H
#define ZM_SRC_SESSION_WEIGHT_TARGET_H

#include "session/storage.h"

typedef struct zm_weight_target {
    zm_tensor tensor;
    zm_weight_layout layout;
    bool gated;
    uint32_t zero_rows; /* at the end, that will not be packed: 0 or 1 */
    void **memory; /* of each part; NULL = there is none yet, or the values stay where they are */
} zm_weight_target;

/* Makes its buffer and maps it, with zeros in its last rows that will not be packed; the pair of
 * zm_weight_target_finish. */
zm_status zm_weight_target_make(zm_weight_target *target, zm_storage *storage, zm_stream *stream);
/* Tolerates one that was not made. */
zm_status zm_weight_target_finish(zm_weight_target *target, zm_stream *stream);

/* These rows will be packed: makes their memory, which is done faster together. */
void zm_weight_target_expect(const zm_weight_target *target, uint64_t row, uint64_t rows);
/* Rows in order become those of the target from `row` on; or, of a gated one, those of gate or of
 * up, which alternate by half a panel. */
zm_status zm_weight_target_pack(const zm_weight_target *target, uint64_t row, const void *values,
                                uint64_t rows);

#endif
