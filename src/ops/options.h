/* SPDX-License-Identifier: Apache-2.0 */
/* What a kernel is compiled with: "-DACT_TYPE=1 -DWEIGHT_TYPE=2 -DROWS=12". */
#ifndef ZM_SRC_OPS_OPTIONS_H
#define ZM_SRC_OPS_OPTIONS_H

#include "ops/op.h"
#include "ops/tuning.h"

typedef struct zm_options {
    char text[256];
} zm_options;

/* How a candidate cuts the work of a call. */
typedef struct zm_cut {
    zm_options options;
    uint32_t groups[3]; /* as zm_launch has them */
    uint32_t local[3];
} zm_cut;

/* With the type of the activations, as every kernel has it. */
zm_options zm_options_get(zm_dtype activations);
/* With the types of activations, of weights and, unless it is float32, of the other parameters. */
zm_options zm_options_types(const zm_op *op, const void *params);
/* Appends -DNAME=VALUE. */
void zm_options_add(zm_options *options, const char *name, uint32_t value);
/* With the register tile of a kernel of the cpu family. */
void zm_options_add_tile(zm_options *options, const zm_tiling *tiling);

#endif
