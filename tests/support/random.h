/* SPDX-License-Identifier: Apache-2.0 */
/* Seeded random numbers, the same on every machine. The state begins as the seed. */
#ifndef ZM_TESTS_RANDOM_H
#define ZM_TESTS_RANDOM_H

#include <stdint.h>

uint64_t test_random(uint64_t *state);
/* Below limit, > 0. */
uint64_t test_random_below(uint64_t *state, uint64_t limit);
/* From low to high, without high. */
double test_random_between(uint64_t *state, double low, double high);

#endif
