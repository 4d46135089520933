/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a tokenizer: made. */
#include <stdlib.h>
#include <string.h>

#include "common/alloc.h"
#include "common/log.h"
#include "text/tokenizer.h"

void zm_steps_clear(zm_tokenizer *tokenizer)
{
    for (size_t i = 0; i < ZM_STEPS_MAX; i++) {
        zm_pattern_clear(&tokenizer->steps[i].pattern);
        free(tokenizer->steps[i].text);
    }
}

static zm_status add(const zm_token_reader *in, zm_step_kind kind, zm_step **out)
{
    zm_tokenizer *tokenizer = in->tokenizer;
    if (tokenizer->step_count == ZM_STEPS_MAX)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED,
                       "%s: over %d steps of normalizers and pre-tokenizers are not supported",
                       in->name, ZM_STEPS_MAX);
    *out = &tokenizer->steps[tokenizer->step_count++];
    (*out)->kind = kind;
    return ZM_OK;
}

static zm_status set_text(const zm_token_reader *in, zm_step *step, const char *text, size_t size)
{
    step->text = zm_calloc(size + 1, 1);
    if (!step->text)
        return zm_token_out_of_memory(in);
    memcpy(step->text, text, size);
    step->text_size = size;
    return ZM_OK;
}

zm_status zm_step_add_simple(const zm_token_reader *in, zm_step_kind kind)
{
    zm_step *step = NULL;
    return add(in, kind, &step);
}

zm_status zm_step_add_form(const zm_token_reader *in, zm_unicode_form form)
{
    zm_step *step = NULL;
    const char *refusal = zm_unicode_refusal();
    if (refusal)
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: its normalizer is not supported: %s",
                       in->name, refusal);
    zm_status status = add(in, ZM_STEP_FORM, &step);
    if (status != ZM_OK)
        return status;
    step->form = form;
    return ZM_OK;
}

zm_status zm_step_add_prefix(const zm_token_reader *in, const char *text, bool unless_there,
                             bool only_first)
{
    zm_step *step = NULL;
    zm_status status = add(in, ZM_STEP_PREFIX, &step);
    if (status != ZM_OK)
        return status;
    step->unless_there = unless_there;
    step->only_first = only_first;
    return set_text(in, step, text, strlen(text));
}

static zm_status set_pattern(const zm_token_reader *in, zm_step *step, bool regex,
                             const char *pattern)
{
    if (pattern[0] == '\0')
        return zm_fail(in->log, ZM_ERROR_UNSUPPORTED, "%s: an empty pattern is not supported",
                       in->name);
    zm_status status = regex ? zm_pattern_regex(&step->pattern, pattern, in->name, in->log)
                             : zm_pattern_string(&step->pattern, pattern, strlen(pattern));
    return status == ZM_ERROR_OUT_OF_MEMORY ? zm_token_out_of_memory(in) : status;
}

zm_status zm_step_add_replace(const zm_token_reader *in, bool regex, const char *pattern,
                              const char *text)
{
    zm_step *step = NULL;
    zm_status status = add(in, ZM_STEP_REPLACE, &step);
    if (status != ZM_OK)
        return status;
    status = set_text(in, step, text, strlen(text));
    return status == ZM_OK ? set_pattern(in, step, regex, pattern) : status;
}

zm_status zm_step_add_split(const zm_token_reader *in, bool regex, const char *pattern,
                            zm_split_behavior behavior, bool invert)
{
    zm_step *step = NULL;
    zm_status status = add(in, ZM_STEP_SPLIT, &step);
    if (status != ZM_OK)
        return status;
    step->behavior = behavior;
    step->invert = invert;
    return set_pattern(in, step, regex, pattern);
}

zm_status zm_step_add_punctuation(const zm_token_reader *in, zm_split_behavior behavior)
{
    return zm_step_add_split(in, true, "[\\p{P}!-/:-@\\[-`{-~]", behavior, false);
}

zm_status zm_step_add_gpt2(const zm_token_reader *in)
{
    return zm_step_add_split(in, true,
                             "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+"
                             "|\\s+(?!\\S)|\\s+",
                             ZM_SPLIT_ISOLATED, false);
}

zm_status zm_step_end_normalizers(const zm_token_reader *in)
{
    zm_step *step = NULL;
    zm_status status = add(in, ZM_STEP_ADDED, &step);
    if (status != ZM_OK)
        return status;
    step->normalized = true;
    in->tokenizer->normalizer_end = in->tokenizer->step_count - 1;
    return ZM_OK;
}
