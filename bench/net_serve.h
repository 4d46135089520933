/* SPDX-License-Identifier: Apache-2.0 */
/* Networks that are timed on request, so that another program can take turns with them. */
#ifndef ZM_BENCH_NET_SERVE_H
#define ZM_BENCH_NET_SERVE_H

#include "net_run.h"
#include "result.h"
#include "session.h"

typedef struct net_seat {
    const result_row *row; /* NULL: what it is held against, a read of memory */
    net_run *run;
    timed *thing; /* NULL: it can't be timed */
    double bytes; /* that a call reads */
    double call;  /* seconds of one, the last time */
} net_seat;

/* Prints a line of JSON about the seats, then answers each line of stdin, "INDEX [SECONDS [WORD]]",
 * with one: how long a run took; host: how long the host took to enqueue it; ops: how long the
 * device took, op by op; output: what comes out. */
zm_cli_exit net_serve(session *s, const net *n, net_seat *seats, size_t count);

#endif
