/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a tokenizer.json. */
#ifndef ZM_SRC_TEXT_HUGGINGFACE_H
#define ZM_SRC_TEXT_HUGGINGFACE_H

#include "format/json.h"
#include "text/tokenizer.h"

/* A whole one. name: of the file, for messages. */
zm_status zm_huggingface_read(const json_t *root, const char *name, const zm_log *log,
                              zm_tokenizer **out);
/* Fills tokenizer->spelling. ZM_ERROR_UNSUPPORTED for a decoder that is not known. */
zm_status zm_huggingface_decoder(const zm_token_reader *in, const json_t *root);
/* Adds the steps: normalizer, pre-tokenizer and the searches for added tokens around them. */
zm_status zm_huggingface_steps(const zm_token_reader *in, const json_t *root);
/* The tokens around a text. */
zm_status zm_huggingface_frame(const zm_token_reader *in, const json_t *root);

#endif
