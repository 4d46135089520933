/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/norm.h"

/* Two passes: the variance of the differences does not cancel when |mean| >> std. */
void ZM_REF(layer_norm)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_norm_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        norm_row r = norm_row_at(a, buffers, row);
        double sum = 0, squares = 0;
        for (size_t i = 0; i < a->d; ++i) {
            sum += norm_value(&r, i);
        }
        double mean = sum / a->d;
        for (size_t i = 0; i < a->d; ++i) {
            double difference = norm_value(&r, i) - mean;
            squares += difference * difference;
        }
        norm_write(a, &r, mean, 1 / sqrt(squares / a->d + (double)a->eps));
    }
}
