/* SPDX-License-Identifier: Apache-2.0 */
/* Each pass is a function in a file of its own. It takes a graph that has passed its checks and
 * leaves one that does the same; it returns how often it changed something. Errors stick to the
 * graph. It fires only where the result is the same for every value of what is bound and set. */
#ifndef ZM_SRC_GRAPH_PASSES_PASSES_H
#define ZM_SRC_GRAPH_PASSES_PASSES_H

#include "graph/graph.h"

typedef uint32_t zm_pass_fn(zm_graph *graph, const zm_device *device);

zm_pass_fn zm_pass_dead_code, zm_pass_view, zm_pass_activation, zm_pass_merge, zm_pass_epilogue,
    zm_pass_residual_norm, zm_pass_deferred_norm, zm_pass_shared_statistic,
    zm_pass_writer_statistic;

/* ---- what passes on epilogues share ---- */

/* The node at n if it is a matmul whose output is this one, and nothing is made of that yet. */
const zm_matmul_params *zm_product_of(const zm_graph *graph, size_t n, const zm_tensor *output);
/* The matmul at n, the last one to write its output before the node at m, becomes `with`, which
 * does the work of both, in the place of the latter. other: what that one reads besides, element by
 * element (absent: nothing). False, and nothing is changed: it would not be the same. */
bool zm_product_take(zm_graph *graph, size_t n, size_t m, const zm_matmul_params *with,
                     const zm_tensor *other);

/* All that are not switched off, in the order of zm_pass; counts into fired. */
zm_status zm_passes_run(zm_graph *graph, const zm_device *device, const bool *off, uint32_t *fired);

#endif
