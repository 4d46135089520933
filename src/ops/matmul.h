/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernels of matmul share, of whatever family. */
#ifndef ZM_SRC_OPS_MATMUL_H
#define ZM_SRC_OPS_MATMUL_H

#include "ops/operand.h"
#include "ops/options.h"

/* All fields but row_block. */
struct zm_matmul_args zm_matmul_args_get(const zm_device *device, const zm_matmul_params *p);

/* The buffers in order. */
void zm_matmul_bind(const zm_matmul_params *p, zm_launch *launch);

/* x as a matrix of its own, or the weight in panels? */
zm_status zm_matmul_panels_accept(const zm_device *device, zm_kernel_family family,
                                  const zm_matmul_params *p, zm_refusal *refusal);
/* Rows of weights, one matrix or a batch. */
zm_status zm_matmul_rows_accept(const zm_device *device, zm_kernel_family family,
                                const zm_matmul_params *p, zm_refusal *refusal);

#endif
