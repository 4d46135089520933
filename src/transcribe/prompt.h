/* SPDX-License-Identifier: Apache-2.0 */
/* The tokens that tell the decoder what to do. */
#ifndef ZM_SRC_TRANSCRIBE_PROMPT_H
#define ZM_SRC_TRANSCRIBE_PROMPT_H

#include <zeromean/model.h>
#include <zeromean/text.h>

/* What a zm_transcribe_params says, in tokens. */
typedef struct zm_prompt {
    int32_t start;
    int32_t language;      /* -1 = none, or not known yet */
    int32_t task;          /* -1 = none */
    int32_t no_timestamps; /* -1 = timestamps wanted */
    bool detect_language;
    char code[8]; /* of the language; "" = none, or not known yet */
} zm_prompt;

/* language: a code, "auto", or NULL = "en". ZM_ERROR_NOT_FOUND: the model has no such language.
 * ZM_ERROR_UNSUPPORTED: to translate with an English-only model. */
zm_status zm_prompt_init(zm_prompt *prompt, const zm_whisper_info *info,
                         const zm_tokenizer *tokenizer, const char *language, bool translate,
                         bool timestamps, const zm_log *log);

/* Takes the most probable language from the logits behind the start token. */
zm_status zm_prompt_detect_language(zm_prompt *prompt, const zm_whisper_info *info,
                                    const zm_tokenizer *tokenizer, const float *logits,
                                    const zm_log *log);

/* The tokens behind the start token; gives their number. */
uint32_t zm_prompt_rest(const zm_prompt *prompt, int32_t tokens[3]);

#endif
