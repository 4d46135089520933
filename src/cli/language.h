/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share that run models of language. */
#ifndef ZM_SRC_CLI_LANGUAGE_H
#define ZM_SRC_CLI_LANGUAGE_H

#include <jansson.h>
#include <zeromean/generate.h>

#include "cli/device.h"
#include "cli/split.h"

typedef struct zm_cli_language {
    const char *device_specs, *split, *kernels; /* what the command line says */
    uint32_t norm;                              /* 1 = rms */
    uint32_t context;           /* tokens to have room for; 0 = the session's default */
    uint32_t sequences, logits; /* as zm_session_params */
    zm_model *model;
    zm_tokenizer *tokenizer;
    zm_cli_drivers drivers;
    zm_cli_split devices;
    zm_session *session;
    double load_seconds; /* opening all of it */
} zm_cli_language;

#define ZM_CLI_LANGUAGE_OPTIONS(language)                                                    \
    {"context",    'c',                                                                      \
     "N",          "room for N tokens (default: the model's, at most 4096)",                 \
     ZM_CLI_COUNT, &(language)->context},                                                    \
        {"device",    'd',                                                                   \
         "DEVICE",    "where to compute, or these, with commas",                             \
         ZM_CLI_TEXT, &(language)->device_specs},                                            \
        ZM_CLI_SPLIT_OPTION(&(language)->split), ZM_CLI_KERNEL_OPTION(&(language)->kernels), \
        ZM_CLI_NORM_OPTION(&(language)->norm)

#define ZM_CLI_LANGUAGE_HELP                                                            \
    "MODEL is a GGUF file, or a model directory with config.json, tokenizer.json and\n" \
    "model.safetensors.\n"

/* Sampling on a command line. */
typedef struct zm_cli_sampling {
    double temperature, top_p, min_p, repeat_penalty;
    uint32_t top_k, repeat_last;
    uint64_t seed;
} zm_cli_sampling;

#define ZM_CLI_SAMPLING_OPTIONS(s)                                                                 \
    {"temp",        0,                                                                             \
     "T",           "temperature; 0 = always the most probable token (default)",                   \
     ZM_CLI_AMOUNT, &(s)->temperature},                                                            \
        {"top-k", 0, "K", "only the K most probable tokens", ZM_CLI_COUNT, &(s)->top_k},           \
        {"top-p",      0,          "P", "only the most probable ones that make up P of 1",         \
         ZM_CLI_SHARE, &(s)->top_p},                                                               \
        {"min-p",         0,          "P", "only those at least P times as probable as the best",  \
         ZM_CLI_FRACTION, &(s)->min_p},                                                            \
        {"repeat-penalty",                                                                         \
         0,                                                                                        \
         "R",                                                                                      \
         "make tokens that were there less probable; 1 = don't",                                   \
         ZM_CLI_REAL,                                                                              \
         &(s)->repeat_penalty},                                                                    \
        {"repeat-last",    0, "N", "... the last N of them (default: 64)", ZM_CLI_COUNT,           \
         &(s)->repeat_last},                                                                       \
    {                                                                                              \
        "seed", 0, "S", "of the random numbers (default 0: the same text each time)", ZM_CLI_SEED, \
            &(s)->seed                                                                             \
    }

zm_sampling zm_cli_sampling_get(const zm_cli_sampling *sampling);

/* Opens the model; that can fail fast. A model of speech is refused. */
zm_cli_exit zm_cli_language_open(zm_cli_language *language, const char *path);
/* Opens devices and session; says which devices unless quiet. */
zm_cli_exit zm_cli_language_load(zm_cli_language *language, bool quiet);
void zm_cli_language_close(zm_cli_language *language);

/* What one text or several took. */
typedef struct zm_cli_pace {
    uint64_t prompt_tokens, tokens, decoded; /* decoded: of them, one by one */
    double prompt_seconds, decode_seconds;
} zm_cli_pace;

double zm_cli_rate(uint64_t count, double seconds);
/* On stderr. stop: why the text ended; NULL = not said. */
void zm_cli_language_summary(const zm_cli_language *language, const zm_cli_pace *pace,
                             const char *stop);

json_t *zm_cli_tokens_json(const int32_t *tokens, size_t count);

#endif
