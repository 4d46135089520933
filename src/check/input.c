/* SPDX-License-Identifier: Apache-2.0 */
#include "check/input.h"

#include <stdlib.h>

#include "check/synthetic.h"
#include "common/alloc.h"
#include "common/log.h"

enum { WHISPER_PROMPT = 4, TEXT_PROMPT = 32 };

typedef struct field {
    const char *name;
    int64_t a, b;
} field;

/* Other norms and eps are what a check is there to judge; other shapes make it meaningless. */
static zm_status check_fields(const zm_check_params *params, const field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].a != fields[i].b)
            return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                           "check: %s is %lld in %s and %lld in %s; compare a model with its own "
                           "conversion",
                           fields[i].name, (long long)fields[i].a,
                           zm_model_get_info(params->a)->path, (long long)fields[i].b,
                           zm_model_get_info(params->b)->path);
    }
    return ZM_OK;
}

static zm_status out_of_memory(const zm_check_params *params)
{
    return zm_fail(params->log, ZM_ERROR_OUT_OF_MEMORY, "check: out of memory");
}

/* ---- Whisper ---- */

static zm_status check_whisper(const zm_check_params *params, const zm_whisper_info *a,
                               const zm_whisper_info *b)
{
    const field fields[] = {{"mel_bins", a->mel_bins, b->mel_bins},
                            {"d_model", a->d, b->d},
                            {"encoder_layers", a->encoder_layers, b->encoder_layers},
                            {"encoder_attention_heads", a->encoder_heads, b->encoder_heads},
                            {"encoder_ffn_dim", a->encoder_ff, b->encoder_ff},
                            {"max_source_positions", a->encoder_positions, b->encoder_positions},
                            {"decoder_layers", a->decoder_layers, b->decoder_layers},
                            {"decoder_attention_heads", a->decoder_heads, b->decoder_heads},
                            {"decoder_ffn_dim", a->decoder_ff, b->decoder_ff},
                            {"max_target_positions", a->decoder_positions, b->decoder_positions},
                            {"vocab_size", a->vocabulary, b->vocabulary},
                            {"start token", a->start_token, b->start_token},
                            {"end token", a->end_token, b->end_token}};
    if (params->prompt)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "check: models of speech read no text; give audio");
    return check_fields(params, fields, sizeof(fields) / sizeof(fields[0]));
}

/* Transcribe without timestamps; multilingual models as their first language, English. */
static void fill_prompt(const zm_whisper_info *info, zm_check_input *out)
{
    out->own_prompt[out->prompt_count++] = info->start_token;
    if (info->first_language_token >= 0)
        out->own_prompt[out->prompt_count++] = info->first_language_token;
    if (info->transcribe_token >= 0)
        out->own_prompt[out->prompt_count++] = info->transcribe_token;
    out->own_prompt[out->prompt_count++] = info->no_timestamps_token;
}

static zm_status take_whisper(const zm_check_params *params, const zm_whisper_info *info,
                              zm_check_input *out)
{
    *out = (zm_check_input){.vocabulary = info->vocabulary,
                            .positions = info->decoder_positions,
                            .mel = params->mel,
                            .suppress = {info->suppress, &info->end_token},
                            .suppress_count = {info->suppress_count, 1},
                            .begin_suppress = info->begin_suppress,
                            .begin_suppress_count = info->begin_suppress_count};
    if (!out->mel)
        out->mel = out->own_mel = zm_check_mel(2 * info->encoder_positions, info->mel_bins);
    out->prompt = out->own_prompt = zm_calloc(WHISPER_PROMPT, sizeof(*out->own_prompt));
    if (!out->mel || !out->own_prompt)
        return out_of_memory(params);
    fill_prompt(info, out);
    return ZM_OK;
}

/* ---- text ---- */

static zm_status check_text(const zm_check_params *params, const zm_text_info *a,
                            const zm_text_info *b)
{
    /* Files say how many the model was trained for, or that there is no bound: both fit. */
    const bool bounded = a->positions && b->positions;
    const field fields[] = {{"width", a->d, b->d},
                            {"layers", a->layers, b->layers},
                            {"heads", a->heads, b->heads},
                            {"heads with keys", a->kv_heads, b->kv_heads},
                            {"width of a head", a->head_dim, b->head_dim},
                            {"width of the MLP", a->ff, b->ff},
                            {"vocabulary", a->vocabulary, b->vocabulary},
                            {"positions", bounded ? a->positions : 0, bounded ? b->positions : 0}};
    if (params->mel)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "check: models of text hear no audio; give text");
    return check_fields(params, fields, sizeof(fields) / sizeof(fields[0]));
}

static uint32_t fewer_positions(const zm_text_info *a, const zm_text_info *b)
{
    const uint32_t first = a->positions ? a->positions : UINT32_MAX;
    return b->positions && b->positions < first ? b->positions : first;
}

static zm_status take_text(const zm_check_params *params, const zm_text_info *info,
                           uint32_t positions, zm_check_input *out)
{
    *out = (zm_check_input){.vocabulary = info->vocabulary,
                            .positions = positions,
                            .mean_counts = info->norm == ZM_NORM_RMS,
                            .prompt = params->prompt,
                            .prompt_count = params->prompt_count};
    if (params->prompt)
        return ZM_OK;
    out->prompt_count = positions / 2 < TEXT_PROMPT ? (positions + 1) / 2 : TEXT_PROMPT;
    out->prompt = out->own_prompt = zm_check_tokens(out->prompt_count, info->vocabulary);
    return out->prompt ? ZM_OK : out_of_memory(params);
}

/* ---- either ---- */

zm_status zm_check_input_init(const zm_check_params *params, zm_check_input *out)
{
    const zm_model_info *a = zm_model_get_info(params->a), *b = zm_model_get_info(params->b);
    *out = (zm_check_input){0};
    if (a->architecture != b->architecture)
        return zm_fail(params->log, ZM_ERROR_INVALID_ARGUMENT,
                       "check: %s is a %s model, %s a %s model", a->path, a->architecture_name,
                       b->path, b->architecture_name);
    if (a->architecture == ZM_ARCHITECTURE_NONE)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED, "%s: models of type %s cannot be run%s%s",
                       a->path, a->architecture_name, a->refused ? ": " : "",
                       a->refused ? a->refused : "");
    if (a->architecture == ZM_ARCHITECTURE_VISION)
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED,
                       "%s: models of images are not compared yet; compare their embeddings",
                       a->path);
    bool whisper = a->architecture == ZM_ARCHITECTURE_WHISPER;
    zm_status status = whisper ? check_whisper(params, &a->whisper, &b->whisper)
                               : check_text(params, &a->text, &b->text);
    if (status == ZM_OK)
        status = whisper ? take_whisper(params, &a->whisper, out)
                         : take_text(params, &a->text, fewer_positions(&a->text, &b->text), out);
    if (status == ZM_OK && (out->prompt_count == 0 || out->prompt_count > out->positions))
        return zm_fail(params->log, ZM_ERROR_UNSUPPORTED,
                       "check: the decoder has room for %u tokens, the input has %u",
                       out->positions, out->prompt_count);
    return status;
}

void zm_check_input_finish(zm_check_input *input)
{
    free(input->own_mel);
    free(input->own_prompt);
    *input = (zm_check_input){0};
}
