/* SPDX-License-Identifier: Apache-2.0 */
#include "session/fold.h"

#include <stddef.h>
#include <string.h>

#include "common/compiler.h"
#include "common/half.h"

#define LANES 8   /* sums side by side, so that they become vector code */
#define PIECE 512 /* columns that are widened at a time, to stay in the first-level cache */

/* lanes of the products of w with x */
ZM_VECTORISED
static void add_products(double *restrict lanes, const double *restrict w, const double *restrict x,
                         uint64_t count)
{
    double sum[LANES];
    uint64_t whole = count - count % LANES;
    memcpy(sum, lanes, sizeof(sum));
    for (uint64_t i = 0; i < whole; i += LANES)
        for (uint64_t l = 0; l < LANES; l++)
            sum[l] += w[i + l] * x[i + l];
    for (uint64_t i = whole; i < count; i++)
        sum[i - whole] += w[i] * x[i];
    memcpy(lanes, sum, sizeof(sum));
}

static double total(const double *lanes)
{
    double sum = 0;
    for (int l = 0; l < LANES; l++)
        sum += lanes[l];
    return sum;
}

void zm_norm_fold_rows(const zm_norm_fold *fold, uint64_t first, const void *values, zm_dtype type,
                       uint64_t rows, uint64_t k)
{
    double piece[PIECE];
    size_t size = zm_dtype_size(type);
    for (uint64_t row = 0; row < rows; row++) {
        double gamma[LANES] = {0}, beta[LANES] = {0};
        for (uint64_t col = 0; col < k; col += PIECE) {
            uint64_t count = k - col < PIECE ? k - col : PIECE;
            zm_convert_reals(piece, ZM_F64, (const char *)values + (row * k + col) * size, type,
                             count);
            add_products(beta, piece, fold->beta + col, count);
            if (fold->layer)
                add_products(gamma, piece, fold->gamma + col, count);
        }
        fold->bias[first + row] += total(beta);
        if (fold->layer)
            fold->sums[first + row] += total(gamma);
    }
}
