/* SPDX-License-Identifier: Apache-2.0 */
/* How an op becomes launches: check the parameters, try the kernel candidates in order, plan. */
#ifndef ZM_SRC_OPS_OP_H
#define ZM_SRC_OPS_OP_H

#include <zeromean/ops.h>

#include "common/compiler.h"
#include "device/device.h"

#define ZM_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The launches of one op call: plain data that a graph can keep. */
#define ZM_MAX_LAUNCHES 4
typedef struct zm_plan {
    const struct zm_op *op;
    const struct zm_candidate *candidate; /* that was chosen */
    size_t count;
    zm_dispatch launch[ZM_MAX_LAUNCHES];
    uint32_t scratch[ZM_MAX_LAUNCHES]; /* 1 + the binding that is the stream's scratch memory */
    uint64_t scratch_bytes;            /* that all of them need; 0 = none */
} zm_plan;

/* A reason in words, written by a check or a candidate that refuses. */
typedef struct zm_refusal {
    char reason[160];
} zm_refusal;

/* Writes the reason and returns status: `return zm_refuse(refusal, ZM_ERROR_UNSUPPORTED, ...)`. */
ZM_PRINTF(3, 4)
zm_status zm_refuse(zm_refusal *refusal, zm_status status, const char *format, ...);

typedef enum zm_operand_type {
    ZM_OPERAND_ACTIVATION = 0, /* the real_type, F16 or BF16; all of a call share one */
    ZM_OPERAND_PARAM,          /* F32, F16, BF16 or the real_type; all of a call share one */
    ZM_OPERAND_REAL,           /* the real_type: statistics, what is derived from weights */
    ZM_OPERAND_WEIGHT,         /* F32, F16, BF16 or the real_type; may be in panels, and quantised
                                  with ZM_OPERAND_BLOCKS */
    ZM_OPERAND_CACHE,          /* the same, never in panels */
    ZM_OPERAND_INDEX,          /* I32 */
    ZM_OPERAND_ANY,            /* as CACHE, or I32 */
    ZM_OPERAND_SIZE            /* no tensor: a uint32_t that may differ from run to run */
} zm_operand_type;

#define ZM_OPERAND_OPTIONAL 1u
#define ZM_OPERAND_OUTPUT 2u
#define ZM_OPERAND_PACKED 4u  /* no gaps between rows */
#define ZM_OPERAND_STRIDED 8u /* gaps between columns too */
#define ZM_OPERAND_KEPT 16u   /* an output that keeps what the op does not write */
#define ZM_OPERAND_BLOCKS 32u /* a weight of a quantised type, too */
#define ZM_OPERAND_PARTS 64u  /* a weight or caches whose buffers are in parts, too */

#define ZM_MAX_OPERANDS 12

/* A field of an op's parameters. What is the same in every call: the shape is not (operand.h). */
typedef struct zm_operand {
    const char *name;
    size_t offset; /* in the params struct */
    zm_operand_type type;
    uint32_t use;     /* ZM_OPERAND_* */
    uint32_t aliases; /* an output: bit i = it may be the same view as operand i */
} zm_operand;

typedef struct zm_op zm_op;
typedef struct zm_candidate zm_candidate;
typedef struct zm_part zm_part;

/* Work-items of a work-group that every kernel is content with. */
#define ZM_LEAST_ITEMS 16

/* What a candidate plans for; params have passed the op's check. */
typedef struct zm_call {
    zm_device *device;
    const zm_op *op;
    const zm_candidate *candidate;
    const void *params;
    uint32_t
        most_items; /* of a work-group; lowered while the candidate's kernel is over its limit */
    const zm_part *part; /* that params are for; NULL = all of it is in one */
} zm_call;

