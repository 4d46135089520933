/* SPDX-License-Identifier: Apache-2.0 */
/* Generation with any model of language: a session's decoder, or a script in tests. */
#ifndef ZM_SRC_GENERATE_RUN_H
#define ZM_SRC_GENERATE_RUN_H

#include <zeromean/generate.h>

enum { ZM_PROMPT_CHUNK = 512 }; /* tokens of a prompt that are decoded at once */

/* zm_session_step, zm_session_rewind, zm_session_get_info. */
typedef struct zm_language_model {
    zm_status (*step)(void *user, const zm_step *steps, uint32_t count);
    zm_status (*rewind)(void *user, uint32_t sequence, uint32_t position);
    void *user;
    zm_session_info info;
} zm_language_model;

zm_language_model zm_language_model_of(zm_session *session);

/* zm_generate_batch and zm_perplexity are these with a session's decoder. */
zm_status zm_generate_with(const zm_language_model *model, const zm_tokenizer *tokenizer,
                           const zm_generate_params *params, uint32_t count, zm_text_fn text,
                           void *const *users, zm_generation **out);
zm_status zm_perplexity_with(const zm_language_model *model, const zm_perplexity_params *params,
                             zm_perplexity_result *out);

#endif
