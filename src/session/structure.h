/* SPDX-License-Identifier: Apache-2.0 */
/* A network without memory, to see what it does with its main branch. */
#ifndef ZM_SRC_SESSION_STRUCTURE_H
#define ZM_SRC_SESSION_STRUCTURE_H

#include <zeromean/block.h>
#include <zeromean/session.h>

#include "common/log.h"
#include "model/text.h"
#include "session/network.h"

#define ZM_STRUCTURE_NAME (3 * (ZM_TEXT_NAME + 8) + 3)

typedef struct zm_structure {
    const zm_model *model;
    const zm_log *log;
    zm_graph *graph;
    bool *seen; /* of the model's tensors */
} zm_structure;

/* Roots of names: of one tensor, or of those that lie one below the other in one. */
typedef struct zm_structure_names {
    char root[3][ZM_TEXT_NAME];
    uint32_t count;
} zm_structure_names;

/* Externs of the graph; cols 0: a vector. Linears and norms have the weight and the bias that the
 * model has under those names. */
zm_tensor zm_structure_tensor(zm_structure *s, const char *name, zm_dtype dtype, uint32_t rows,
                              uint32_t cols);
zm_linear zm_structure_linear(zm_structure *s, const zm_structure_names *names, uint32_t n,
                              uint32_t k);
zm_norm_weights zm_structure_norm(zm_structure *s, const zm_structure_names *names, uint32_t d);

/* gain: NAME of what its outputs are multiplied by; NULL = none. */
zm_linear zm_structure_writer(zm_structure *s, const zm_structure_names *names, const char *gain,
                              uint32_t d, uint32_t k);
/* Of the self-attention of a layer, for one sequence. */
zm_kv_cache zm_structure_cache(zm_structure *s, uint32_t layer, uint32_t heads, uint32_t width,
                               uint32_t positions);

/* A decoder of one sequence, with no memory either. */
void zm_structure_decoding(zm_structure *s, zm_network *network, uint32_t vocabulary,
                           uint32_t positions);

/* Holds the graph's main branch against the model's table. Destroys the graph. */
zm_status zm_structure_trace(zm_structure *s, const char *start);

/* Of an architecture: builds its graphs and traces them. */
zm_status zm_text_check_structure(zm_structure *s);
zm_status zm_whisper_check_structure(zm_structure *s);
zm_status zm_vision_check_structure(zm_structure *s);

/* The norm of what runs behind the conversion of a model, which its graphs are traced with. */
zm_norm zm_structure_norm_kind(const zm_structure *s);

#endif
