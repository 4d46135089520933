/* SPDX-License-Identifier: Apache-2.0 */
/* Text from a model of language: prompt in, tokens chosen one by one, text out as it comes. And how
 * well a model predicts a text.
 *
 * Thread-safety: that of the session. */
#ifndef ZEROMEAN_GENERATE_H
#define ZEROMEAN_GENERATE_H

#include <zeromean/session.h>
#include <zeromean/text.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How the next token is chosen from the logits. In this order, of which each step sees what the
 * one before it has left:
 *   1. repeat_penalty: the logit of each token among the last repeat_last ones (prompt included)
 *      is divided by it where it is positive and multiplied by it where not (Keskar et al. 2019);
 *   2. temperature: logits are divided by it. 0: the largest logit is taken, the smallest token of
 *      equals, and nothing below counts;
 *   3. top_k: the k most probable tokens, those of smaller number first among equals;
 *   4. top_p: the fewest of the most probable ones whose probabilities sum to at least p of the sum
 *      (Holtzman et al. 2019);
 *   5. min_p: those at least min_p times as probable as the best one.
 * At least one token always remains. One of them is drawn by PCG32 (O'Neill 2014, XSH-RR, sequence
 * 54) from seed: two numbers for each token at a temperature over 0. Nothing but additions,
 * multiplications, divisions and comparisons in float64 is used, so that the same logits and seed
 * give the same tokens on every platform. */
typedef struct zm_sampling {
    float temperature;    /* >= 0, finite; 0 = greedy */
    uint32_t top_k;       /* 0 = all */
    float top_p;          /* 0 .. 1; 0 = 1 = all */
    float min_p;          /* 0 .. 1; 0 = all */
    float repeat_penalty; /* > 0, finite; 0 = 1 = none */
    uint32_t repeat_last; /* 0 = 64 */
    uint64_t seed;
} zm_sampling;

/* Why a text ends where it does. */
typedef enum zm_stop {
    ZM_STOP_NONE = 0,
    ZM_STOP_END,       /* the model chose a token that ends texts */
    ZM_STOP_STRING,    /* a stop string came */
    ZM_STOP_LENGTH,    /* max_tokens */
    ZM_STOP_CONTEXT,   /* the session takes no more tokens */
    ZM_STOP_CANCELLED, /* by the caller */
    ZM_STOP_COUNT
} zm_stop;

/* "end", "string", "length", "context", "cancelled"; "none" otherwise. Static storage. */
ZM_API const char *zm_stop_name(zm_stop stop);

typedef struct zm_generate_params {
    const int32_t *tokens; /* all that comes before the new text */
    size_t token_count;    /* > 0 */
    uint32_t held;         /* how many of them, from the first on, the session has decoded already;
                              what it has behind them is forgotten. < token_count */
    uint32_t max_tokens;   /* 0 = as many as the session takes */
    bool past_end;         /* tokens that end a text don't */
    const char *const *stops; /* texts to end before, UTF-8, not empty */
    size_t stop_count;
    zm_sampling sampling;
    zm_progress_fn progress; /* while the prompt is decoded, 512 tokens at a time; unit: tokens */
    void *progress_user;
    const zm_log *log;
} zm_generate_params;

typedef struct zm_generation {
    char *text; /* valid UTF-8, NUL-terminated; without the stop string */
    size_t text_size;
    int32_t *tokens; /* all that were chosen, but for the one that ended the text */
    size_t token_count;
    zm_stop stop;
    uint32_t held; /* of the prompt's tokens and these the first ones, that the session has decoded:
                      for the next call */
    uint64_t seed; /* whose random numbers are those behind the ones that were drawn: for a next
                      call that goes on with them */
    uint32_t prompt_tokens;  /* that were decoded, without those held before */
    uint32_t decoded_tokens; /* behind them, one by one */
    /* Wall time. The prompt's ends with the first logits. */
    double prompt_seconds, decode_seconds;
} zm_generation;

/* Called with each piece of text as soon as it is certain, valid UTF-8, never empty: no character
 * is cut, and nothing that may be the beginning of a stop string is shown. All pieces joined are
 * the text. Return false to cancel. */
typedef bool (*zm_text_fn)(void *user, const char *utf8, size_t size);

/* text may be NULL. Bytes that are no UTF-8 become U+FFFD; special tokens have no text. Free *out
 * with zm_generation_destroy. *out is set also with ZM_ERROR_CANCELLED, when text, progress or the
 * session's go_on wanted an end: it has what was there until then.
 * ZM_ERROR_INVALID_ARGUMENT; ZM_ERROR_LIMIT: the session takes no more than the prompt, or less;
 * ZM_ERROR_DEVICE: logits that are no finite numbers; ZM_ERROR_OUT_OF_MEMORY; the errors of the
 * session. */
ZM_API zm_status zm_generate(zm_session *session, const zm_tokenizer *tokenizer,
                             const zm_generate_params *params, zm_text_fn text, void *user,
                             zm_generation **out);
ZM_API void zm_generation_destroy(zm_generation **generation);

/* zm_generate for count texts at once, params[i], users[i] and out[i] of each: the session's
 * sequences 0 .. count - 1. Their tokens go through the model together, so that it reads its
 * weights once for all of them; each has its own random numbers, and gets what zm_generate gives
 * it, as far as rounding lets (zm_session_step). A text that has ended leaves the others; one that
 * is cancelled ends all. log and progress are those of params[0]; prompt_seconds is that of all.
 * users may be NULL where text is. Errors as zm_generate, and ZM_ERROR_LIMIT: more texts than the
 * session has sequences; all of out are set, or none. */
ZM_API zm_status zm_generate_batch(zm_session *session, const zm_tokenizer *tokenizer,
                                   const zm_generate_params *params, uint32_t count,
                                   zm_text_fn text, void *const *users, zm_generation **out);

typedef struct zm_perplexity_params {
    const int32_t *tokens;   /* of the text */
    size_t token_count;      /* > 1 */
    uint32_t window;         /* tokens, >= 2, at most what the session takes; 0 = that, or 512 */
    zm_progress_fn progress; /* unit: tokens */
    void *progress_user;
    const zm_log *log;
} zm_perplexity_params;

typedef struct zm_perplexity_result {
    double perplexity;    /* exp(mean) */
    double mean;          /* of -log p(token | those before it in its window), natural */
    double deviation;     /* standard deviation of that mean */
    uint64_t token_count; /* that were predicted */
    uint32_t window;
    uint64_t window_count;
    double seconds;
} zm_perplexity_result;

/* Cuts the tokens into windows one behind the other, the last one shorter, and has each token but
 * the first of its window predicted. A window of one token is left out. Uses the session's sequence
 * 0, as many tokens at a time as a run gives logits of (zm_session_params.logits): one by one is
 * many times slower than, say, 128 at once. That many rows of float32 logits are held, too.
 * ZM_ERROR_INVALID_ARGUMENT, ZM_ERROR_DEVICE, ZM_ERROR_CANCELLED, ZM_ERROR_OUT_OF_MEMORY; the
 * errors of the session. */
ZM_API zm_status zm_perplexity(zm_session *session, const zm_perplexity_params *params,
                               zm_perplexity_result *out);

#ifdef __cplusplus
}
#endif
#endif
