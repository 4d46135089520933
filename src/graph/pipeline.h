/* SPDX-License-Identifier: Apache-2.0 */
/* A pipeline inside: which device does which node, the stages, and the memories that are on more
 * than one device. */
#ifndef ZM_SRC_GRAPH_PIPELINE_H
#define ZM_SRC_GRAPH_PIPELINE_H

#include <zeromean/pipeline.h>

#include "graph/executable.h"

#define ZM_PIPELINE_PLACES (ZM_PIPELINE_DEVICES + 1) /* with the host that is not named */

#define ZM_STAGE_READS 1u
#define ZM_STAGE_WRITES 2u

/* Memory of the graph that is on more than one device, or in more than one stage. Masks have a bit
 * for each device. */
typedef struct zm_crossing {
    uint32_t root;        /* its value */
    bool constant;        /* only read, as weights and vectors: copied once, not moved */
    zm_operand_type type; /* of a constant */
    bool rebound;         /* an extern: since the last run */
    uint32_t users;       /* devices of nodes that use it */
    uint32_t bound;       /* where it lies before and after a run; 0 = inner */
    uint32_t valid;       /* where it is as it should be now */
    zm_tensor place[ZM_PIPELINE_PLACES];
    zm_buffer *owned[ZM_PIPELINE_PLACES]; /* NULL = given, or not needed there */
} zm_crossing;

/* A weight or vector of a given buffer, on another device as well. */
typedef struct zm_constant {
    zm_tensor from, to;
    zm_operand_type type;
    uint32_t device;
} zm_constant;

typedef struct zm_stage {
    size_t first, last; /* nodes first .. last - 1 of the graph */
    uint32_t device;
    zm_executable *executable;
    uint8_t *uses; /* per crossing: ZM_STAGE_* */
} zm_stage;

struct zm_pipeline {
    zm_graph *graph;   /* a copy, as it was built; NULL = one executable does it all */
    uint32_t *numbers; /* of its formulas */
    bool changed;      /* a symbol was set */
    uint32_t device_count;
    zm_device *devices[ZM_PIPELINE_PLACES]; /* one that is named twice only in its first place */
    uint32_t place_of[ZM_PIPELINE_DEVICES]; /* in devices, of those that were named */
    uint32_t named_count;
    bool no_host;
    zm_device *host; /* the last one of devices where none of those named can do something */
    zm_stream *host_stream;
    uint32_t *device_of; /* per node, in devices */
    zm_stage *stages;
    size_t stage_count;
    zm_crossing *crossings;
    size_t crossing_count;
    uint32_t *crossing_of; /* per value: 1 + the crossing of the memory; 0 = none */
    zm_constant *constants;
    size_t constant_count, constant_capacity;
    zm_stream *streams[ZM_PIPELINE_PLACES]; /* for constants, while it is compiled */
    void *staging[2];                       /* what moves, as it was and as it will be */
    zm_pipeline_info info;
};

/* ---- place.c ---- */

/* Fills device_of; opens the host where nothing else helps. */
zm_status zm_pipeline_place(zm_pipeline *pipeline);
/* Is what such operands hold the same in all runs, mostly: weights and vectors? */
bool zm_type_is_constant(zm_operand_type type);
/* Is the operand all by itself something that can be copied to another device once? */
bool zm_operand_is_constant(const zm_graph *graph, const zm_node *node, size_t operand);
/* The type of the copy there. */
zm_dtype zm_constant_type(const zm_device *device, zm_operand_type type, zm_dtype dtype);

/* ---- crossing.c ---- */

/* Fills stages, crossings and crossing_of, with memory where it is known. */
zm_status zm_pipeline_divide(zm_pipeline *pipeline);
/* The place of the buffer's device; device_count = it is none of them. */
uint32_t zm_pipeline_find(const zm_pipeline *pipeline, const zm_device *device);
/* Memory of a crossing on a device that has none. bytes = of all sizes at their most. */
zm_status zm_crossing_own(zm_pipeline *pipeline, zm_crossing *crossing, uint32_t device);

/* ---- cut.c ---- */

/* Compiles the part of the graph that the stage is. */
zm_status zm_stage_compile(zm_pipeline *pipeline, zm_stage *stage, const zm_compile_params *params);

/* ---- constant.c ---- */

/* A packed copy, in the layout that the device of `to` wants. buffer NULL: it is made. */
zm_status zm_constant_copy(zm_stream *from, const zm_tensor *src, zm_operand_type type,
                           zm_stream *to, zm_dtype dtype, zm_buffer **buffer, zm_tensor *dst);

/* ---- move.c ---- */

/* Of a mask that is not 0. */
uint32_t zm_first_device(uint32_t mask);
zm_status zm_staging_create(zm_pipeline *pipeline);
/* Before and after the stage is enqueued: what it reads comes, what others want goes. */
zm_status zm_moves_before(zm_pipeline *pipeline, const zm_stage *stage, zm_stream *const *streams);
zm_status zm_moves_after(zm_pipeline *pipeline, const zm_stage *stage, zm_stream *const *streams);

#endif
