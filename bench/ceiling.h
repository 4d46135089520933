/* SPDX-License-Identifier: Apache-2.0 */
/* What a device can do at most: kernels of shaders/bench that do nothing but multiply and add, or
 * nothing but move memory. */
#ifndef ZM_BENCH_CEILING_H
#define ZM_BENCH_CEILING_H

#include "device/device.h"
#include "timing.h"

typedef enum ceiling_kind {
    CEILING_FMA = 0,
    CEILING_COPY,
    CEILING_READ,
    CEILING_LAUNCH
} ceiling_kind;

/* A launch with its buffers. */
typedef struct ceiling {
    ceiling_kind kind;
    double flops, bytes;    /* of one launch; a copy counts what it reads and what it writes */
    uint32_t width, chains; /* floats of a vector; chains of multiply-adds */
    zm_dispatch dispatch;
    zm_buffer *buffers[2];
} ceiling;

/* ZM_ERROR_UNSUPPORTED on the host device, which runs no kernels. Finish also after a failure. */
zm_status ceiling_fma_create(zm_device *device, uint32_t width, uint32_t chains, ceiling *out);
/* bytes: of the buffers together; rounded to whole vectors. */
zm_status ceiling_stream_create(zm_device *device, zm_stream *stream, ceiling_kind kind,
                                uint64_t bytes, ceiling *out);
zm_status ceiling_launch_create(zm_device *device, ceiling *out);
void ceiling_finish(ceiling *c);

/* For timing_run. */
timed ceiling_timed(ceiling *c, double sample_seconds);

/* The vector widths and chain counts worth trying on a device; returns how many. */
#define CEILING_MAX_FMA 8
typedef struct ceiling_fma {
    uint32_t width, chains;
} ceiling_fma;
size_t ceiling_fma_list(const zm_device_info *info, ceiling_fma out[CEILING_MAX_FMA]);

#endif
