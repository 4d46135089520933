/* SPDX-License-Identifier: Apache-2.0 */
#include "session/weight_pieces.h"

#include <stdlib.h>

#include "common/alloc.h"
#include "common/quant.h"

/* Threads beyond these wait for memory. */
#define MOST_THREADS 4u
/* Of a piece: enough rows for a panel, bytes that stay in a cache. */
#define STEP_ROWS 32u
#define PIECE_BYTES (UINT64_C(96) << 10)

/* ---- threads and their room ---- */

zm_status zm_weight_crew_init(zm_weight_crew *crew)
{
    uint32_t threads = zm_processor_count();
    zm_status status = zm_pool_create(threads < MOST_THREADS ? threads : MOST_THREADS, &crew->pool);
    if (status != ZM_OK)
        return status;
    zm_mutex_init(&crew->mutex);
    crew->idle = NULL;
    crew->made = true;
    return ZM_OK;
}

static void room_free(zm_weight_room *room)
{
    free(room->raw);
    free(room->real);
    free(room);
}

void zm_weight_crew_finish(zm_weight_crew *crew)
{
    if (!crew->made)
        return;
    zm_pool_destroy(&crew->pool);
    for (zm_weight_room *room = crew->idle, *next; room; room = next) {
        next = room->next;
        room_free(room);
    }
    zm_mutex_finish(&crew->mutex);
    *crew = (zm_weight_crew){0};
}

zm_weight_room *zm_weight_room_take(zm_weight_crew *crew)
{
    zm_mutex_lock(&crew->mutex);
    zm_weight_room *room = crew->idle;
    crew->idle = room ? room->next : NULL;
    zm_mutex_unlock(&crew->mutex);
    if (room)
        return room;
    room = zm_calloc(1, sizeof(*room));
    if (!room)
        return NULL;
    room->raw = malloc(ZM_WEIGHT_ROOM);
    room->real = malloc(ZM_WEIGHT_ROOM);
    if (room->raw && room->real)
        return room;
    room_free(room);
    return NULL;
}

void zm_weight_room_give(zm_weight_crew *crew, zm_weight_room *room)
{
    zm_mutex_lock(&crew->mutex);
    room->next = crew->idle;
    crew->idle = room;
    zm_mutex_unlock(&crew->mutex);
}

/* ---- one piece ---- */

static bool is_quantised(zm_dtype type)
{
    return zm_dtype_block_length(type) > 1;
}

static bool all_finite(const void *values, zm_dtype type, uint64_t count)
{
    uint64_t bad = 0;
    if (is_quantised(type))
        return zm_quant_is_finite(values, type, count);
    if (type == ZM_F16) {
        const uint16_t *bits = values;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & 0x7c00u) == 0x7c00u;
    } else if (type == ZM_F32) {
        const uint32_t *bits = values;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & 0x7f800000u) == 0x7f800000u;
    } else {
        const uint64_t *bits = values, mask = UINT64_C(0x7ff) << 52;
        for (uint64_t i = 0; i < count; i++)
            bad |= (bits[i] & mask) == mask;
    }
    return !bad;
}

static void fold_rows(const zm_norm_fold *fold, uint64_t first, const void *values, zm_dtype type,
                      uint64_t rows, uint64_t k, zm_weight_room *room)
{
    if (is_quantised(type)) {
        zm_quant_decode(room->real, values, type, rows * k);
        values = room->real;
        type = ZM_F32;
    }
    zm_norm_fold_rows(fold, first, values, type, rows, k);
}

/* Rows from one of the target on. room: NULL where none is needed. */
static zm_status rows_do(const zm_weight_pieces *pieces, const zm_weight_source *source,
                         uint64_t row, uint64_t end, uint64_t first, zm_weight_room *room)
{
    zm_dtype type = pieces->target->tensor.dtype;
    for (uint64_t rows; row < end; row += rows, first += rows) {
        rows = end - row;
        const void *values =
            pieces->gain ? zm_weight_fetch_scaled(room->raw, room->real, source, row, &rows,
                                                  pieces->gain + first, type)
                         : zm_weight_fetch(room ? room->raw : NULL, room ? room->real : NULL,
                                           source, row, &rows, type);
        if (!all_finite(values, type, rows * source->k))
            return ZM_ERROR_BAD_FORMAT;
        if (pieces->fold)
            fold_rows(pieces->fold, first, values, type, rows, source->k, room);
        zm_status status = pieces->target->memory
                               ? zm_weight_target_pack(pieces->target, first, values, rows)
                               : ZM_OK;
        if (status != ZM_OK)
            return status;
    }
    return ZM_OK;
}

