/* SPDX-License-Identifier: Apache-2.0 */
/* A network in one form, compiled as one graph. */
#ifndef ZM_BENCH_NET_RUN_H
#define ZM_BENCH_NET_RUN_H

#include <zeromean/graph.h>

#include "net_weights.h"
#include "timing.h"

typedef struct net_run {
    const net *n;
    const net_form *form;
    zm_device *device;
    zm_graph *graph;
    zm_executable *exe;
    zm_size tokens, rows; /* of a sequence, of all */
    zm_stream *stream;    /* of the weights */
} net_run;

/* log: of the graph. Destroy also after a failure; before the weights. */
zm_status net_run_create(net_weights *w, const net_form *form, const zm_log *log, net_run *out);
void net_run_destroy(net_run *run);

/* What comes out of the first rows of x as `tokens` tokens of each sequence, [batch * tokens][d],
 * all forms in the same coordinates and with a mean of 0. */
zm_status net_run_output(net_run *run, uint32_t tokens, double *out);

timed net_run_timed(net_run *run);

/* |got - wanted| / |wanted|; NaN where one of them is not finite. */
double net_difference(const double *got, const double *wanted, uint64_t count);

#endif
