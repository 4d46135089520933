/* SPDX-License-Identifier: Apache-2.0 */
/* dst = activation(windows of x times w^T + bias) + residual: what matmul and conv1d share. */
#ifndef ZM_SRC_REF_LINEAR_H
#define ZM_SRC_REF_LINEAR_H

#include <stdbool.h>

#include "ref/real.h"

/* Row r multiplies the k elements of x from r * step - padding on; those before x or from x + size
 * on count as zeros. */
typedef struct linear {
    size_t rows, n, k;
    const REAL *x;
    int64_t size, step, padding;
    const void *weight;
    size_t weight_offset, panel; /* panel 0: [n][k], else [ceil(n / panel)][k][panel] */
    zm_dtype weight_type;
    const REAL *bias, *residual; /* NULL = absent */
    REAL *dst;
    size_t residual_stride, dst_stride;
    bool gelu;
} linear;

/* The items begin .. end-1 of ceil(n / ZM_REF_OUTPUTS) * rows. */
void ZM_REF(linear)(const linear *l, size_t begin, size_t end);

#endif
