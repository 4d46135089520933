/* SPDX-License-Identifier: Apache-2.0 */
/* Measuring the ceilings of a device. */
#ifndef ZM_BENCH_PEAK_H
#define ZM_BENCH_PEAK_H

#include "ceiling.h"
#include "result.h"
#include "session.h"

typedef struct peak_options {
    double seconds;           /* for each of the parts: multiply-adds, memory, launches */
    size_t first, last, step; /* sizes of memory: 2^first .. 2^last bytes */
} peak_options;

/* What can't be measured is a status and a reason in out; the call fails only when the device
 * does. */
zm_status peak_measure(session *s, const peak_options *options, result_peak *out);

#endif
