/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows are those of a sequence, for kv_store and attention. */
#ifndef ZM_SRC_REF_SEQUENCE_H
#define ZM_SRC_REF_SEQUENCE_H

#include <stddef.h>
#include <stdint.h>

typedef struct sequence_rows {
    size_t first, count; /* count 0: none, or starts makes no sense */
} sequence_rows;

/* starts NULL: each has `most` rows. */
static inline sequence_rows rows_of_sequence(const int32_t *starts, size_t sequence, size_t most,
                                             size_t all)
{
    if (!starts) {
        return (sequence_rows){sequence * most, most};
    }
    int64_t first = starts[sequence], end = starts[sequence + 1];
    if (first < 0 || end < first || end > (int64_t)all || end - first > (int64_t)most) {
        return (sequence_rows){0, 0};
    }
    return (sequence_rows){(size_t)first, (size_t)(end - first)};
}

#endif
