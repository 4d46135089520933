/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "ref/norm.h"

/* The element that isn't stored is minus the sum of the others: a zero-mean row has it in its sum
 * of squares (Jiang et al. 2023). */
void ZM_REF(crms_norm)(const void *args, void *const *buffers, size_t begin, size_t end)
{
    const struct zm_norm_args *a = args;
    for (size_t row = begin; row < end; ++row) {
        norm_row r = norm_row_at(a, buffers, row);
        double squares = 0, sum = 0;
        for (size_t i = 0; i < a->d; ++i) {
            double value = norm_value(&r, i);
            squares += value * value;
            sum += value;
        }
        norm_write(a, &r, 0, 1 / sqrt((squares + sum * sum) / a->true_d + (double)a->eps));
    }
}
