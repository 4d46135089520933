/* SPDX-License-Identifier: Apache-2.0 */
#include "net_profile.h"

#include <stdlib.h>
#include <string.h>

#define MOST_RECORDS (1u << 16)
#define MOST_RUNS 100

static bool is_of(const row_kernel *k, const zm_record *r)
{
    return !strcmp(k->op, r->op) && !strcmp(k->candidate, r->candidate) &&
           !strcmp(k->kernel, r->kernel);
}

/* What finds no room counts as the last one, which is called "others" then. */
static row_kernel *find(row_profile *profile, const zm_record *r)
{
    for (size_t i = 0; i < profile->count; i++)
        if (is_of(&profile->kernels[i], r))
            return &profile->kernels[i];
    if (profile->count == ROW_MOST_KERNELS) {
        row_kernel *last = &profile->kernels[ROW_MOST_KERNELS - 1];
        *last = (row_kernel){"others", "", "", last->launches, last->seconds};
        return last;
    }
    row_kernel *found = &profile->kernels[profile->count++];
    memcpy(found->op, r->op, sizeof(found->op));
    memcpy(found->candidate, r->candidate, sizeof(found->candidate));
    memcpy(found->kernel, r->kernel, sizeof(found->kernel));
    return found;
}

static int by_time(const void *a, const void *b)
{
    double x = ((const row_kernel *)a)->seconds, y = ((const row_kernel *)b)->seconds;
    return (x < y) - (x > y);
}

void net_profile_sum(const zm_records *records, uint32_t runs, row_profile *out)
{
    *out = (row_profile){.runs = runs};
    for (size_t i = 0; i < records->count; i++) {
        const zm_record *r = &records->records[i];
        row_kernel *kernel = find(out, r);
        kernel->launches++;
        kernel->seconds += 1e-9 * (double)(r->end_ns - r->start_ns);
    }
    for (size_t i = 0; i < out->count; i++) {
        out->kernels[i].launches /= runs;
        out->kernels[i].seconds /= runs;
        out->seconds += out->kernels[i].seconds;
    }
    qsort(out->kernels, out->count, sizeof(out->kernels[0]), by_time);
}

/* No more than there is room for. */
static uint32_t count_runs(const net_run *run, double seconds, double call)
{
    uint32_t launches = zm_executable_get_info(run->exe).launches;
    double most = launches ? MOST_RECORDS / launches : 1, wanted = seconds / call;
    most = most > MOST_RUNS ? MOST_RUNS : most;
    return (uint32_t)(wanted > most ? most : wanted > 1 ? wanted : 1);
}

static zm_status record(net_run *run, zm_stream *stream, uint32_t runs, zm_records *out)
{
    zm_status status = zm_executable_run(run->exe, stream, NULL);
    if (status == ZM_OK)
        status = zm_stream_take_records(stream, out);
    for (uint32_t i = 0; status == ZM_OK && i < runs; i++)
        status = zm_executable_run(run->exe, stream, NULL);
    return status == ZM_OK ? zm_stream_take_records(stream, out) : status;
}

zm_status net_profile_take(net_run *run, double seconds, double call, row_profile *out)
{
    const zm_stream_params params = {.records = MOST_RECORDS};
    zm_stream *stream = NULL;
    zm_records records = {0};
    uint32_t runs = count_runs(run, seconds, call);
    zm_status status = zm_stream_create(run->device, &params, &stream);
    if (status == ZM_OK)
        status = record(run, stream, runs, &records);
    if (status == ZM_OK && records.lost)
        status = ZM_ERROR_LIMIT;
    if (status == ZM_OK)
        net_profile_sum(&records, runs, out);
    zm_stream_destroy(&stream);
    return status;
}
