/* SPDX-License-Identifier: Apache-2.0 */
/* All forms of one network in turns, each one held against the first form and the host before. */
#ifndef ZM_BENCH_NET_MEASURE_H
#define ZM_BENCH_NET_MEASURE_H

#include "net.h"
#include "net_form.h"
#include "result.h"
#include "session.h"

typedef struct net_options {
    const char *what; /* of the rows: "block", "model", "decode" */
    zm_dtype type, weight_type;
    const net_form *forms[NET_MAX_FORMS];
    size_t form_count;
    double seconds;          /* of quiet time for each form */
    double memory;           /* bytes that all may take together; 0 = 60 % of what there are */
    bool profile;            /* what each kernel takes, too */
    const result_peak *peak; /* not ok = no ceilings */
    zm_cli_exit *serve;      /* what came of timing on request, which is done instead; NULL = no */
} net_options;

/* Adds one row for each form. What goes wrong is the status and the reason of the rows; the call
 * fails only when the memory is used up. */
zm_status net_measure(session *s, const net *n, const net_options *options, result *out);

/* Rows that were not tried, for that reason. */
zm_status net_skip(const session *s, const net *n, const net_options *options, const char *reason,
                   result *out);

#endif
