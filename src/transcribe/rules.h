/* SPDX-License-Identifier: Apache-2.0 */
/* Which token may come next: the rules of greedy decoding in the reference implementation of
 * Whisper, as pure functions of the logits and the tokens so far. */
#ifndef ZM_SRC_TRANSCRIBE_RULES_H
#define ZM_SRC_TRANSCRIBE_RULES_H

#include <zeromean/model.h>

enum {
    ZM_TIMESTAMPS = 1501,       /* 0.00 s to 30.00 s */
    ZM_TIMESTAMP_SAMPLES = 320, /* 20 ms */
    ZM_TIMESTAMP_FIRST_MAX = 50 /* a window begins to speak within 1.0 s */
};

/* Borrows the lists of the model. Tokens are laid out as in every Whisper vocabulary: text, end,
 * special tokens, timestamps. */
typedef struct zm_token_rules {
    uint32_t vocabulary;
    int32_t end, first_timestamp;
    bool timestamps; /* false: none may come */
    const int32_t *suppress;
    size_t suppress_count;
    const int32_t *begin_suppress;
    size_t begin_suppress_count;
} zm_token_rules;

/* ZM_ERROR_BAD_FORMAT: the tokens are not in that order, or not in the vocabulary. */
zm_status zm_token_rules_init(zm_token_rules *rules, const zm_whisper_info *info, bool timestamps,
                              const zm_log *log);

/* Sets the logits of all tokens that must not follow tokens[count] to minus infinity. tokens are
 * those of the window after the prompt.
 *
 * Always: the suppressed ones and the special ones but the end; at the beginning, those suppressed
 * there. With timestamps: a window begins with one of at most 1.0 s; text ends with two, the end
 * of its segment and the beginning of the next, or with one before the end of the window; they
 * never decrease and a segment is not empty; and one must come when all of them together are more
 * probable than the best text token. */
void zm_token_rules_apply(const zm_token_rules *rules, const int32_t *tokens, size_t count,
                          float *logits);

/* The largest logit, the first one of equals; -1 where none is over minus infinity (or all are
 * NaN). */
int32_t zm_token_best(const float *logits, uint32_t count);

/* log softmax(logits)[token] */
double zm_token_log_probability(const float *logits, uint32_t count, int32_t token);

/* Whether the text is caught in a loop: its last tokens are one phrase of up to 40 tokens, five
 * times or more and 24 tokens or more. */
bool zm_tokens_loop(const int32_t *text, size_t count);

#endif
