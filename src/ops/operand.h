/* SPDX-License-Identifier: Apache-2.0 */
/* The operands of an op as a table: one function checks them all. Plus the way from tensors to
 * the fields of shaders/args.h. */
#ifndef ZM_SRC_OPS_OPERAND_H
#define ZM_SRC_OPS_OPERAND_H

#include "ops/op.h"
#include "shaders/args.h"

typedef enum zm_operand_type {
    ZM_OPERAND_ACTIVATION = 0, /* the real_type, F16 or BF16; all of a call share one */
    ZM_OPERAND_REAL,           /* the real_type: vectors along a row, statistics */
    ZM_OPERAND_WEIGHT,         /* F32, F16, BF16 or the real_type; may be in panels */
    ZM_OPERAND_CACHE,          /* the same, never in panels */
    ZM_OPERAND_INDEX,          /* I32 */
    ZM_OPERAND_ANY             /* as CACHE, or I32 */
} zm_operand_type;

#define ZM_OPERAND_OPTIONAL 1u
#define ZM_OPERAND_OUTPUT 2u
#define ZM_OPERAND_PACKED 4u  /* no gaps between rows */
#define ZM_OPERAND_STRIDED 8u /* gaps between columns too */

#define ZM_MAX_OPERANDS 8
typedef struct zm_operand {
    const char *name;
    const zm_tensor *tensor;
    uint32_t rank;       /* 0: any; 1: [cols], 2: [rows][cols], 3: [batch][rows][cols] */
    uint64_t rows, cols; /* what the shape has to be */
    zm_operand_type type;
    uint32_t use;     /* ZM_OPERAND_* */
    uint32_t aliases; /* an output: bit i = it may be the same view as operand i */
    uint64_t batch;
} zm_operand;

/* Refuses what the conventions in include/zeromean/ops.h rule out. */
zm_status zm_operands_check(const zm_device *device, const zm_operand *operands, size_t count,
                            zm_refusal *refusal);

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
