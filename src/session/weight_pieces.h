/* SPDX-License-Identifier: Apache-2.0 */
/* Weights on their way into a target, in pieces that several threads work on: of each piece values
 * are looked at, folded and packed while they are in a core's cache. */
#ifndef ZM_SRC_SESSION_WEIGHT_PIECES_H
#define ZM_SRC_SESSION_WEIGHT_PIECES_H

#include "common/pool.h"
#include "common/thread.h"
#include "session/fold.h"
#include "session/weight_source.h"
#include "session/weight_target.h"

#define ZM_WEIGHT_ROOM (UINT64_C(1) << 20)

/* Room for a piece that is converted: as it is in the file, and converted. */
typedef struct zm_weight_room {
    struct zm_weight_room *next;
    void *raw, *real; /* ZM_WEIGHT_ROOM bytes each */
} zm_weight_room;

/* Threads that end with it, and their room. */
typedef struct zm_weight_crew {
    zm_pool *pool;
    zm_mutex mutex;
    zm_weight_room *idle;
    bool made;
} zm_weight_crew;

zm_status zm_weight_crew_init(zm_weight_crew *crew);
/* Tolerates one that was not made. */
void zm_weight_crew_finish(zm_weight_crew *crew);
/* NULL: out of memory. */
zm_weight_room *zm_weight_room_take(zm_weight_crew *crew);
void zm_weight_room_give(zm_weight_crew *crew, zm_weight_room *room);

typedef struct zm_weight_pieces {
    const zm_weight_source *sources; /* one below the other */
    uint32_t source_count;
    const double *gain;             /* of the target's rows; NULL = 1 */
    const zm_norm_fold *fold;       /* NULL = they read no such norm */
    const zm_weight_target *target; /* without memory: values are only looked at and folded */
    uint64_t rows;                  /* of a piece; the last one of a source has fewer */
    uint64_t count;                 /* of pieces */
} zm_weight_pieces;

/* Sets rows and count. False: there is no room for a row. */
bool zm_weight_pieces_cut(zm_weight_pieces *pieces);
/* Whose rows a piece has, from which of them on, and how many. */
const zm_weight_source *zm_weight_piece_get(const zm_weight_pieces *pieces, uint64_t piece,
                                            uint64_t *row, uint64_t *rows);
/* Does the pieces first .. first+count-1. *failed: the first of those that could not be done;
 * ZM_ERROR_BAD_FORMAT = it has NaN or infinity. Logs nothing. */
zm_status zm_weight_pieces_do(const zm_weight_pieces *pieces, zm_weight_crew *crew, uint64_t first,
                              uint64_t count, uint64_t *failed);

#endif
