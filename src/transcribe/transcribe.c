/* SPDX-License-Identifier: Apache-2.0 */
#include <zeromean/transcribe.h>

#include "common/log.h"
#include "transcribe/run.h"

static zm_status session_encode(void *user, const float *mel)
{
    return zm_session_encode(user, mel);
}

static zm_status session_decode(void *user, const int32_t *tokens, uint32_t count, float *logits)
{
    return zm_session_decode(user, tokens, count, logits);
}

zm_status zm_transcribe(zm_session *session, const zm_model *model, const zm_tokenizer *tokenizer,
                        const zm_transcribe_params *params, zm_transcript **out)
{
    if (!session || !model || !tokenizer || !params || !out)
        return zm_fail(params ? params->log : NULL, ZM_ERROR_INVALID_ARGUMENT,
                       "zm_transcribe: a NULL argument");
    const zm_model_info *info = zm_model_get_info(model);
    if (info->architecture != ZM_ARCHITECTURE_WHISPER)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s: a %s model does not transcribe",
                       info->path, info->architecture_name);
    const zm_speech_model speech = {session_encode, session_decode, session};
    return zm_transcribe_with(&speech, &info->whisper, tokenizer, params, out);
}
