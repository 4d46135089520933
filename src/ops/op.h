/* SPDX-License-Identifier: Apache-2.0 */
/* How an op becomes launches: check the parameters, try the kernel candidates in order, plan. */
#ifndef ZM_SRC_OPS_OP_H
#define ZM_SRC_OPS_OP_H

#include <zeromean/ops.h>

#include "device/device.h"

/* The launches of one op call: plain data that a graph can keep. */
#define ZM_MAX_LAUNCHES 4
typedef struct zm_plan {
    size_t count;
    zm_dispatch launch[ZM_MAX_LAUNCHES];
} zm_plan;

/* A reason in words, written by a candidate that refuses. */
typedef struct zm_refusal {
    char reason[160];
} zm_refusal;

typedef struct zm_candidate {
    const char *name; /* "cpu", "gpu", "ref", "cpu_matvec" ... */
    zm_kernel_family family;
    /* False: it can't do this, and why. Cheap; no device calls. */
    bool (*accepts)(const zm_device *device, const void *params, zm_refusal *refusal);
    /* Fills the plan; builds its kernels at the first call. */
    zm_status (*plan)(zm_device *device, const void *params, zm_plan *plan);
} zm_candidate;

typedef struct zm_op {
    const char *name;
    /* Everything the header promises to refuse: shapes, types, strides, aliasing, ranges. */
    zm_status (*check)(const zm_device *device, const void *params);
    const zm_candidate *candidates; /* fastest first */
    size_t candidate_count;
} zm_op;

/* Checks, chooses and plans without enqueueing. */
zm_status zm_op_plan(zm_device *device, const zm_op *op, const void *params, zm_plan *plan);
/* Plans and enqueues. */
zm_status zm_op_run(zm_stream *stream, const zm_op *op, const void *params);

extern const zm_op zm_op_layer_norm, zm_op_rms_norm, zm_op_add, zm_op_recentre, zm_op_matmul,
    zm_op_conv1d, zm_op_embedding, zm_op_kv_store, zm_op_attention, zm_op_argmax;

#endif
