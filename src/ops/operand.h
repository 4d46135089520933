/* SPDX-License-Identifier: Apache-2.0 */
/* The operands of a call, all checked by one function from the op's table of them. Plus the way
 * from tensors to the fields of shaders/args.h. */
#ifndef ZM_SRC_OPS_OPERAND_H
#define ZM_SRC_OPS_OPERAND_H

#include "ops/op.h"
#include "shaders/args.h"

/* What the shape of a tensor has to be in a call. */
typedef struct zm_extent {
    uint32_t rank; /* 0: any; 1: [cols], 2: [rows][cols], 3: [batch][rows][cols] */
    uint64_t rows, cols, batch;
} zm_extent;

/* Refuses what the conventions in include/zeromean/ops.h rule out. */
zm_status zm_operands_check(const zm_device *device, const zm_operand *operands, const void *params,
                            const zm_extent *extents, size_t count, zm_refusal *refusal);

/* The tensor that the operand is in these params. */
const zm_tensor *zm_operand_tensor(const zm_operand *operand, const void *params);

/* The type that the op's operands of a kind have in these params; ZM_DTYPE_NONE = there are none.
 */
zm_dtype zm_operand_dtype(const zm_op *op, zm_operand_type type, const void *params);

/* Can the device read it: F32, F16, BF16 or the real_type? */
bool zm_type_is_stored(const zm_device *device, zm_dtype dtype);

/* Fields of the argument structs, from tensors that passed the check; 0 for an absent one. */
uint32_t zm_arg_offset(const zm_tensor *tensor);
uint32_t zm_arg_stride(const zm_tensor *matrix);
uint32_t zm_arg_batch(const zm_tensor *tensor); /* from matrix to matrix; 0 for rank 2 */
uint32_t zm_arg_flag(const zm_tensor *tensor, uint32_t flag);

zm_status zm_activation_check(zm_activation activation, zm_refusal *refusal);
/* eps of a norm. */
zm_status zm_eps_check(float eps, zm_refusal *refusal);
/* Is d, by which a row's sums are divided, the row's columns or, where it may, one more? */
zm_status zm_width_check(const char *name, uint32_t d, uint32_t columns, bool one_more,
                         zm_refusal *refusal);
zm_status zm_finite_check(const char *name, float value, zm_refusal *refusal);

/* Do the weights lie in the panels that the kernels of the family read? */
zm_status zm_panel_accepts(zm_kernel_family family, const zm_tensor *weight, zm_refusal *refusal);

#endif
