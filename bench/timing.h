/* SPDX-License-Identifier: Apache-2.0 */
/* Times several things in turns, so that what disturbs one disturbs the others alike.
 *
 * Each one is warmed up and probed; a sample is a batch of calls that is long enough for the clock
 * and hides the launch of one behind the work of another, as in a model. A round takes one sample
 * of each, every other round in reverse order. Rounds during which other processes used the
 * processors are dropped. */
#ifndef ZM_BENCH_TIMING_H
#define ZM_BENCH_TIMING_H

#include <zeromean/device.h>

#include "stats.h"

typedef struct timed {
    /* Enqueues one call. */
    zm_status (*enqueue)(void *self, zm_stream *stream);
    /* Before each batch, outside of the measurement; NULL = nothing. */
    zm_status (*begin)(void *self);
    void *self;
    double sample_seconds; /* a batch takes about so long; 0 = 20 ms */

    /* results */
    uint32_t batch;
    double *samples; /* seconds per call, one for each counted round; free with timed_finish */
} timed;

typedef struct timing_options {
    double seconds; /* of rounds that count, for all together */
    bool *stop;     /* set from outside to come back early; NULL = never */
} timing_options;

typedef struct timing_report {
    size_t rounds;  /* that count */
    size_t dropped; /* because other processes worked */
    bool noisy;     /* hardly a round was quiet, and all of them count */
} timing_report;

zm_status timing_run(zm_stream *stream, timed *things, size_t count, const timing_options *options,
                     timing_report *report);
void timed_finish(timed *thing);

/* The parts: so many calls, and how long they took together. */
zm_status timing_batch(zm_stream *stream, timed *thing, uint32_t calls, double *seconds);
/* Warms up and gives a first idea of how long a call takes. */
zm_status timing_probe(zm_stream *stream, timed *thing, double *seconds);

/* Sorts a copy of the samples; count is report->rounds. */
zm_status timed_summarize(const timed *thing, size_t count, stats_summary *out);

/* Of first / second, round by round. */
zm_status timed_ratio(const timed *first, const timed *second, size_t count, stats_summary *out);

#endif
