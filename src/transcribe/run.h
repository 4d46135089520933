/* SPDX-License-Identifier: Apache-2.0 */
/* One transcription: all that its windows share. */
#ifndef ZM_SRC_TRANSCRIBE_RUN_H
#define ZM_SRC_TRANSCRIBE_RUN_H

#include <zeromean/transcribe.h>

#include "transcribe/prompt.h"
#include "transcribe/rules.h"
#include "transcribe/transcript.h"

/* The model as decoding sees it: zm_session_encode and zm_session_decode, or a script in tests. */
typedef struct zm_speech_model {
    zm_status (*encode)(void *user, const float *mel);
    zm_status (*decode)(void *user, const int32_t *tokens, uint32_t count, float *logits);
    void *user;
} zm_speech_model;

typedef struct zm_run {
    zm_speech_model model;
    const zm_whisper_info *info;
    const zm_tokenizer *tokenizer;
    const zm_transcribe_params *params;
    zm_token_rules rules;
    zm_prompt prompt;
    int32_t no_speech_token; /* -1 = the tokenizer has none */
    uint32_t token_limit;    /* per window */
    float *mel;              /* [ZM_MEL_FRAMES][mel_bins] */
    float *logits;           /* [vocabulary] */
    zm_transcript_builder transcript;
    size_t told;      /* bytes of its text that the caller has */
    uint64_t reached; /* samples; what the caller was told last */
    double mel_seconds, encode_seconds, decode_seconds;
} zm_run;

/* ZM_ERROR_CANCELLED when the caller wants to stop. samples: how far the work is; the caller is
 * never told less than before. */
zm_status zm_run_progress(zm_run *run, uint64_t samples);

/* Transcribes with any model; zm_transcribe is this with a session's. */
zm_status zm_transcribe_with(const zm_speech_model *model, const zm_whisper_info *info,
                             const zm_tokenizer *tokenizer, const zm_transcribe_params *params,
                             zm_transcript **out);

#endif
