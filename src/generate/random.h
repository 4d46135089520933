/* SPDX-License-Identifier: Apache-2.0 */
/* Random numbers that are the same everywhere: PCG32 (O'Neill 2014), variant XSH-RR. */
#ifndef ZM_SRC_GENERATE_RANDOM_H
#define ZM_SRC_GENERATE_RANDOM_H

#include <stdint.h>

typedef struct zm_random {
    uint64_t state;
} zm_random;

void zm_random_init(zm_random *random, uint64_t seed);
/* The seed whose numbers are those that are still to come. */
uint64_t zm_random_seed(const zm_random *random);
uint32_t zm_random_u32(zm_random *random);
/* 0 <= x < 1, a multiple of 2^-53, of two numbers. */
double zm_random_unit(zm_random *random);

#endif
