/* SPDX-License-Identifier: Apache-2.0 */
/* clbench peak: what the device can do at most. */
#include "peak.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "clbench.h"
#include "cli/device.h"
#include "cli/output.h"
#include "print.h"

#define FMA_SAMPLE 0.01
#define STREAM_SAMPLE 0.01
#define LAUNCH_SAMPLE 0.005

static zm_status summarize_fma(const timed *things, const ceiling *ceilings, size_t count,
                               size_t rounds, result_peak *out)
{
    zm_status status = ZM_OK;
    out->fma_count = count;
    for (size_t i = 0; i < count && status == ZM_OK; i++) {
        stats_summary seconds;
        status = timed_summarize(&things[i], rounds, &seconds);
        out->fma[i] = (peak_fma){ceilings[i].width, ceilings[i].chains,
                                 ceilings[i].flops / seconds.median * 1e-9, seconds.spread};
        if (out->fma[i].gflops > out->fma[out->best_fma].gflops)
            out->best_fma = i;
    }
    return status;
}

/* The kernels that the device can build; one that it can't is no reason to do without the rest. */
static zm_status create_fma(session *s, ceiling *ceilings, size_t *count)
{
    ceiling_fma list[CEILING_MAX_FMA];
    size_t all = ceiling_fma_list(s->info, list);
    zm_status failed = ZM_OK;
    *count = 0;
    for (size_t i = 0; i < all; i++) {
        zm_status status =
            ceiling_fma_create(s->device, list[i].width, list[i].chains, &ceilings[*count]);
        if (status == ZM_OK)
            ++*count;
        else
            ceiling_finish(&ceilings[*count]);
        failed = status ? status : failed;
    }
    return *count ? ZM_OK : failed;
}

static zm_status measure_fma(session *s, double seconds, result_peak *out)
{
    ceiling ceilings[CEILING_MAX_FMA] = {0};
    timed things[CEILING_MAX_FMA] = {0};
    timing_report report;
    size_t count;
    const timing_options options = {.seconds = seconds};
    zm_status status = create_fma(s, ceilings, &count);
    for (size_t i = 0; i < count; i++)
        things[i] = ceiling_timed(&ceilings[i], FMA_SAMPLE);
    if (status == ZM_OK)
        status = timing_run(s->stream, things, count, &options, &report);
    if (status == ZM_OK)
        status = summarize_fma(things, ceilings, count, report.rounds, out);
    for (size_t i = 0; i < count; i++) {
        timed_finish(&things[i]);
        ceiling_finish(&ceilings[i]);
    }
    return status;
}

static zm_status measure_stream(session *s, ceiling_kind kind, uint64_t bytes, double seconds,
                                result_peak *out)
{
    ceiling c = {0};
    timing_report report;
    stats_summary summary = {0};
    const timing_options options = {.seconds = seconds};
    zm_status status = ceiling_stream_create(s->device, s->stream, kind, bytes, &c);
    timed thing = ceiling_timed(&c, STREAM_SAMPLE);
    if (status == ZM_OK)
        status = timing_run(s->stream, &thing, 1, &options, &report);
    if (status == ZM_OK)
        status = timed_summarize(&thing, report.rounds, &summary);
    if (status == ZM_OK)
        out->streams[out->stream_count++] = (peak_stream){
            kind == CEILING_COPY, (double)bytes, c.bytes / summary.median * 1e-9, summary.spread};
    timed_finish(&thing);
    ceiling_finish(&c);
    return status;
}

static zm_status measure_streams(session *s, const peak_options *options, result_peak *out)
{
    zm_status status = ZM_OK;
    size_t count = 2 * ((options->last - options->first) / options->step + 1);
    for (size_t power = options->first; power <= options->last; power += options->step) {
        uint64_t bytes = (uint64_t)1 << power;
        bool fits = bytes / 2 <= s->info->limits.max_buffer_bytes &&
                    bytes <= s->info->limits.memory_bytes / 2;
        if (!fits || out->stream_count + 2 > PEAK_MAX_STREAMS)
            break;
        double seconds = options->seconds / (double)count;
        status = measure_stream(s, CEILING_COPY, bytes, seconds, out);
        if (status == ZM_OK)
            status = measure_stream(s, CEILING_READ, bytes, seconds, out);
        if (status != ZM_OK)
            break;
    }
    return status;
}

