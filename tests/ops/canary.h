/* SPDX-License-Identifier: Apache-2.0 */
/* The bits around and between the rows of every buffer: a quiet NaN in each floating type, so that
 * an op which reads them spoils its output, and one which writes them is seen. */
#ifndef ZM_TESTS_OPS_CANARY_H
#define ZM_TESTS_OPS_CANARY_H

#include <stdbool.h>
#include <stddef.h>

/* size is even. */
void op_canary_fill(void *memory, size_t size);
/* Whether an element of that size holds nothing but canary bits. */
bool op_canary_holds(const void *element, size_t size);

#endif
