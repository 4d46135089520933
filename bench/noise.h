/* SPDX-License-Identifier: Apache-2.0 */
/* Was the machine ours while something ran? Timings with a thread per processor are worthless while
 * another process takes one of them. Linux only; elsewhere it always was. */
#ifndef ZM_BENCH_NOISE_H
#define ZM_BENCH_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#define NOISE_LIMIT 0.05 /* of all processors, taken by others */

typedef struct noise_watch {
    uint64_t start_ns;
    double machine, own; /* seconds of processor time */
} noise_watch;

noise_watch noise_start(void);

/* The share of all processors that others took since then, 0 .. 1; less what the clock ticks of
 * the kernel leave open. */
double noise_share(const noise_watch *watch);

/* Waits until others take nothing, at most so long. False: they still do. */
bool noise_wait(double seconds);

#endif
