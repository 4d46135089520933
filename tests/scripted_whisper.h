/* SPDX-License-Identifier: Apache-2.0 */
/* A model of speech that says what a script wants, and remembers what it was asked. */
#ifndef ZM_TESTS_SCRIPTED_WHISPER_H
#define ZM_TESTS_SCRIPTED_WHISPER_H

#include "transcribe/run.h"

/* The vocabulary: some text, the end, special tokens, timestamps. */
enum {
    SAY_AND,   /* " And" */
    SAY_SO,    /* " so" */
    SAY_STOP,  /* "." */
    SAY_EURO1, /* the first two bytes of a euro sign */
    SAY_EURO2, /* the third */
    SAY_NUL,   /* a byte 0 */
    SAY_NONE,  /* no token of the tokenizer */
    SAY_TEXTS = 20,
    SAY_END = 20,
    SAY_START,
    SAY_EN,
    SAY_DE,
    SAY_TRANSLATE,
    SAY_TRANSCRIBE,
    SAY_NO_SPEECH = 28,
    SAY_NO_TIMESTAMPS,
    SAY_T0, /* 0.00 s */
    SAY_VOCABULARY = SAY_T0 + 1501,
    SAY_LIMIT = 40, /* tokens of a window */
    SAY_WINDOWS = 8
};

typedef struct scripted_window {
    int32_t tokens[2 * SAY_LIMIT]; /* the end follows */
    size_t count;
    bool no_speech; /* heard none */
    bool unsure;    /* and has little trust in what it says */
} scripted_window;

typedef struct scripted_whisper {
    zm_whisper_info info;
    zm_tokenizer *tokenizer;
    scripted_window script[SAY_WINDOWS];
    int32_t language;       /* what it hears */
    zm_status encode_error; /* to fail with */
    zm_status decode_error;
    bool not_numbers; /* gives NaN */
    uint64_t noise;   /* not 0: random logits from this seed */
    /* what happened */
    size_t windows;
    float *mel[SAY_WINDOWS];
    int32_t asked[SAY_WINDOWS][4 * SAY_LIMIT];
    size_t asked_count[SAY_WINDOWS];
} scripted_whisper;

/* Everything NULL or zero but the description and the tokenizer. */
void scripted_whisper_init(scripted_whisper *self);
void scripted_whisper_finish(scripted_whisper *self);
/* What the next window says: count tokens. */
void scripted_whisper_say(scripted_whisper *self, size_t window, const int32_t *tokens,
                          size_t count);
zm_speech_model scripted_whisper_model(scripted_whisper *self);

#endif
