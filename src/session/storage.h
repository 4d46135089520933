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
} zm_storage;

void zm_storage_init(zm_storage *storage, zm_device *device, const zm_log *log);
/* Pending work on the buffers must have finished. Tolerates a zeroed storage. */
void zm_storage_finish(zm_storage *storage);

/* A buffer that lives as long as the storage. */
zm_status zm_storage_buffer(zm_storage *storage, uint64_t elements, zm_dtype dtype,
                            zm_buffer **out);
/* Activations of the real type, rows x cols. */
zm_status zm_storage_matrix(zm_storage *storage, uint64_t rows, uint64_t cols, zm_tensor *out);

#endif
