/* SPDX-License-Identifier: Apache-2.0 */
/* Timing on request, so that another program can take turns with this one (bench/compare). */
#ifndef ZM_BENCH_SERVE_H
#define ZM_BENCH_SERVE_H

#include "plan.h"
#include "session.h"

/* Sets up all rows of the plan and prints one line of JSON that describes each of them; then
 * answers each line of stdin, "INDEX [SECONDS]", by timing that row for so long (0.1) and printing
 * {"index":..,"seconds":..}: the mean of a call. Ends with stdin. */
zm_cli_exit serve(session *s, const plan *p);

#endif
