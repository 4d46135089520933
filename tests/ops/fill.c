/* SPDX-License-Identifier: Apache-2.0 */
#include "fill.h"

#include <math.h>

/* splitmix64 (Steele, Lea, Flood 2014). */
uint64_t op_random_next(op_random *random)
{
    uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t op_random_below(op_random *random, uint64_t limit)
{
    return op_random_next(random) % limit;
}

/* In (0, 1). */
static double uniform(op_random *random)
{
    return ((double)(op_random_next(random) >> 11) + 0.5) * 0x1p-53;
}

double op_random_normal(op_random *random)
{
    double radius = sqrt(-2 * log(uniform(random)));
    return radius * cos(6.283185307179586477 * uniform(random));
}

const char *op_fill_name(op_fill fill)
{
    static const char *const names[OP_FILL_COUNT] = {
        [OP_NORMAL] = "normal",     [OP_WEIGHT] = "weight",       [OP_SCALE] = "scale",
        [OP_MEAN_100] = "mean_100", [OP_MEAN_1000] = "mean_1000", [OP_LARGE] = "large",
        [OP_TINY] = "tiny",         [OP_ZERO] = "zero",           [OP_CONSTANT] = "constant",
        [OP_OUTLIER] = "outlier",   [OP_TIES] = "ties",           [OP_NAN] = "nan",
        [OP_INF] = "inf",           [OP_ALL_NAN] = "all_nan",     [OP_BAD_TOKENS] = "bad_tokens",
        [OP_NAN_LAST] = "nan_last", [OP_INF_LAST] = "inf_last",   [OP_INF_BEFORE] = "inf_before",
        [OP_FAR] = "far",
    };
    return names[fill];
}

static double value(op_random *random, op_fill fill, double constant, size_t count)
{
    double normal = op_random_normal(random);
    switch (fill) {
    case OP_WEIGHT: return normal / sqrt((double)count);
    case OP_SCALE: return 1 + normal / 4;
    case OP_MEAN_100: return 100 + normal;
    case OP_MEAN_1000: return normal - 1000;
    case OP_LARGE: return copysign(180 * pow(60000.0 / 180, uniform(random)), normal);
    case OP_TINY: return normal * 1e-6;
    case OP_ZERO: return 0;
    case OP_CONSTANT: return constant;
    case OP_TIES: return normal >= 0 && normal < 0.25 ? -0.0 : floor(normal * 2);
    default: return normal;
    }
}

void op_fill_row(op_random *random, op_fill fill, size_t row, double *values, size_t count)
{
    double constant = 3 + op_random_normal(random);
    for (size_t i = 0; i < count; ++i) {
        values[i] = value(random, fill, constant, count);
    }
    size_t special = op_random_below(random, count);
    bool third = row % 3 == 1;
    if (fill == OP_OUTLIER) {
        values[special] = 1000;
    } else if (fill == OP_NAN && third) {
        values[special] = NAN;
    } else if (fill == OP_INF && third) {
        values[special] = row % 2 ? INFINITY : -INFINITY;
    } else if (fill == OP_ALL_NAN && third) {
        for (size_t i = 0; i < count; ++i) {
            values[i] = NAN;
        }
    }
}
