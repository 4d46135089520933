/* SPDX-License-Identifier: Apache-2.0 */
/* Where a tokenizer comes from, and what files beside its vocabulary say about texts. */
#ifndef ZM_SRC_TEXT_SOURCES_H
#define ZM_SRC_TEXT_SOURCES_H

#include "text/tokenizer.h"

/* A tokenizer.json. */
zm_status zm_huggingface_open(const char *path, const zm_log *log, zm_tokenizer **out);
/* The metadata of a model that is a GGUF file. */
zm_status zm_gguf_tokenizer_read(const zm_model *model, const zm_log *log, zm_tokenizer **out);
/* What generation_config.json, config.json, tokenizer_config.json and chat_template.jinja in
 * `directory` say, those of them that are there. */
zm_status zm_ending_read_directory(zm_tokenizer *tokenizer, const char *directory,
                                   const zm_log *log);
/* What is no token is left out, and so is what is there already. */
void zm_ending_add(zm_tokenizer *tokenizer, int64_t id);
/* Special tokens that end a text in every vocabulary that has them. */
void zm_ending_add_known(zm_tokenizer *tokenizer);

#endif
