/* SPDX-License-Identifier: Apache-2.0 */
/* What the decoders of all models have in common: new tokens of some sequences go behind those that
 * the caches hold, and the logits of the last ones come out.
 *
 *   rows of a run:   sequence 0   | sequence 2          |         as many as each has
 *   starts:          0              3              3    9         [sequences + 1] */
#ifndef ZM_SRC_SESSION_DECODING_H
#define ZM_SRC_SESSION_DECODING_H

#include <zeromean/block.h>
#include <zeromean/session.h>

typedef struct zm_network zm_network;

typedef struct zm_decoding {
    uint32_t batch;      /* rows of a run, at most */
    uint32_t *positions; /* tokens that are there, of each sequence */
    /* What a run is about, in one buffer of the first device, and how it is filled. */
    zm_tensor numbers;
    int32_t *values;
    zm_tensor tokens, places;          /* [batch] I32: the new ones, and their positions */
    zm_tensor starts, firsts, lengths; /* of sequences: rows, positions before them and with them */
    zm_tensor asked;                   /* [info.logits] I32: the rows whose logits are wanted */
    zm_tensor logits;                  /* [info.logits][vocabulary] */
    zm_pipeline *pipeline;
    zm_size count, length, rows, answers; /* length and rows: the most of a sequence */
} zm_decoding;

/* Room for the rows of a run on the first device, and for logits on the last one. The network's
 * info says how many sequences and logits; a run takes fewer rows than `most`, and gives fewer
 * logits, where a device has no buffer for so many. width: of the widest tensor with a row for each
 * token. */
zm_status zm_decoding_create(zm_network *network, uint32_t most, uint64_t width);
void zm_decoding_finish(zm_decoding *decoding);

/* The sizes of a run. */
void zm_decoding_begin(zm_network *network, zm_graph *graph);
/* The rows of a table of positions that a run takes. */
zm_tensor zm_decoding_positions(const zm_network *network, zm_graph *graph, zm_tensor table,
                                uint32_t d);
/* Which rows of a self-attention are whose, and where they go. */
void zm_decoding_attend(const zm_network *network, zm_block_attention *attention);
/* The norm and the head of the rows of x, [count][d], that are asked for. block: one of the
 * decoder's, whose kind of norm it is. */
void zm_decoding_end(zm_network *network, zm_graph *graph, const zm_block *block,
                     const zm_norm_weights *norm, const zm_linear *head, zm_tensor x);

/* As zm_session_step and zm_session_rewind. */
zm_status zm_decoding_run(zm_network *network, const zm_step *steps, uint32_t count);
zm_status zm_decoding_rewind(zm_network *network, uint32_t sequence, uint32_t position);

#endif
