/* SPDX-License-Identifier: Apache-2.0 */
#include "timing.h"

#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/clock.h"
#include "noise.h"

#define DEFAULT_SAMPLE 0.02
#define PROBE 0.002 /* shorter measurements say too little about the length of a batch */
#define MAX_BATCH 4096
#define MAX_ROUNDS 2000
#define LEAST_ROUNDS 7  /* 95 % confidence needs six */
#define FEWEST_ROUNDS 3 /* what is taken from a thing that is slow, or a machine that is noisy */
#define BLOCK 0.1       /* the shortest time over which noise can be told */
#define PATIENCE 4      /* times the seconds asked for, until noise is put up with */

/* Rounds so far, and which of them were quiet. */
typedef struct race {
    zm_stream *stream;
    timed *things;
    size_t count;
    size_t rounds, quiet_rounds;
    double quiet_seconds;
    bool quiet[MAX_ROUNDS];
} race;

zm_status timing_batch(zm_stream *stream, timed *thing, uint32_t calls, double *seconds)
{
    zm_status status = thing->begin ? thing->begin(thing->self) : ZM_OK;
    uint64_t start = zm_clock_ns();
    for (uint32_t i = 0; i < calls && status == ZM_OK; i++)
        status = thing->enqueue(thing->self, stream);
    zm_status waited = zm_stream_wait(stream);
    *seconds = zm_clock_since(start);
    return status ? status : waited;
}

/* The first call builds kernels and touches memory. */
zm_status timing_probe(zm_stream *stream, timed *thing, double *seconds)
{
    uint32_t calls = 1;
    zm_status status = timing_batch(stream, thing, 1, seconds);
    if (status == ZM_OK)
        status = timing_batch(stream, thing, 1, seconds);
    while (status == ZM_OK && *seconds < PROBE && calls < MAX_BATCH) {
        calls *= 2;
        status = timing_batch(stream, thing, calls, seconds);
    }
    *seconds /= calls;
    return status;
}

static zm_status find_batch(zm_stream *stream, timed *thing)
{
    double wanted = thing->sample_seconds > 0 ? thing->sample_seconds : DEFAULT_SAMPLE;
    double seconds = 0;
    zm_status status = timing_probe(stream, thing, &seconds);
    double batch = seconds > 0 ? wanted / seconds : MAX_BATCH;
    thing->batch = batch < 1 ? 1 : batch > MAX_BATCH ? MAX_BATCH : (uint32_t)batch;
    return status;
}

static zm_status run_round(race *r)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < r->count && status == ZM_OK; i++) {
        timed *thing = &r->things[r->rounds % 2 ? r->count - 1 - i : i];
        double seconds = 0;
        status = timing_batch(r->stream, thing, thing->batch, &seconds);
        thing->samples[r->rounds] = seconds / thing->batch;
    }
    r->rounds++;
    return status;
}

/* Rounds until one can tell whether they were quiet. */
static zm_status run_block(race *r)
{
    size_t first = r->rounds;
    noise_watch watch = noise_start();
    zm_status status = ZM_OK;
    do {
        status = run_round(r);
    } while (status == ZM_OK && r->rounds < MAX_ROUNDS && zm_clock_since(watch.start_ns) < BLOCK);
    double seconds = zm_clock_since(watch.start_ns);
    bool quiet = noise_share(&watch) <= NOISE_LIMIT;
    for (size_t i = first; i < r->rounds; i++)
        r->quiet[i] = quiet;
    if (quiet) {
        r->quiet_rounds += r->rounds - first;
        r->quiet_seconds += seconds;
    }
    return status;
}

/* Keeps the samples of the rounds that count. */
static void report_rounds(race *r, timing_report *report)
{
    report->noisy = r->quiet_rounds < FEWEST_ROUNDS && r->quiet_rounds < r->rounds;
    report->rounds = 0;
    for (size_t i = 0; i < r->rounds; i++) {
        if (!r->quiet[i] && !report->noisy)
            continue;
        for (size_t j = 0; j < r->count; j++)
            r->things[j].samples[report->rounds] = r->things[j].samples[i];
        report->rounds++;
    }
    report->dropped = r->rounds - report->rounds;
}

static bool enough(const race *r, const timing_options *options, uint64_t start)
{
    double wall = zm_clock_since(start);
    if (r->rounds == MAX_ROUNDS || (options->stop && *options->stop))
        return true;
    if (r->quiet_rounds >= LEAST_ROUNDS && r->quiet_seconds >= options->seconds)
        return true;
    return r->rounds >= FEWEST_ROUNDS && wall >= PATIENCE * options->seconds;
}

static zm_status run_race(race *r, const timing_options *options)
{
    zm_status status = ZM_OK;
    for (size_t i = 0; i < r->count && status == ZM_OK; i++) {
        r->things[i].samples = zm_calloc(MAX_ROUNDS, sizeof(double));
        status =
            r->things[i].samples ? find_batch(r->stream, &r->things[i]) : ZM_ERROR_OUT_OF_MEMORY;
    }
    uint64_t start = zm_clock_ns();
    while (status == ZM_OK && !enough(r, options, start)) {
        size_t quiet = r->quiet_rounds;
        status = run_block(r);
        if (quiet == r->quiet_rounds)
            noise_wait(options->seconds / 2);
    }
    return status;
}

zm_status timing_run(zm_stream *stream, timed *things, size_t count, const timing_options *options,
                     timing_report *report)
{
    race *r = zm_calloc(1, sizeof(*r));
    if (!r)
        return ZM_ERROR_OUT_OF_MEMORY;
    r->stream = stream;
    r->things = things;
    r->count = count;
    zm_status status = run_race(r, options);
    if (status == ZM_OK)
        report_rounds(r, report);
    free(r);
    return status;
}

void timed_finish(timed *thing)
{
    free(thing->samples);
    thing->samples = NULL;
}

zm_status timed_ratio(const timed *first, const timed *second, size_t count, stats_summary *out)
{
    double *scratch = zm_calloc(count ? count : 1, sizeof(double));
    if (!scratch)
        return ZM_ERROR_OUT_OF_MEMORY;
    *out = stats_ratio(first->samples, second->samples, count, scratch);
    free(scratch);
    return ZM_OK;
}

zm_status timed_summarize(const timed *thing, size_t count, stats_summary *out)
{
    double *scratch = zm_calloc(count ? count : 1, sizeof(double));
    if (!scratch)
        return ZM_ERROR_OUT_OF_MEMORY;
    memcpy(scratch, thing->samples, count * sizeof(double));
    *out = stats_summarize(scratch, count);
    free(scratch);
    return ZM_OK;
}
