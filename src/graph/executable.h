/* SPDX-License-Identifier: Apache-2.0 */
/* A graph on a device: where its tensors are, and the launches that are kept from run to run. */
#ifndef ZM_SRC_GRAPH_EXECUTABLE_H
#define ZM_SRC_GRAPH_EXECUTABLE_H

#include "graph/graph.h"
#include "graph/memory.h"
#include "graph/replay.h"

/* Work (zm_op_work) that is handed to the device at a time: a fraction of a second of a slow GPU,
 * whose driver gives up on what takes seconds and can't show a picture meanwhile. */
#define ZM_SUBMIT_WORK (UINT64_C(100) * 1000 * 1000 * 1000)

typedef struct zm_command {
    zm_plan *plans; /* one, or one for each part of a weight that is in parts */
    size_t plan_count, plan_capacity;
    uint32_t launches; /* of all of them */
    uint64_t work;
    bool stale;         /* a size or a binding that it depends on has changed */
    uint32_t stretch;   /* 1 + the slot of the one that it is recorded in; 0 = none */
    uint64_t steady_at; /* the run since which its launches are the same, or of the same kernels
                           where a list can be changed */
    uint64_t kernels;   /* a hash of which they are */
    bool changed;       /* since its stretch was told */
} zm_command;

struct zm_executable {
    zm_graph *graph; /* a copy, after the passes */
    zm_device *device;
    uint32_t *numbers;       /* of the graph's formulas */
    uint64_t changed;        /* symbols that were set since the last run */
    uint32_t forced_changes; /* of the device, that the plans know of */
    zm_tensor *places;       /* per value: what is bound, planned or given; buffer NULL = unbound */
    uint64_t *serials;       /* of the buffers that are bound */
    zm_command *commands;
    size_t command_count;
    void *params; /* of the node at hand */
    zm_buffer **arenas;
    size_t arena_count;
    uint64_t scratch_bytes; /* of a stream, that runs need at most */
    uint64_t submit_work;   /* ZM_SUBMIT_WORK */
    uint64_t work;          /* of this run, that the device was not told to begin with yet */
    zm_replay_state replay;
    zm_executable_info info;
};

/* A copy of the graph for executable->device, with room for its runs, symbols at their most and no
 * places yet. */
zm_status zm_executable_open(zm_executable *executable, const zm_graph *graph);

/* The place of a device among others; count = it is none of them. */
uint32_t zm_device_place(zm_device *const *devices, uint32_t count, const zm_device *device);
/* The extern of that name, and on which of these devices the tensor is that can be bound to it.
 * What can't is said here, for executables and pipelines. */
zm_status zm_binding_find(const zm_graph *graph, zm_device *const *devices, uint32_t count,
                          const char *name, const zm_tensor *tensor, const zm_value **value,
                          uint32_t *device);
/* A run in its two parts: all that can be refused; and the work, which takes a stream of the
 * device. */
zm_status zm_executable_plan(zm_executable *executable);
/* Before it, or the run that needs more than the stream has makes it wait. */
zm_status zm_executable_reserve(const zm_executable *executable, zm_stream *stream);
zm_status zm_executable_enqueue(zm_executable *executable, zm_stream *stream,
                                const zm_run_params *params);

/* Room for the plans of a node whose params are at hand: which are as many as its weight has parts,
 * whatever the sizes. */
zm_status zm_command_reserve(zm_executable *executable, size_t node);

/* The params of a node with all tensors and sizes as they are now, in executable->params. */
zm_status zm_executable_fill(zm_executable *executable, size_t node, zm_refusal *refusal);
/* The same, checked. */
zm_status zm_executable_resolve(zm_executable *executable, size_t node);

/* Of params with real tensors. */
uint64_t zm_op_work(const zm_op *op, const void *params);

#endif