static zm_status piece_do(const zm_weight_pieces *pieces, zm_weight_crew *crew, uint64_t piece)
{
    uint64_t row, rows, first = 0;
    const zm_weight_source *source = zm_weight_piece_get(pieces, piece, &row, &rows);
    zm_dtype type = pieces->target->tensor.dtype;
    for (const zm_weight_source *before = pieces->sources; before < source; before++)
        first += before->n;
    if (pieces->target->memory)
        zm_weight_target_expect(pieces->target, first + row, rows);
    if (zm_weight_is_plain(source, type) && !pieces->gain && !(pieces->fold && is_quantised(type)))
        return rows_do(pieces, source, row, row + rows, first + row, NULL);
    zm_weight_room *room = zm_weight_room_take(crew);
    if (!room)
        return ZM_ERROR_OUT_OF_MEMORY;
    zm_status status = rows_do(pieces, source, row, row + rows, first + row, room);
    zm_weight_room_give(crew, room);
    return status;
}

/* ---- all of them ---- */

static uint64_t pieces_of(const zm_weight_pieces *pieces, const zm_weight_source *source)
{
    return (source->n + pieces->rows - 1) / pieces->rows;
}

/* Bytes of a row in the widest type that it goes through, float32 where blocks are decoded. */
static uint64_t widest_row(const zm_weight_pieces *pieces)
{
    uint64_t widest = sizeof(float), type = zm_dtype_size(pieces->target->tensor.dtype);
    widest = type > widest ? type : widest;
    widest = pieces->gain ? sizeof(double) : widest;
    for (uint32_t i = 0; i < pieces->source_count; i++) {
        uint64_t size = zm_dtype_size(pieces->sources[i].dtype);
        widest = size > widest ? size : widest;
    }
    return widest * pieces->sources->k;
}

bool zm_weight_pieces_cut(zm_weight_pieces *pieces)
{
    uint64_t row = widest_row(pieces), most = ZM_WEIGHT_ROOM / row;
    uint64_t rows = PIECE_BYTES / row / STEP_ROWS * STEP_ROWS;
    if (rows == 0)
        rows = STEP_ROWS;
    pieces->rows = rows < most ? rows : most;
    pieces->count = 0;
    for (uint32_t i = 0; i < pieces->source_count && most > 0; i++)
        pieces->count += pieces_of(pieces, &pieces->sources[i]);
    return most > 0;
}

const zm_weight_source *zm_weight_piece_get(const zm_weight_pieces *pieces, uint64_t piece,
                                            uint64_t *row, uint64_t *rows)
{
    const zm_weight_source *source = pieces->sources;
    for (; piece >= pieces_of(pieces, source); source++)
        piece -= pieces_of(pieces, source);
    *row = piece * pieces->rows;
    *rows = source->n - *row < pieces->rows ? source->n - *row : pieces->rows;
    return source;
}

typedef struct job {
    const zm_weight_pieces *pieces;
    zm_weight_crew *crew;
    uint64_t first;
    uint64_t failed; /* with the status: under the crew's mutex */
    zm_status status;
} job;

static void do_some(void *user, size_t begin, size_t end)
{
    job *j = user;
    for (uint64_t piece = j->first + begin; piece < j->first + end; piece++) {
        zm_status status = piece_do(j->pieces, j->crew, piece);
        if (status == ZM_OK)
            continue;
        zm_mutex_lock(&j->crew->mutex);
        if (j->status == ZM_OK || piece < j->failed) {
            j->failed = piece;
            j->status = status;
        }
        zm_mutex_unlock(&j->crew->mutex);
        return;
    }
}

zm_status zm_weight_pieces_do(const zm_weight_pieces *pieces, zm_weight_crew *crew, uint64_t first,
                              uint64_t count, uint64_t *failed)
{
    job j = {.pieces = pieces, .crew = crew, .first = first};
    zm_pool_run(crew->pool, (size_t)count, do_some, &j);
    *failed = j.failed;
    return j.status;
}
