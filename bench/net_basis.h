/* SPDX-License-Identifier: Apache-2.0 */
/* The conversion of a Pre-LN model to the coordinates of a form, on plain matrices in float64. */
#ifndef ZM_BENCH_NET_BASIS_H
#define ZM_BENCH_NET_BASIS_H

#include "net_form.h"

/* weight [n][k], bias [n]: what a norm's weight and bias do to it goes into it. */
void net_fold(double *weight, double *bias, uint32_t n, uint32_t k, const double *norm_weight,
              const double *norm_bias);
/* weight [n][d] reads the main branch behind a norm without weights. */
void net_read_in(net_basis basis, double *weight, uint32_t n, uint32_t d);
/* A row of the main branch of the plain model; or a column of a weight that writes to it. */
void net_row_to(net_basis basis, double *row, uint32_t d);
/* The other way; what is left is of a mean of 0. */
void net_row_from(net_basis basis, double *row, uint32_t d);

#endif
