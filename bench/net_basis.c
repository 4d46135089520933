/* SPDX-License-Identifier: Apache-2.0 */
#include "net_basis.h"

#include <math.h>

void net_fold(double *weight, double *bias, uint32_t n, uint32_t k, const double *norm_weight,
              const double *norm_bias)
{
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < k; j++) {
            double *w = &weight[(size_t)i * k + j];
            bias[i] += norm_bias ? *w * norm_bias[j] : 0;
            *w *= norm_weight[j];
        }
}

static void centre(double *row, uint32_t d)
{
    double mean = 0;
    for (uint32_t i = 0; i < d; i++)
        mean += row[i] / d;
    for (uint32_t i = 0; i < d; i++)
        row[i] -= mean;
}

/* The reflection that exchanges (1, ..., 1) / sqrt(d) and the last unit vector: its own inverse. */
static void reflect(double *row, uint32_t d)
{
    double one = 1 / sqrt(d), dot = -row[d - 1], scale = 2 - 2 * one;
    for (uint32_t i = 0; i < d; i++)
        dot += one * row[i];
    for (uint32_t i = 0; i < d; i++)
        row[i] -= 2 * dot / scale * (i == d - 1 ? one - 1 : one);
}

void net_read_in(net_basis basis, double *weight, uint32_t n, uint32_t d)
{
    for (uint32_t i = 0; i < n; i++) {
        double *row = &weight[(size_t)i * d], last = row[d - 1];
        if (basis == NET_TURNED)
            reflect(row, d);
        for (uint32_t j = 0; basis == NET_COMPRESSED && j < d; j++)
            row[j] -= last;
        if (basis == NET_TURNED)
            row[d - 1] = 0; /* of what is 0 */
    }
}

void net_row_to(net_basis basis, double *row, uint32_t d)
{
    if (basis == NET_PLAIN)
        return;
    centre(row, d);
    if (basis == NET_TURNED)
        reflect(row, d);
    if (basis != NET_CENTRED)
        row[d - 1] = 0;
}

void net_row_from(net_basis basis, double *row, uint32_t d)
{
    if (basis == NET_PLAIN)
        centre(row, d);
    if (basis == NET_TURNED)
        reflect(row, d);
    for (uint32_t i = 0; basis == NET_COMPRESSED && i + 1 < d; i++)
        row[d - 1] -= row[i];
}
