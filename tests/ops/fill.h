/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded values for the inputs of a case. */
#ifndef ZM_TESTS_OPS_FILL_H
#define ZM_TESTS_OPS_FILL_H

#include "op_case.h"

struct op_random {
    uint64_t state;
};

uint64_t op_random_next(op_random *random);
/* Below limit, > 0. */
uint64_t op_random_below(op_random *random, uint64_t limit);
double op_random_normal(op_random *random);

const char *op_fill_name(op_fill fill);

/* Fills one row of a real input. */
void op_fill_row(op_random *random, op_fill fill, size_t row, double *values, size_t count);

#endif