/* A launch that is waited for: the batch is the pair. */
static zm_status launch_and_wait(void *self, zm_stream *stream)
{
    const ceiling *c = self;
    zm_status status = zm_device_dispatch(stream, &c->dispatch, NULL);
    return status == ZM_OK ? zm_stream_wait(stream) : status;
}

static zm_status measure_launch(session *s, double seconds, result_peak *out)
{
    ceiling c = {0};
    timing_report report;
    stats_summary among = {0}, waited = {0};
    const timing_options options = {.seconds = seconds};
    zm_status status = ceiling_launch_create(s->device, &c);
    timed things[2] = {ceiling_timed(&c, LAUNCH_SAMPLE), ceiling_timed(&c, LAUNCH_SAMPLE)};
    things[1].enqueue = launch_and_wait;
    if (status == ZM_OK)
        status = timing_run(s->stream, things, 2, &options, &report);
    if (status == ZM_OK)
        status = timed_summarize(&things[0], report.rounds, &among);
    if (status == ZM_OK)
        status = timed_summarize(&things[1], report.rounds, &waited);
    if (status == ZM_OK) {
        out->launch_seconds = among.median;
        out->wait_seconds = waited.median;
    }
    timed_finish(&things[0]);
    timed_finish(&things[1]);
    ceiling_finish(&c);
    return status;
}

zm_status peak_measure(session *s, const peak_options *options, result_peak *out)
{
    memset(out, 0, sizeof(*out));
    out->launch_seconds = out->wait_seconds = NAN;
    session_forget(s);
    zm_status status = measure_fma(s, options->seconds, out);
    if (status == ZM_OK)
        status = measure_streams(s, options, out);
    if (status == ZM_OK)
        status = measure_launch(s, options->seconds / 4, out);
    if (status == ZM_OK)
        return ZM_OK;
    out->status = status == ZM_ERROR_UNSUPPORTED ? ROW_UNSUPPORTED : ROW_FAILED;
    snprintf(out->reason, sizeof(out->reason), "%s", session_reason(s, status));
    return status == ZM_ERROR_UNSUPPORTED ? ZM_OK : status;
}

static zm_cli_exit run(int argc, char **argv)
{
    bool json = false;
    double seconds = 2;
    const char *device = NULL;
    const zm_cli_option options[] = {
        {"device", 'd', "SPEC", "the device", ZM_CLI_TEXT, &device},
        {"time", 't', "SECONDS", "for each part; default 2", ZM_CLI_REAL, &seconds},
        {"json", 0, NULL, "print JSON (schema " RESULT_SCHEMA ")", ZM_CLI_FLAG, &json},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&clbench_peak, options, 3, argc, argv, &arguments, &code))
        return code;
    session s;
    result r;
    code = session_open(&s, device);
    if (code != ZM_CLI_OK)
        return code;
    result_init(&r, "peak", s.info);
    const peak_options how = {.seconds = seconds, .first = 14, .last = 28, .step = 2};
    zm_status status = peak_measure(&s, &how, &r.peak);
    if (json)
        code = zm_cli_json_print(result_to_json(&r, s.info));
    else if (status == ZM_OK)
        print_peak(&r.peak);
    if (status != ZM_OK) {
        zm_cli_error("%s", r.peak.reason);
        code = ZM_CLI_FAILED;
    }
    result_finish(&r);
    session_close(&s);
    return code;
}

const zm_cli_command clbench_peak = {
    .name = "peak",
    .synopsis = "",
    .summary = "Measure what the device can do at most",
    .details = "Multiply-adds in independent chains, with the widest vectors of the device and\n"
               "several numbers of chains, of which the best counts; copying and reading memory\n"
               "of several sizes (both buffers of a copy count); and the cost of a "
               "launch.\n\n" ZM_CLI_DEVICE_HELP,
    .run = run,
};
