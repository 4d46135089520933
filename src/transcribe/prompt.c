/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/prompt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/log.h"

static zm_status unknown_language(const zm_whisper_info *info, const char *language,
                                  const zm_log *log)
{
    if (info->language_count == 0)
        return zm_fail(log, ZM_ERROR_NOT_FOUND,
                       "language '%.20s': the model knows English only; leave the language out",
                       language);
    return zm_fail(
        log, ZM_ERROR_NOT_FOUND,
        "language '%.20s': not one of the model's %u; give a code like en or de, or auto", language,
        (unsigned)info->language_count);
}

static bool is_language(const zm_whisper_info *info, int32_t token)
{
    return token >= 0 && token >= info->first_language_token &&
           (int64_t)token < (int64_t)info->first_language_token + info->language_count;
}

static zm_status choose_language(zm_prompt *prompt, const zm_whisper_info *info,
                                 const zm_tokenizer *tokenizer, const char *language,
                                 const zm_log *log)
{
    char text[16];
    const bool detect = strcmp(language, "auto") == 0;
    if (info->language_count == 0)
        return detect || strcmp(language, "en") == 0 ? ZM_OK
                                                     : unknown_language(info, language, log);
    if (detect) {
        prompt->detect_language = true;
        return ZM_OK;
    }
    if (strlen(language) >= sizeof(prompt->code))
        return unknown_language(info, language, log);
    snprintf(text, sizeof(text), "<|%s|>", language);
    int32_t token = zm_tokenizer_find_special(tokenizer, text);
    if (!is_language(info, token))
        return unknown_language(info, language, log);
    prompt->language = token;
    strcpy(prompt->code, language);
    return ZM_OK;
}

zm_status zm_prompt_init(zm_prompt *prompt, const zm_whisper_info *info,
                         const zm_tokenizer *tokenizer, const char *language, bool translate,
                         bool timestamps, const zm_log *log)
{
    const bool multilingual = info->language_count > 0;
    if (translate && (!multilingual || info->translate_token < 0))
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "the model knows English only; translating needs a multilingual one");
    *prompt = (zm_prompt){
        .start = info->start_token,
        .language = -1,
        .task = !multilingual ? -1
                : translate   ? info->translate_token
                              : info->transcribe_token,
        .no_timestamps = timestamps ? -1 : info->no_timestamps_token,
    };
    return choose_language(prompt, info, tokenizer, language ? language : "en", log);
}

/* "<|en|>" to "en"; false where the token does not look so. */
static bool language_code(const zm_tokenizer *tokenizer, int32_t token, char code[8])
{
    const char *bytes;
    size_t size;
    if (zm_tokenizer_bytes(tokenizer, token, true, &bytes, &size) != ZM_OK || size < 5 ||
        size > 4 + 7 || memcmp(bytes, "<|", 2) != 0 || memcmp(bytes + size - 2, "|>", 2) != 0)
        return false;
    memcpy(code, bytes + 2, size - 4);
    code[size - 4] = 0;
    return true;
}

zm_status zm_prompt_detect_language(zm_prompt *prompt, const zm_whisper_info *info,
                                    const zm_tokenizer *tokenizer, const float *logits,
                                    const zm_log *log)
{
    int32_t best = -1;
    float most = -INFINITY;
    for (uint32_t i = 0; i < info->language_count; i++) {
        int32_t token = info->first_language_token + (int32_t)i;
        if ((uint32_t)token < info->vocabulary && logits[token] > most) {
            most = logits[token];
            best = token;
        }
    }
    if (best < 0)
        return zm_fail(log, ZM_ERROR_DEVICE, "the logits of the languages are not numbers");
    if (!language_code(tokenizer, best, prompt->code))
        return zm_fail(log, ZM_ERROR_BAD_FORMAT,
                       "token %d is no language; does the tokenizer belong to this model?",
                       (int)best);
    prompt->language = best;
    prompt->detect_language = false;
    zm_logf(log, ZM_LOG_INFO, "detected language: %s", prompt->code);
    return ZM_OK;
}

uint32_t zm_prompt_rest(const zm_prompt *prompt, int32_t tokens[3])
{
    uint32_t count = 0;
    const int32_t all[3] = {prompt->language, prompt->task, prompt->no_timestamps};
    for (uint32_t i = 0; i < 3; i++)
        if (all[i] >= 0)
            tokens[count++] = all[i];
    return count;
}
