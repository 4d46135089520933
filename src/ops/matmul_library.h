/* SPDX-License-Identifier: Apache-2.0 */
/* The matrix product of a library as a candidate of matmul: nothing but the product. */
#ifndef ZM_SRC_OPS_MATMUL_LIBRARY_H
#define ZM_SRC_OPS_MATMUL_LIBRARY_H

#include "ops/op.h"

/* "clblast": float32, rows of weights, one matrix or a batch. */
zm_status zm_clblast_accepts(const zm_device *device, const void *params, zm_refusal *refusal);
zm_status zm_clblast_plan(const zm_call *call, zm_plan *plan);

#endif