struct zm_candidate {
    const char *name; /* "cpu", "gpu", "ref", "cpu_matvec" ... */
    /* Which devices run it unasked is the family's business (op.c). */
    zm_kernel_family family;
    const char *kernel; /* file and entry point; NULL = the op's name */
    /* ZM_ERROR_UNSUPPORTED: it can't do this, and why. Cheap; no device calls. NULL: whatever
     * passes the op's check. */
    zm_status (*accepts)(const zm_device *device, const void *params, zm_refusal *refusal);
    /* Fills the plan; builds its kernels at the first call. */
    zm_status (*plan)(const zm_call *call, zm_plan *plan);
    /* Reads weights as rows, whatever the panels of its family. */
    bool plain_rows;
};

struct zm_op {
    const char *name;
    /* Everything the header promises to refuse: shapes, types, strides, aliasing, ranges. */
    zm_status (*check)(const zm_device *device, const void *params, zm_refusal *refusal);
    const zm_candidate *candidates; /* fastest first */
    size_t candidate_count;
    const zm_operand *operands; /* tensors first, then sizes */
    size_t operand_count;
    size_t params_size;
};

/* Of params that have passed the op's check: in how many parts its weight lies, each of which has a
 * plan of its own; mostly 1. */
uint32_t zm_op_parts(const zm_op *op, const void *params);
/* Bytes of scratch memory that plans for such params take at most, also for smaller sizes. */
uint64_t zm_op_scratch(const zm_device *device, const zm_op *op, const void *params);
/* Chooses a candidate and plans for that part. */
zm_status zm_op_choose(zm_device *device, const zm_op *op, const void *params, uint32_t part,
                       zm_plan *plan);
/* Is there a candidate that takes params which have passed the op's check, as far as is known
 * without building one? The reason has those of all candidates. */
zm_status zm_op_accepts(zm_device *device, const zm_op *op, const void *params,
                        zm_refusal *refusal);
/* Checks, chooses and plans without enqueueing what has no weight in parts. */
zm_status zm_op_plan(zm_device *device, const zm_op *op, const void *params, zm_plan *plan);
/* Enqueues what was planned. node: what it is in a graph, for the stream's records; NULL = in none.
 */
zm_status zm_plan_run(zm_stream *stream, zm_plan *plan, const char *node);
/* Plans and enqueues. */
zm_status zm_op_run(zm_stream *stream, const zm_op *op, const void *params);

/* The candidate that is forced for the op, or NULL. */
const zm_candidate *zm_op_forced(const zm_device *device, const zm_op *op);
/* The family whose layouts of weights and caches are wanted: that of the first op of these that has
 * a forced candidate, or else the device's own. */
zm_kernel_family zm_layout_family(const zm_device *device, const zm_op *const *ops, size_t count);

/* One launch as a candidate describes it. */
typedef struct zm_launch {
    const char *kernel;  /* NULL = the candidate's */
    const char *options; /* as zm_kernel_desc has it */
    zm_buffer *buffers[ZM_MAX_BINDINGS];
    uint32_t buffer_count;
    uint32_t groups[3]; /* work-groups; 0 = 1 */
    uint32_t local[3];  /* work-items of one; 0 = 1 */
    uint32_t scratch;   /* 1 + the binding that is memory between launches; 0 = none */
    uint64_t scratch_bytes;
    const void *args;
    uint32_t args_size;
} zm_launch;

/* Appends a launch of the candidate's kernel to the plan. Groups and local are left out for the
 * reference family: the host device knows itself how to share the work. */
zm_status zm_plan_add(const zm_call *call, const zm_launch *launch, zm_plan *plan);

/* By the name in zm_op_list; NULL = there is none. */
const zm_op *zm_op_find(const char *name);

extern const zm_op zm_op_layer_norm, zm_op_rms_norm, zm_op_crms_norm, zm_op_row_statistics,
    zm_op_add, zm_op_recentre, zm_op_activate, zm_op_matmul, zm_op_conv1d, zm_op_patch_embedding,
    zm_op_embedding, zm_op_kv_store, zm_op_attention, zm_op_rope, zm_op_softmax, zm_op_copy,
    zm_op_top_k, zm_op_argmax;

#endif
