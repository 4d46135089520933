/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/language.h"

#include "cli/output.h"
#include "cli/progress.h"
#include "common/clock.h"
#include "common/log.h"

zm_sampling zm_cli_sampling_get(const zm_cli_sampling *from)
{
    return (zm_sampling){.temperature = (float)from->temperature,
                         .top_k = from->top_k,
                         .top_p = (float)from->top_p,
                         .min_p = (float)from->min_p,
                         .repeat_penalty = (float)from->repeat_penalty,
                         .repeat_last = from->repeat_last,
                         .seed = from->seed};
}

/* Setting up a large vocabulary and a driver take about as long. */
static zm_status open_files(zm_cli_language *language, const char *path)
{
    zm_status status = zm_model_open(path, zm_cli_log(), &language->model);
    if (status != ZM_OK)
        return status;
    if (zm_model_get_info(language->model)->architecture == ZM_ARCHITECTURE_WHISPER)
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED,
                       "%s: a whisper model writes down speech; see 'zeromean transcribe'", path);
    if (zm_model_get_info(language->model)->architecture == ZM_ARCHITECTURE_VISION)
        return zm_fail(zm_cli_log(), ZM_ERROR_UNSUPPORTED, "%s: a %s model writes no text", path,
                       zm_model_get_info(language->model)->architecture_name);
    zm_cli_drivers_wake(&language->drivers, language->device_specs);
    return zm_tokenizer_open_model(language->model, zm_cli_log(), &language->tokenizer);
}

zm_cli_exit zm_cli_language_open(zm_cli_language *language, const char *path)
{
    const uint64_t start = zm_clock_ns();
    const zm_cli_exit code = zm_cli_result(open_files(language, path));
    language->load_seconds = zm_clock_since(start);
    return code;
}

zm_cli_exit zm_cli_language_load(zm_cli_language *language, bool quiet)
{
    zm_session_params params = {.log = zm_cli_log(),
                                .progress = zm_cli_progress,
                                .go_on = zm_cli_goes_on,
                                .norm = language->norm ? ZM_NORM_RMS : ZM_NORM_DEFAULT,
                                .positions = language->context,
                                .sequences = language->sequences,
                                .logits = language->logits};
    const uint64_t start = zm_clock_ns();
    zm_cli_drivers_wait(&language->drivers);
    zm_cli_exit code = zm_cli_split_open(language->device_specs, language->split, language->kernels,
                                         &language->devices);
    if (code != ZM_CLI_OK)
        return code;
    params.split = zm_cli_split_get(&language->devices);
    code = zm_cli_result(
        zm_session_create(language->devices.all[0], language->model, &params, &language->session));
    zm_cli_progress_hide();
    if (code == ZM_CLI_OK && !quiet)
        zm_cli_split_announce(&language->devices);
    language->load_seconds += zm_clock_since(start);
    return code;
}

void zm_cli_language_close(zm_cli_language *language)
{
    zm_cli_drivers_wait(&language->drivers);
    zm_session_destroy(&language->session);
    zm_cli_split_close(&language->devices);
    zm_tokenizer_close(&language->tokenizer);
    zm_model_close(&language->model);
}

double zm_cli_rate(uint64_t count, double seconds)
{
    return seconds > 0 ? (double)count / seconds : 0;
}

void zm_cli_language_summary(const zm_cli_language *language, const zm_cli_pace *pace,
                             const char *stop)
{
    zm_cli_note("load %.2f s; prompt %llu tokens, %.1f tok/s; text %llu tokens, %.1f tok/s%s%s",
                language->load_seconds, (unsigned long long)pace->prompt_tokens,
                zm_cli_rate(pace->prompt_tokens, pace->prompt_seconds),
                (unsigned long long)pace->tokens, zm_cli_rate(pace->decoded, pace->decode_seconds),
                stop ? "; stop: " : "", stop ? stop : "");
}

json_t *zm_cli_tokens_json(const int32_t *tokens, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(tokens[i]));
    return array;
}
