/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel "sgemm" of ZM_FAMILY_LIBRARY: dst = x w^T in float32, as the library does it that the
 * backend has for it. */
#ifndef ZM_SRC_DEVICE_SGEMM_H
#define ZM_SRC_DEVICE_SGEMM_H

#include <stdint.h>

#define ZM_SGEMM "sgemm"

/* Buffers x [m][k], weight [n][k], dst [m][n], a batch of each; offsets, strides between rows and
 * steps between matrices count elements. */
typedef struct zm_sgemm_args {
    uint32_t m, n, k, batch;
    uint32_t x_offset, x_stride, x_batch;
    uint32_t weight_offset, weight_stride, weight_batch;
    uint32_t dst_offset, dst_stride, dst_batch;
} zm_sgemm_args;

#endif
