/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/generate.h>

#include <stdlib.h>

#include "common/log.h"
#include "generate/run.h"

const char *zm_stop_name(zm_stop stop)
{
    static const char *const names[ZM_STOP_COUNT] = {
        [ZM_STOP_NONE] = "none",       [ZM_STOP_END] = "end",
        [ZM_STOP_STRING] = "string",   [ZM_STOP_LENGTH] = "length",
        [ZM_STOP_CONTEXT] = "context", [ZM_STOP_CANCELLED] = "cancelled",
    };
    return stop >= ZM_STOP_NONE && stop < ZM_STOP_COUNT ? names[stop] : "none";
}

static zm_status session_step(void *user, const zm_step *steps, uint32_t count)
{
    return zm_session_step(user, steps, count);
}

static zm_status session_rewind(void *user, uint32_t sequence, uint32_t position)
{
    return zm_session_rewind(user, sequence, position);
}

zm_language_model zm_language_model_of(zm_session *session)
{
    return (zm_language_model){session_step, session_rewind, session, zm_session_get_info(session)};
}

zm_status zm_generate(zm_session *session, const zm_tokenizer *tokenizer,
                      const zm_generate_params *params, zm_text_fn text, void *user,
                      zm_generation **out)
{
    return zm_generate_batch(session, tokenizer, params, 1, text, &user, out);
}

zm_status zm_generate_batch(zm_session *session, const zm_tokenizer *tokenizer,
                            const zm_generate_params *params, uint32_t count, zm_text_fn text,
                            void *const *users, zm_generation **out)
{
    if (!session || !tokenizer || !params || count == 0 || (text && !users) || !out)
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_generate: a NULL argument, or no text");
    const zm_language_model model = zm_language_model_of(session);
    return zm_generate_with(&model, tokenizer, params, count, text, users, out);
}

void zm_generation_destroy(zm_generation **generation)
{
    if (!generation || !*generation)
        return;
    free((*generation)->text);
    free((*generation)->tokens);
    free(*generation);
    *generation = NULL;
}

zm_status zm_perplexity(zm_session *session, const zm_perplexity_params *params,
                        zm_perplexity_result *out)
{
    if (!session || !params || !out)
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_perplexity: a NULL argument");
    const zm_language_model model = zm_language_model_of(session);
    return zm_perplexity_with(&model, params, out);
}
