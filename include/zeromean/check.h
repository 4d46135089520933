/* SPDX-License-Identifier: Apache-2.0 */
/* Is a converted model the same function as its original? Runs both on the same input and compares
 * the main branch after every layer (up to its mean, which a model of LayerNorm never reads), the
 * outputs and the greedy tokens. */
#ifndef ZEROMEAN_CHECK_H
#define ZEROMEAN_CHECK_H

#include <zeromean/session.h>

/* What rounding may do, in relative L2 of the outputs, where weights or arithmetic are float32; and
 * where both are float64 throughout. */
#define ZM_CHECK_F32_BUDGET 1e-5
#define ZM_CHECK_F64_BUDGET 1e-12

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zm_check_row {
    char what[32]; /* as in zm_observation */
    uint32_t layer;
    double relative_l2; /* |a - b| / |a|; infinity where it cannot be formed (NaN) */
    double max_abs;
    double mean_a, mean_b; /* root mean square of the means of all rows: 0 where a model has been
                              converted */
    double rms_a, rms_b;   /* root mean square of all values */
    uint32_t channel;      /* the column that differs most, ... */
    double channel_rms;    /* ... and the root mean square of a - b in it */
} zm_check_row;

typedef enum zm_verdict {
    ZM_VERDICT_DIFFERENT = 0, /* over the tolerance, or other tokens */
    ZM_VERDICT_TOLERATED,     /* over the budget of float32, but within the tolerance */
    ZM_VERDICT_F32,           /* the same function, up to the rounding of float32 */
    ZM_VERDICT_F64            /* ... of float64 */
} zm_verdict;

/* "different", "tolerated", "float32", "float64". Static storage. */
ZM_API const char *zm_verdict_name(zm_verdict verdict);

typedef struct zm_check_params {
    const zm_model *a, *b;     /* same architecture and hyper-parameters; a is the truth */
    zm_device *device_a;       /* where a runs */
    zm_device *device_b;       /* where b runs; NULL = where a does */
    zm_split split_a, split_b; /* on more devices than these */
    const float *mel; /* Whisper: [2 * encoder_positions][mel_bins]; NULL = a fixed synthetic one */
    const int32_t *prompt; /* text: tokens that come first; NULL = fixed ones */
    uint32_t prompt_count;
    uint32_t tokens;  /* greedy tokens to compare; 0 = 32; as many as the decoder has room for */
    double tolerance; /* relative L2 of the final outputs; 0 = ZM_CHECK_F32_BUDGET */
    const zm_log *log;
    zm_progress_fn progress; /* unit: steps; called several times in each, to be able to stop */
    void *progress_user;
} zm_check_params;

typedef struct zm_check_report {
    zm_check_row *rows; /* layers, then "encoder.output", of models that have it, and "logits" */
    size_t row_count;
    double final_relative_l2;      /* the larger one of encoder.output and logits: of these the step
                                      that differs most, against the mean norm of all steps */
    uint32_t tokens, tokens_equal; /* tokens_equal: length of the common beginning */
    uint32_t top;                  /* 5, or the vocabulary */
    double top_agreement;          /* how many of a's top tokens are b's, as a mean: 0 .. 1 */
    /* Text, where the prompt was given and has at least two tokens: of the prompt, in one window. 0
     * else. */
    double perplexity_a, perplexity_b;
    double perplexity_change; /* mean of -log p of b's, less that of a's */
    double tolerance;         /* that was held against */
    bool equal;               /* within the tolerance and all tokens equal */
    zm_verdict verdict;
} zm_check_report;

/* ZM_OK also when they differ: see report->equal. Free with zm_check_report_destroy. */
ZM_API zm_status zm_check(const zm_check_params *params, zm_check_report **out);
ZM_API void zm_check_report_destroy(zm_check_report **report);

#ifdef __cplusplus
}
#endif
#endif
