/* SPDX-License-Identifier: Apache-2.0 */
/* Timing on request, so that another program can take turns with this one (bench/compare). */
#ifndef ZM_BENCH_SERVE_H
#define ZM_BENCH_SERVE_H

#include "plan.h"
#include "session.h"
#include "timing.h"

/* Sets up all rows of the plan and prints one line of JSON that describes each of them; then
 * answers each line of stdin, "INDEX [SECONDS]", by timing that row for so long (0.1) and printing
 * {"index":..,"seconds":..}: the mean of a call. Ends with stdin. */
zm_cli_exit serve(session *s, const plan *p);

/* The parts. word: what stands behind the seconds; "" = nothing. */
typedef zm_cli_exit (*serve_answer)(void *user, size_t index, double seconds, const char *word);
/* Asks for an answer to each line whose index is below count. */
zm_cli_exit serve_lines(size_t count, serve_answer answer, void *user);
/* Times a thing and prints it; call: seconds of a call, as they are known before and after. */
zm_cli_exit serve_time(session *s, timed *thing, size_t index, double seconds, double *call);

#endif
