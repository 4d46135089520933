/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix kernels of the gpu family as candidates of matmul, conv1d and patch_embedding. */
#ifndef ZM_SRC_OPS_MATMUL_GPU_H
#define ZM_SRC_OPS_MATMUL_GPU_H

#include "ops/gpu_tiles.h"

/* ---- candidates of matmul ---- */

/* "gpu": tiles in local memory, weights in panels. */
zm_status zm_gpu_matmul_accepts(const zm_device *device, const void *params, zm_refusal *refusal);
zm_status zm_gpu_matmul_plan(const zm_call *call, zm_plan *plan);

/* "gpu_cached": the same without local memory. */
zm_status zm_gpu_cached_accepts(const zm_device *device, const void *params, zm_refusal *refusal);
zm_status zm_gpu_cached_plan(const zm_call *call, zm_plan *plan);

/* "gpu_matvec": few rows. */
zm_status zm_gpu_matvec_accepts(const zm_device *device, const void *params, zm_refusal *refusal);
zm_status zm_gpu_matvec_plan(const zm_call *call, zm_plan *plan);

/* "gpu_direct": rows of weights, one matrix or a batch. */
zm_status zm_gpu_direct_accepts(const zm_device *device, const void *params, zm_refusal *refusal);
zm_status zm_gpu_direct_plan(const zm_call *call, zm_plan *plan);

/* ---- what conv1d and patch_embedding need of them ---- */

/* A product of `rows` rows that come of x with a weight in panels. */
zm_gpu_shape zm_gpu_shape_get(const zm_tensor *x, const zm_tensor *weight, uint32_t rows);

/* Weights in the family's panels, and a tile for a product of that many rows. */
zm_status zm_gpu_panels_accept(const zm_device *device, const zm_tensor *x, const zm_tensor *weight,
                               uint32_t rows, zm_refusal *refusal);

/* Appends a launch of a tile kernel. options without the tile; launch without options, groups and
 * local. Tiles that the driver refuses are passed over. */
zm_status zm_gpu_tile_launch(const zm_call *call, const zm_gpu_shape *shape,
                             const zm_options *options, const zm_launch *launch, zm_plan *plan);

#endif
