/* SPDX-License-Identifier: Apache-2.0 */
/* Which rows a command line asks for. */
#ifndef ZM_BENCH_PLAN_H
#define ZM_BENCH_PLAN_H

#include "cli/cli.h"
#include "subject.h"

typedef struct plan_options {
    const char *op;                   /* glob */
    const char *shape;                /* NULL = those that are known */
    const char *types, *weight_types; /* "f32,f16"; NULL = the default */
    const char *kernel;               /* as cli/kernels.h reads it; NULL = the one that is chosen */
} plan_options;

typedef struct plan {
    size_t count, capacity;
    variant *variants;
    variant *versus; /* one for each variant; NULL = nothing to compare with */
} plan;

/* versus: as variant_change has it, NULL = none. A usage error has been said. Finish also then. */
zm_cli_exit plan_make(const plan_options *options, const char *versus, plan *out);
void plan_finish(plan *p);

#endif
