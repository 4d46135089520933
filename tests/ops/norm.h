/* SPDX-License-Identifier: Apache-2.0 */
/* What the descriptions of the norms share. */
#ifndef ZM_TESTS_OPS_NORM_H
#define ZM_TESTS_OPS_NORM_H

#include "op_case.h"

enum { NORM_X, NORM_RESIDUAL, NORM_WEIGHT, NORM_BIAS, NORM_DST, NORM_SUM, NORM_OPERANDS };
#define NORM_OPERAND_LIST                                               \
    {                                                                   \
        {"x", offsetof(zm_norm_params, x), OP_INPUT},                   \
            {"residual", offsetof(zm_norm_params, residual), OP_INPUT}, \
            {"weight", offsetof(zm_norm_params, weight), OP_INPUT},     \
            {"bias", offsetof(zm_norm_params, bias), OP_INPUT},         \
            {"dst", offsetof(zm_norm_params, dst), OP_OUTPUT},          \
        {                                                               \
            "sum", offsetof(zm_norm_params, sum), OP_OUTPUT             \
        }                                                               \
    }

typedef enum norm_kind { NORM_LAYER, NORM_RMS, NORM_CRMS } norm_kind;

bool norm_cases(op_list *list);
void norm_args(const op_run *run, op_args *args);
/* The scale of dst's row: |x - centre| / deviation * weight + bias, with a tenth of |centre| added
 * to |x - centre|, since float32 can't know the mean better than to a part of it. */
double norm_scale(const op_run *run, size_t operand, size_t row, norm_kind kind);
double norm_bytes(const op_params *params, size_t real_size);
void norm_describe(const op_params *params, char *text, size_t size);

#endif
