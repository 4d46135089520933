/* SPDX-License-Identifier: Apache-2.0 */
/* Are tuned numbers right on a device? Small calls of the ops that they are for, with every kernel
 * candidate of the family, against the plain-C reference of the host device. */
#ifndef ZM_SRC_OPS_SELF_CHECK_H
#define ZM_SRC_OPS_SELF_CHECK_H

#include "ops/tunings.h"

/* Asked before each small call. */
typedef struct zm_check_limit {
    bool (*go_on)(void *user); /* NULL = always */
    void *user;
} zm_check_limit;

/* Opens the device a second time for it, so that nothing of it shows on this one; ops are those
 * that follow `op`. limit may be NULL. ZM_OK: all results are right. ZM_ERROR_MISMATCH: a result is
 * wrong or a kernel doesn't run, why says which. ZM_ERROR_CANCELLED: the limit. Other errors: it
 * could not be found out. */
zm_status zm_self_check(const zm_device *device, const char *op, zm_kernel_family family,
                        const zm_tunings *tunings, const zm_check_limit *limit, zm_refusal *why);

/* ---- samples: what is run on both devices ---- */

#define ZM_SAMPLE_BUFFERS 12

/* One call on one device. The values depend on the seed alone. */
typedef struct zm_sample {
    zm_device *device;
    zm_stream *stream;
    uint64_t random;
    zm_dtype type;    /* of activations; as it begins F32 */
    zm_status status; /* the first failure; everything after it does nothing */
    size_t buffer_count;
    zm_buffer *buffers[ZM_SAMPLE_BUFFERS];
    zm_tensor result;
} zm_sample;

typedef struct zm_sample_op {
    const char *op;
    const char *tuned_as; /* zm_parameter.op */
    size_t variants;
    size_t large; /* the variant with the most rows: a tile that is new is checked by it alone */
    /* Builds tensors, says which one is the result, and calls the op. */
    void (*run)(zm_sample *sample, size_t variant);
} zm_sample_op;

extern const zm_sample_op zm_sample_ops[];
extern const size_t zm_sample_op_count;

/* Random values in -1 .. 1: activations, what is F32 whatever they are, a vector of that. NaN, for
 * results: activations, F32. Below, a weight in the device's layout. */
zm_tensor zm_sample_random(zm_sample *sample, uint32_t rows, uint32_t cols);
zm_tensor zm_sample_reals(zm_sample *sample, uint32_t rows, uint32_t cols);
zm_tensor zm_sample_vector(zm_sample *sample, uint32_t n);
zm_tensor zm_sample_result(zm_sample *sample, uint32_t rows, uint32_t cols);
zm_tensor zm_sample_statistics(zm_sample *sample, uint32_t rows, uint32_t cols);
/* The same, of indices; a vector if there is one row. */
zm_tensor zm_sample_places(zm_sample *sample, uint32_t rows, uint32_t cols);
/* Whole numbers from least on, under most. */
zm_tensor zm_sample_indices(zm_sample *sample, uint32_t n, uint32_t least, uint32_t most);
zm_tensor zm_sample_weight(zm_sample *sample, uint32_t n, uint32_t k, zm_dtype dtype);
/* Uninitialised. */
zm_buffer *zm_sample_buffer(zm_sample *sample, uint64_t size);
void zm_sample_called(zm_sample *sample, zm_status status);

#endif
