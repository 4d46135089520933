/* SPDX-License-Identifier: Apache-2.0 */
/* Stretches of nodes whose launches have not changed for some runs, or of which only the arguments
 * change where a list can be told that, are enqueued at once, where that takes the host less time.
 */
#ifndef ZM_SRC_GRAPH_REPLAY_H
#define ZM_SRC_GRAPH_REPLAY_H

#include "device/device.h"
#include "graph/graph.h"

typedef struct zm_stretch {
    zm_list *list; /* NULL = the slot is free */
    size_t first, last;
    uint32_t launches;
    uint64_t work;
    bool changed; /* nodes of it have */
} zm_stretch;

typedef enum zm_stretch_use {
    ZM_STRETCH_NONE = 0, /* node by node */
    ZM_STRETCH_TIMED,    /* node by node, timed for comparison */
    ZM_STRETCH_LIST      /* as lists */
} zm_stretch_use;

typedef struct zm_replay_state {
    zm_replay mode;
    bool decided, pays; /* of ZM_REPLAY_MEASURED */
    zm_stretch *stretches;
    size_t count;
    uint64_t run;     /* of now, from 1 */
    uint64_t look_at; /* the run that looks for nodes to record */
    uint32_t trials;
    uint64_t best[2]; /* ns of all stretches: node by node, as lists */
    zm_stretch_use use;
    uint64_t elapsed; /* of this run's stretches, ns */
    bool spoilt;      /* a list was still on its way */
} zm_replay_state;

/* Room for stretches, where the device can record at all. */
zm_status zm_replay_prepare(zm_executable *executable);
/* Chooses how this run uses stretches, and records new ones. plain: it may not use any. */
void zm_replay_begin(zm_executable *executable, zm_stream *stream, bool plain);
/* After all has been enqueued: what the run tells of which way is the faster one. */
void zm_replay_end(zm_executable *executable);
/* The stretch that begins with this node, if the run uses them. */
zm_stretch *zm_replay_at(zm_executable *executable, size_t node);
/* The node's launches have been planned anew. */
void zm_replay_planned(zm_executable *executable, size_t node);
/* Enqueues a stretch. False: it can't be now, and its nodes have to be one by one. */
zm_status zm_replay_enqueue(zm_executable *executable, zm_stretch *stretch, bool *done);
void zm_replay_finish(zm_executable *executable);

#endif
