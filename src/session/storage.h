/* SPDX-License-Identifier: Apache-2.0 */
/* The buffers of a session. Tensors are plain views; whoever makes one through a storage need not
 * think of its end. */
#ifndef ZM_SRC_SESSION_STORAGE_H
#define ZM_SRC_SESSION_STORAGE_H

#include <zeromean/ops.h>

#include "common/log.h"

typedef struct zm_storage {
    zm_device *device;
    zm_log log;
    zm_dtype real_type; /* of activations */
    zm_buffer **buffers;
    size_t count, capacity;
    uint64_t wrapped_bytes; /* of memory that is not the storage's */
} zm_storage;

void zm_storage_init(zm_storage *storage, zm_device *device, const zm_log *log);
/* Pending work on the buffers must have finished. Tolerates a zeroed storage. */
void zm_storage_finish(zm_storage *storage);

/* A buffer that lives as long as the storage. */
zm_status zm_storage_buffer(zm_storage *storage, uint64_t elements, zm_dtype dtype,
                            zm_buffer **out);
/* The same in parts of so many elements. */
zm_status zm_storage_parts(zm_storage *storage, uint64_t elements, uint64_t part, zm_dtype dtype,
                           zm_buffer **out);
/* Can the device read elements in place that lie in pages of a mapped file? */
bool zm_storage_can_wrap(const zm_storage *storage, const void *memory, zm_dtype dtype);
/* Makes them a buffer, read-only, in which they begin at an element. They have to live as long as
 * the storage. */
zm_status zm_storage_wrap(zm_storage *storage, const void *memory, uint64_t elements,
                          zm_dtype dtype, zm_buffer **out, uint64_t *first);
/* Activations of the real type, rows x cols. */
zm_status zm_storage_matrix(zm_storage *storage, uint64_t rows, uint64_t cols, zm_tensor *out);

#endif
