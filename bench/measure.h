/* SPDX-License-Identifier: Apache-2.0 */
/* One row: a variant, perhaps another one against it, and the ceilings, all in turns. */
#ifndef ZM_BENCH_MEASURE_H
#define ZM_BENCH_MEASURE_H

#include "result.h"
#include "session.h"
#include "subject.h"
#include "timing.h"

typedef struct measure_options {
    double seconds;          /* of quiet time for a row */
    const result_peak *peak; /* its best multiply-add kernel is the ceiling; not ok = no ceilings */
} measure_options;

/* versus may be NULL. What goes wrong is the status and the reason of the row. */
void measure_row(session *s, const variant *v, const variant *versus,
                 const measure_options *options, result_row *row);

/* What the samples of a thing say. */
zm_status measure_time(const timed *thing, const timing_report *report, row_time *out);

/* Status and reason of something that went wrong. */
void measure_fail(const session *s, const shape_reason *reason, zm_status status, result_row *row);

#endif
