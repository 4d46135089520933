/* SPDX-License-Identifier: Apache-2.0 */
/* A tokenizer from one format to the other. What comes out is read again and compared with what
 * went in, step by step and token by token: what the other format can't say is refused. */
#ifndef ZM_SRC_TEXT_EXCHANGE_H
#define ZM_SRC_TEXT_EXCHANGE_H

#include "format/json.h"
#include "format/metadata_list.h"
#include "text/tokenizer.h"

/* Appends the tokenizer of a model directory as tokenizer.* of GGUF, with the tokens that end a
 * text and the chat template. vocabulary: rows of the model's token table; tokens that the
 * tokenizer does not have are unused ones. ZM_ERROR_UNSUPPORTED: it can't be said in GGUF. */
zm_status zm_tokenizer_to_gguf(const char *directory, uint32_t vocabulary, const zm_log *log,
                               zm_metadata_list *out);

/* The files of a model directory. json_decref each. */
typedef struct zm_tokenizer_files {
    json_t *tokenizer;  /* tokenizer.json */
    json_t *config;     /* tokenizer_config.json */
    json_t *bos, *ends; /* for config.json: ids, or lists of them; NULL: there is none */
    json_t *padding;
} zm_tokenizer_files;

/* Of a model that is a GGUF file. ZM_ERROR_NOT_FOUND, without a word in the log: it has no
 * tokenizer. ZM_ERROR_UNSUPPORTED: a tokenizer.json can't say it. */
zm_status zm_tokenizer_to_files(const zm_model *model, const zm_log *log, zm_tokenizer_files *out);
void zm_tokenizer_files_clear(zm_tokenizer_files *files);

/* ---- for its own files ---- */

typedef struct zm_merge_pair {
    uint32_t rank, left, right, id;
} zm_merge_pair;

/* All merges in order of rank; of one rank, in order of tokens. Free with free(). */
zm_status zm_merge_list(const zm_token_reader *in, zm_merge_pair **out, size_t *count);

/* Do both do the same with every text? Tokens that `json` lacks don't count. NULL, or what differs,
 * in static storage. */
const char *zm_tokenizer_difference(const zm_tokenizer *json, const zm_tokenizer *gguf);
/* Of their steps alone. */
bool zm_steps_equal(const zm_tokenizer *json, const zm_tokenizer *gguf);

#endif
