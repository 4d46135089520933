/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of the program clbench; devices is that of zeromean. */
#ifndef ZM_BENCH_CLBENCH_H
#define ZM_BENCH_CLBENCH_H

#include "cli/options.h"

extern const zm_cli_command clbench_peak, clbench_op, clbench_compare, clbench_report, clbench_tune,
    clbench_trace, clbench_block, clbench_model, clbench_paper, clbench_text;

#endif
