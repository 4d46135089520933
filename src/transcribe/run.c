/* SPDX-License-Identifier: Apache-2.0 */
#include "transcribe/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/audio.h>

#include "common/alloc.h"
#include "common/log.h"
#include "transcribe/window.h"

enum {
    WINDOW_SAMPLES = ZM_MEL_FRAMES * ZM_MEL_FRAME_SAMPLES,
    REST_SAMPLES_MIN = ZM_AUDIO_RATE / 10 /* too short for a word: not worth a window */
};

zm_status zm_run_progress(zm_run *run, uint64_t samples)
{
    const zm_transcribe_params *params = run->params;
    const uint64_t total = params->sample_count;
    if (samples > run->reached)
        run->reached = samples < total ? samples : total;
    if (!params->progress || params->progress(params->user, "transcribe", run->reached, total))
        return ZM_OK;
    return ZM_ERROR_CANCELLED;
}

static zm_status check_params(const zm_transcribe_params *params)
{
    if (!params->samples || params->sample_count == 0)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT, "no samples to transcribe");
    for (size_t i = 0; i < params->sample_count; i++)
        if (!isfinite(params->samples[i]))
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT, "sample %zu is not finite", i);
    return ZM_OK;
}

static zm_status check_model(const zm_whisper_info *info, const zm_log *log)
{
    if ((info->mel_bins != 80 && info->mel_bins != 128) ||
        info->encoder_positions * UINT64_C(2) != ZM_MEL_FRAMES || info->decoder_positions < 8)
        return zm_fail(log, ZM_ERROR_UNSUPPORTED,
                       "a Whisper of %u mel bins and %u + %u positions; 80 or 128, 1500 and more "
                       "than 7 can transcribe",
                       (unsigned)info->mel_bins, (unsigned)info->encoder_positions,
                       (unsigned)info->decoder_positions);
    return ZM_OK;
}

static void run_finish(zm_run *run)
{
    free(run->mel);
    free(run->logits);
    zm_transcript_builder_finish(&run->transcript);
}

static zm_status run_init(zm_run *run)
{
    const zm_transcribe_params *params = run->params;
    const bool timestamps = params->timestamps || params->sample_count > WINDOW_SAMPLES;
    zm_status status = check_params(params);
    if (status == ZM_OK)
        status = check_model(run->info, params->log);
    if (status == ZM_OK)
        status = zm_token_rules_init(&run->rules, run->info, timestamps, params->log);
    if (status == ZM_OK)
        status = zm_prompt_init(&run->prompt, run->info, run->tokenizer, params->language,
                                params->translate, timestamps, params->log);
    if (status != ZM_OK)
        return status;
    run->no_speech_token = zm_tokenizer_find_special(run->tokenizer, "<|nospeech|>");
    if (run->no_speech_token < 0)
        run->no_speech_token = zm_tokenizer_find_special(run->tokenizer, "<|nocaptions|>");
    if (run->no_speech_token >= (int64_t)run->info->vocabulary)
        run->no_speech_token = -1;
    run->token_limit = run->info->decoder_positions / 2;
    run->mel = zm_calloc((size_t)ZM_MEL_FRAMES * run->info->mel_bins, sizeof(float));
    run->logits = zm_calloc(run->info->vocabulary, sizeof(float));
    if (!run->mel || !run->logits)
        return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "out of memory to transcribe");
    return ZM_OK;
}

static zm_status run_windows(zm_run *run)
{
    const size_t total = run->params->sample_count;
    zm_status status = zm_run_progress(run, 0);
    for (size_t seek = 0; status == ZM_OK && seek < total;) {
        size_t advance;
        if (seek > 0 && total - seek < REST_SAMPLES_MIN)
            break;
        status = zm_window_transcribe(run, seek, &advance);
        if (status != ZM_OK)
            break;
        seek = advance < total - seek ? seek + advance : total;
        status = zm_run_progress(run, seek);
    }
    return status;
}

static zm_status run_result(const zm_run *run, zm_transcript **out)
{
    zm_transcript *transcript;
    zm_status status = zm_transcript_builder_build(&run->transcript, &transcript);
    if (status != ZM_OK)
        return status;
    memcpy(transcript->language, run->prompt.code, sizeof(transcript->language));
    transcript->audio_seconds = (double)run->params->sample_count / ZM_AUDIO_RATE;
    transcript->mel_seconds = run->mel_seconds;
    transcript->encode_seconds = run->encode_seconds;
    transcript->decode_seconds = run->decode_seconds;
    *out = transcript;
    return ZM_OK;
}

zm_status zm_transcribe_with(const zm_speech_model *model, const zm_whisper_info *info,
                             const zm_tokenizer *tokenizer, const zm_transcribe_params *params,
                             zm_transcript **out)
{
    zm_run run = {.model = *model, .info = info, .tokenizer = tokenizer, .params = params};
    zm_status status = run_init(&run);
    if (status == ZM_OK)
        status = run_windows(&run);
    if (status == ZM_OK)
        status = run_result(&run, out);
    run_finish(&run);
    return status;
}
