/* SPDX-License-Identifier: Apache-2.0 */
/* One text on its way to tokens: what the steps and the models need meanwhile. */
#ifndef ZM_SRC_TEXT_ENCODER_H
#define ZM_SRC_TEXT_ENCODER_H

#include "text/tokenizer.h"

typedef struct zm_piece {
    const char *text; /* valid UTF-8 */
    size_t size;
    bool first; /* it begins where all of the text begins */
} zm_piece;

/* A token or character of a word that is being merged. */
typedef struct zm_symbol {
    int32_t id;
    uint32_t size;           /* in bytes; 0 = merged into the one before it */
    uint32_t previous, next; /* UINT32_MAX = none */
} zm_symbol;

typedef struct zm_merge {
    uint32_t rank, position;
    int32_t id;
} zm_merge;

/* The best way to the end of some bytes. */
typedef struct zm_best {
    double score;
    uint32_t begin; /* of the last token; UINT32_MAX = there is no way */
    int32_t id;
} zm_best;

typedef struct zm_encoder {
    const zm_tokenizer *tokenizer;
    bool literal;
    const char *problem; /* of the failure, when it has a word of its own */
    zm_matcher *matcher;
    zm_text_buffer buffers[ZM_STEPS_MAX]; /* what each step writes */
    zm_text_buffer *output;               /* where the pieces go; NULL: to the model */
    size_t end;                           /* the first step that is not run */
    int32_t *ids;
    size_t count, capacity;
    zm_symbol *symbols;
    size_t symbol_count, symbol_capacity;
    zm_merge *heap;
    size_t heap_count, heap_capacity;
    zm_best *best;
    size_t best_capacity;
    zm_match *pieces; /* of the way that was found, the last one first */
    size_t piece_capacity;
} zm_encoder;

/* Frees what is in it. */
void zm_encoder_clear(zm_encoder *encoder);
zm_status zm_encoder_push(zm_encoder *encoder, int32_t id);
/* Runs the steps begin .. encoder->end - 1 on the piece. */
zm_status zm_steps_run(zm_encoder *encoder, size_t begin, zm_piece piece);
/* Cuts out the added tokens. */
zm_status zm_added_run(zm_encoder *encoder, size_t step, zm_piece piece);

/* The models: text that is not empty to tokens. */
zm_status zm_bpe_encode(zm_encoder *encoder, const char *text, size_t size);
zm_status zm_unigram_encode(zm_encoder *encoder, const char *text, size_t size);

#endif
