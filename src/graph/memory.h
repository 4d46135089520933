/* SPDX-License-Identifier: Apache-2.0 */
/* Where inner tensors lie: as close together as their lifetimes allow. */
#ifndef ZM_SRC_GRAPH_MEMORY_H
#define ZM_SRC_GRAPH_MEMORY_H

#include "graph/graph.h"

/* Of every tensor, in bytes: more than any vector or cache line. */
#define ZM_PLACE_ALIGNMENT 128

typedef struct zm_place {
    uint64_t bytes;       /* 0 = no node uses it, or it is no inner tensor */
    uint32_t first, last; /* nodes */
    uint32_t holder;      /* the value whose place it takes; mostly its own index */
    uint32_t arena;
    uint64_t offset; /* bytes */
} zm_place;

typedef struct zm_memory {
    zm_place *places; /* per value */
    size_t arena_count;
    uint64_t *arenas; /* bytes */
    uint64_t total, least;
    uint32_t in_place; /* tensors that take the place of another one */
} zm_memory;

/* No arena is over most bytes. */
zm_status zm_memory_plan(const zm_graph *graph, bool in_place, uint64_t most, zm_memory *out);
void zm_memory_finish(zm_memory *memory);

#endif
