/* SPDX-License-Identifier: Apache-2.0 */
/* The activations of zm_activation (ops.h), which say where they come from. */
#ifndef ZM_SRC_REF_ACTIVATION_H
#define ZM_SRC_REF_ACTIVATION_H

#include <math.h>

#include "shaders/args.h"

/* erfc keeps the digits of the negative tail. */
static inline double gelu(double x)
{
    return 0.5 * x * erfc(-x * 0.70710678118654752440);
}

static inline double gelu_tanh(double x)
{
    const double root = 0.79788456080286535588; /* sqrt(2 / pi) */
    return 0.5 * x * (1 + tanh(root * (x + 0.044715 * x * x * x)));
}

static inline double silu(double x)
{
    return x / (1 + exp(-x));
}

/* NaN stays NaN. */
static inline double relu(double x)
{
    return x < 0 ? 0 : x;
}

static inline double quick_gelu(double x)
{
    return x / (1 + exp(-1.702 * x));
}

/* activation: ZM_ARG_* */
static inline double activate(uint32_t activation, double x)
{
    switch (activation) {
    case ZM_ARG_GELU: return gelu(x);
    case ZM_ARG_GELU_TANH: return gelu_tanh(x);
    case ZM_ARG_SILU: return silu(x);
    case ZM_ARG_RELU: return relu(x);
    case ZM_ARG_QUICK_GELU: return quick_gelu(x);
    default: return x;
    }
}

#endif
