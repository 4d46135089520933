/* SPDX-License-Identifier: Apache-2.0 */
/* Results in memory, and as JSON with the schema clbench.result/1 (docs/json.md). */
#ifndef ZM_BENCH_RESULT_H
#define ZM_BENCH_RESULT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <zeromean/graph.h>
#include <zeromean/log.h>

#include "stats.h"

#define RESULT_SCHEMA "clbench.result/1"

typedef enum row_status {
    ROW_OK = 0,
    ROW_UNSUPPORTED, /* the device or the library can't do it */
    ROW_SKIPPED,     /* it could perhaps, but it was not tried */
    ROW_FAILED,
    ROW_STATUS_COUNT
} row_status;

typedef struct row_time {
    stats_summary seconds; /* of one call */
    uint32_t batch;        /* calls per sample */
    size_t dropped;        /* samples, because other processes worked */
    bool noisy;            /* hardly a sample was quiet */
} row_time;

/* What binds. */
typedef enum ceiling_bound {
    BOUND_UNKNOWN = 0,
    BOUND_FMA,
    BOUND_BANDWIDTH,
    BOUND_LAUNCH, /* the work takes less than a launch */
    BOUND_COUNT
} ceiling_bound;

typedef struct row_ceiling {
    ceiling_bound bound;
    double seconds; /* of one call at the ceiling */
    double gflops, gbps;
    double percent; /* of the ceiling that the op reaches */
} row_ceiling;

/* The other side of an A/B. */
typedef struct row_versus {
    bool there;
    char op[32], type[8], weight_type[8], kernel[32];
    row_time time;
    stats_summary ratio; /* its time / the row's time: how many times as fast the row is */
} row_versus;

/* Of a row that is a graph. */
typedef struct row_graph {
    bool there;
    uint32_t operations, launches;
    double memory_bytes, least_bytes; /* of the inner tensors: planned, and the lower bound */
    uint32_t fired[ZM_PASS_COUNT];
    double error; /* relative L2 error against what the row has to compute */
} row_graph;

#define ROW_MOST_KERNELS 32

typedef struct row_kernel {
    char op[32], candidate[32], kernel[32];
    double launches, seconds; /* of a run */
} row_kernel;

/* Of a row that is a graph, by the device's clock. */
typedef struct row_profile {
    uint32_t runs;  /* 0 = there is none */
    double seconds; /* of all kernels */
    size_t count;
    row_kernel kernels[ROW_MOST_KERNELS]; /* what takes longest first */
} row_profile;

typedef struct result_row {
    char op[32], shape[96], type[8], weight_type[8], kernel[32];
    row_status status;
    char reason[256]; /* "" when ok */
    double flops, bytes;
    row_time time;
    row_ceiling ceiling;
    row_versus versus;
    row_graph graph;
    row_profile profile;
} result_row;

typedef struct peak_fma {
    uint32_t width, chains;
    double gflops, spread;
} peak_fma;

typedef struct peak_stream {
    bool copy; /* else only read */
    double bytes, gbps, spread;
} peak_stream;

#define PEAK_MAX_FMA 8
#define PEAK_MAX_STREAMS 16

typedef struct result_peak {
    row_status status; /* ROW_SKIPPED: not measured */
    char reason[256];
    size_t fma_count, best_fma;
    peak_fma fma[PEAK_MAX_FMA];
    size_t stream_count;
    peak_stream streams[PEAK_MAX_STREAMS];
    double launch_seconds; /* of a launch among many; NaN = unknown */
    double wait_seconds;   /* of a launch that is waited for */
} result_peak;

typedef struct result {
    char command[16]; /* "peak", "op", "block", "model", "paper" */
    char date[24];    /* UTC, ISO 8601 */
    char version[24];
    char device_spec[32], device_name[128], device_platform[128], device_driver[128];
    char processor[96]; /* of the host */
    uint32_t processors;
    result_peak peak;
    size_t row_count, row_capacity;
    result_row *rows;
} result;

/* Everything but the rows and the peak. */
void result_init(result *r, const char *command, const zm_device_info *info);
void result_finish(result *r);
/* A zeroed row at the end; NULL when out of memory. */
result_row *result_add(result *r);

const char *row_status_name(row_status status);
const char *ceiling_bound_name(ceiling_bound bound);
/* 0 where it is unknown or the row is not ok. */
double row_gflops(const result_row *row);
double row_gbps(const result_row *row);
/* Of what all kernels take; NaN where that is nothing. */
double row_kernel_percent(const row_profile *profile, size_t i);

/* NULL when out of memory. info: for the object "device"; NULL = from the result itself. */
json_t *result_to_json(const result *r, const zm_device_info *info);
/* ZM_ERROR_BAD_FORMAT with a logged reason. Finish also after a failure. */
zm_status result_read(const char *path, const zm_log *log, result *out);

#endif
