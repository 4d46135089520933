/* SPDX-License-Identifier: Apache-2.0 */
/* What the descriptions of add and recentre share. */
#ifndef ZM_TESTS_OPS_ELEMENTWISE_H
#define ZM_TESTS_OPS_ELEMENTWISE_H

#include "op_case.h"

enum { ADD_X, ADD_Y, ADD_DST, ADD_OPERANDS };
#define ADD_OPERAND_LIST                                                                          \
    {                                                                                             \
        {"x", offsetof(zm_add_params, x), OP_INPUT}, {"y", offsetof(zm_add_params, y), OP_INPUT}, \
        {                                                                                         \
            "dst", offsetof(zm_add_params, dst), OP_OUTPUT                                        \
        }                                                                                         \
    }

/* With cases without y where alone is set. */
bool elementwise_cases(op_list *list, bool alone);
void elementwise_args(const op_run *run, op_args *args);
double elementwise_bytes(const op_params *params, size_t real_size);

#endif
