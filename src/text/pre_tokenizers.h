/* SPDX-License-Identifier: Apache-2.0 */
/* What is in front of the model of a byte-level BPE, by the names that GGUF files give it. The
 * steps are those of the tokenizer.json of the model that the name is of. */
#ifndef ZM_SRC_TEXT_PRE_TOKENIZERS_H
#define ZM_SRC_TEXT_PRE_TOKENIZERS_H

#include "text/tokenizer.h"

typedef struct zm_pre_tokenizer {
    const char *names[5]; /* the first one is that to write */
    bool nfc, whole_words, digits, gpt2, falcon;
    const char *pattern; /* of the words; NULL: those of GPT-2 */
} zm_pre_tokenizer;

/* NULL behind the last one. */
const zm_pre_tokenizer *zm_pre_tokenizer_get(size_t index);
/* NULL where the name is not known. */
const zm_pre_tokenizer *zm_pre_tokenizer_find(const char *name);
/* Adds the steps behind the search for added tokens, and sets whole_words. */
zm_status zm_pre_tokenizer_steps(const zm_token_reader *in, const zm_pre_tokenizer *pre);

#endif
