/* SPDX-License-Identifier: Apache-2.0 */
#include "generate/random.h"

#define MULTIPLIER UINT64_C(6364136223846793005)
#define INCREMENT (UINT64_C(54) << 1 | 1) /* sequence 54, that of the author's demonstration */

void zm_random_init(zm_random *random, uint64_t seed)
{
    random->state = (INCREMENT + seed) * MULTIPLIER + INCREMENT;
}

/* zm_random_init, undone: each step of Newton's doubles the bits of the inverse that are right. */
uint64_t zm_random_seed(const zm_random *random)
{
    uint64_t inverse = MULTIPLIER; /* 3 bits: of any odd number */
    for (int bits = 3; bits < 64; bits *= 2)
        inverse *= 2 - MULTIPLIER * inverse;
    return (random->state - INCREMENT) * inverse - INCREMENT;
}

uint32_t zm_random_u32(zm_random *random)
{
    const uint64_t old = random->state;
    random->state = old * MULTIPLIER + INCREMENT;
    const uint32_t shifted = (uint32_t)((old >> 18 ^ old) >> 27);
    const unsigned turn = (unsigned)(old >> 59);
    return shifted >> turn | shifted << (-turn & 31);
}

double zm_random_unit(zm_random *random)
{
    const uint64_t high = zm_random_u32(random) >> 5, low = zm_random_u32(random) >> 6;
    return (double)(high << 26 | low) * (1.0 / 9007199254740992.0);
}
