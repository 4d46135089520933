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
/* What the error of value - mean is a part of. Nothing is lost of a stored value: it and the mean
 * in float32 have an exact difference, and what the mean lacks, 2^-24 of it, can be found out. A
 * sum of two stored values is rounded before the mean is taken; as the tolerance is a factor of the
 * scale, that comes divided by it. */
double norm_difference(double value, double mean, bool is_sum, double tolerance);
/* The scale of dst's row: such differences / deviation * weight + bias. */
double norm_scale(const op_run *run, size_t operand, size_t row, norm_kind kind);
double norm_bytes(const op_params *params, size_t real_size);
void norm_describe(const op_params *params, char *text, size_t size);

#endif
