/* SPDX-License-Identifier: Apache-2.0 */
/* A progress bar on stderr, and Ctrl-C as a request to stop. */
#ifndef ZM_SRC_CLI_PROGRESS_H
#define ZM_SRC_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

/* From here on the first Ctrl-C (or SIGTERM, SIGHUP) makes zm_cli_progress return false; the second
 * one ends the process. A bar is drawn only if stderr is a terminal. */
void zm_cli_progress_start(void);

/* A zm_progress_fn. */
bool zm_cli_progress(void *user, const char *stage, uint64_t done, uint64_t total);

/* Takes the bar off the screen until the next zm_cli_progress. */
void zm_cli_progress_hide(void);

/* A line of text is about to begin on stdout: no bar if both show on a terminal, until the line
 * has ended and zm_cli_progress_resume says so. */
void zm_cli_progress_yield(void);
void zm_cli_progress_resume(void);

bool zm_cli_interrupted(void);
/* The same as a callback go_on: false when it was. */
bool zm_cli_goes_on(void *user);

/* Ctrl-C was about one piece of work: forgets it, for the next one. False: the signal was about the
 * program. */
bool zm_cli_progress_again(void);

#endif
