/* SPDX-License-Identifier: Apache-2.0 */
/* From the tensors of a model file to the weights of a device.
 *
 * Matrices are packed in the layout that the device wants and keep F16 where every part of them is
 * F16, or quantised where they are all of one type; the host device gets its real type in place of
 * F16. Vectors and tables of positions have the device's real type. Values are looked at once (NaN
 * and Inf are refused by name), by a few threads, and the pages of the file are let go of behind
 * them.
 *
 * A norm that only one linear reads is left with its weight, so that a graph can defer it: its bias
 * goes into that of the linear. */
#ifndef ZM_SRC_SESSION_WEIGHTS_H
#define ZM_SRC_SESSION_WEIGHTS_H

#include <zeromean/block.h>
#include <zeromean/model.h>

#include "session/weight_loader.h"

/* Parts that are stacked into one linear. */
typedef struct zm_linear_source {
    const zm_linear_part *parts;
    uint32_t count, k;
    const char *norm; /* NAME.weight and, where there is one, NAME.bias [k]: what they read; NULL =
                         that is no norm */
    bool transposed;  /* weights are [k][rows] */
    bool writes;      /* the product is added to the main branch */
    bool gated;       /* two parts, gate and up, of as many rows, for a gated product */
    const char *gain; /* NAME [n]: what its outputs are multiplied by; NULL = 1. Not with a norm */
    double factor;    /* so are all of them; 0 = 1 */
} zm_linear_source;

/* One weight [sum of n][k]; one bias, with zeros for those without, or none where none has one and
 * no norm adds to it. norm: gets the norm's weight; NULL where the source has none or
 * it is there already. */
zm_status zm_load_linear(zm_weight_loader *loader, const zm_linear_source *source, zm_linear *out,
                         zm_norm_weights *norm);
/* The matrix [d][d] that makes d - 1 elements, and a zero, of a zero-mean vector, as a norm of such
 * a main branch wants it; or with back the other one, that makes the vector of them. */
zm_status zm_load_turn(zm_weight_loader *loader, zm_norm norm, bool back, uint32_t d,
                       zm_linear *out);
/* Are the weights of the parts of two types, one of them quantised, so that they would have to be
 * decoded to be one weight? */
bool zm_linear_types_differ(const zm_weight_loader *loader, const zm_linear_part *a,
                            const zm_linear_part *b);
/* NAME.weight [n][channels][kernel] becomes [n][kernel][channels], as zm_conv1d wants it. */
zm_status zm_load_conv1d(zm_weight_loader *loader, const char *name, uint32_t n, uint32_t channels,
                         uint32_t kernel, zm_linear *out);
/* NAME.weight and, where there is one, NAME.bias [d], of a norm that keeps its bias. */
zm_status zm_load_norm(zm_weight_loader *loader, const char *name, uint32_t d,
                       zm_norm_weights *out);
/* Plain rows NAME [rows][cols]. */
zm_status zm_load_rows(zm_weight_loader *loader, const char *name, uint32_t rows, uint32_t cols,
                       zm_tensor *out);

#endif
