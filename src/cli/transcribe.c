/* SPDX-License-Identifier: Apache-2.0 */
/* zeromean transcribe: what is said in audio files. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zeromean/audio.h>
#include <zeromean/transcribe.h>

#include "cli/device.h"
#include "cli/memory.h"
#include "cli/model.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/split.h"
#include "common/clock.h"

typedef struct job {
    const char *device_specs, *split, *kernels, *language;
    bool translate, timestamps, json;
    uint32_t repeat, norm; /* norm: 1 = rms */
    zm_model *model;
    zm_tokenizer *tokenizer;
    zm_cli_split devices;
    zm_session *session;
    double load_seconds;
    json_t *files; /* with json: one object per file that was read */
} job;

/* One audio file on its way through. */
typedef struct clip {
    const char *path;
    float *samples;
    size_t count;
    double read_seconds;
    bool begun; /* something other than white space was printed */
    zm_transcript *transcript;
    json_t *repetitions;
} clip;

static zm_cli_exit read_clip(clip *c)
{
    uint64_t start = zm_clock_ns();
    zm_status status = zm_audio_read(c->path, zm_cli_log(), &c->samples, &c->count);
    c->read_seconds = zm_clock_since(start);
    return zm_cli_result(status);
}

static void free_clip(clip *c)
{
    free(c->samples);
    c->samples = NULL;
    json_decref(c->repetitions);
    zm_transcript_destroy(&c->transcript);
}

static bool print_piece(void *user, const char *utf8, double seconds)
{
    clip *c = user;
    (void)seconds;
    if (!c->begun)
        utf8 += strspn(utf8, " \n");
    if (*utf8) {
        zm_cli_progress_yield();
        c->begun = true;
        fputs(utf8, stdout);
        fflush(stdout);
    }
    return !zm_cli_interrupted();
}

static void print_time(double seconds)
{
    unsigned milliseconds = (unsigned)(seconds * 1000 + 0.5);
    printf("%02u:%02u:%02u.%03u", milliseconds / 3600000, milliseconds / 60000 % 60,
           milliseconds / 1000 % 60, milliseconds % 1000);
}

static bool print_segment(void *user, const zm_segment *segment)
{
    (void)user;
    zm_cli_progress_hide();
    putchar('[');
    print_time(segment->start);
    printf(" --> ");
    print_time(segment->end);
    printf("] %s\n", segment->text + strspn(segment->text, " "));
    fflush(stdout);
    return !zm_cli_interrupted();
}

static json_t *tokens_json(const int32_t *tokens, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(array, json_integer(tokens[i]));
    return array;
}

static json_t *segments_json(const zm_transcript *transcript)
{
    json_t *array = json_array();
    for (size_t i = 0; i < transcript->segment_count; i++) {
        const zm_segment *segment = &transcript->segments[i];
        const zm_cli_field fields[] = {
            {"start", zm_cli_json_real(segment->start)},
            {"end", zm_cli_json_real(segment->end)},
            {"text", zm_cli_json_text(segment->text)},
            {"tokens", tokens_json(segment->tokens, segment->token_count)},
        };
        json_array_append_new(array, zm_cli_json_object(fields, 4));
    }
    return array;
}

static json_t *timings_json(const zm_transcript *transcript, double total)
{
    const zm_cli_field fields[] = {
        {"mel_seconds", zm_cli_json_real(transcript->mel_seconds)},
        {"encode_seconds", zm_cli_json_real(transcript->encode_seconds)},
        {"decode_seconds", zm_cli_json_real(transcript->decode_seconds)},
        {"total_seconds", zm_cli_json_real(total)},
    };
    return zm_cli_json_object(fields, 4);
}

static json_t *clip_json(const clip *c)
{
    const zm_transcript *transcript = c->transcript;
    const zm_cli_field fields[] = {
        {"path", zm_cli_json_text(c->path)},
        {"audio_seconds", zm_cli_json_real(transcript->audio_seconds)},
        {"language", zm_cli_json_text(transcript->language)},
        {"text", zm_cli_json_text(transcript->text)},
        {"tokens", tokens_json(transcript->tokens, transcript->token_count)},
        {"segments", segments_json(transcript)},
        {"read_seconds", zm_cli_json_real(c->read_seconds)},
        {"timings", json_incref(c->repetitions)},
    };
    return zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
}

/* aloud: print the text as it comes */
static zm_cli_exit run_once(const job *j, clip *c, bool aloud)
{
    zm_transcribe_params params = {
        .samples = c->samples,
        .sample_count = c->count,
        .language = j->language,
        .translate = j->translate,
        .timestamps = j->timestamps,
        .text = aloud && !j->timestamps ? print_piece : NULL,
        .segment = aloud && j->timestamps ? print_segment : NULL,
        .progress = zm_cli_progress,
        .user = c,
        .log = zm_cli_log(),
    };
    zm_transcript_destroy(&c->transcript);
    uint64_t start = zm_clock_ns();
    zm_cli_exit code =
        zm_cli_result(zm_transcribe(j->session, j->model, j->tokenizer, &params, &c->transcript));
    if (code == ZM_CLI_OK)
        json_array_append_new(c->repetitions, timings_json(c->transcript, zm_clock_since(start)));
    return code;
}

static zm_cli_exit transcribe_clip(job *j, clip *c)
{
    c->repetitions = json_array();
    for (uint32_t i = 0; i < j->repeat; i++) {
        zm_cli_exit code = run_once(j, c, !j->json && i == 0);
        if (c->begun && i == 0)
            putchar('\n');
        zm_cli_progress_resume();
        if (code != ZM_CLI_OK)
            return code;
    }
    if (j->json)
        json_array_append_new(j->files, clip_json(c));
    return ZM_CLI_OK;
}

static zm_cli_exit load_model(job *j, const char *path)
{
    zm_cli_exit code = zm_cli_result(zm_model_open(path, zm_cli_log(), &j->model));
    if (code != ZM_CLI_OK)
        return code;
    return zm_cli_result(zm_tokenizer_open_model(j->model, zm_cli_log(), &j->tokenizer));
}

static zm_cli_exit load_session(job *j)
{
    zm_session_params params = {.log = zm_cli_log(),
                                .progress = zm_cli_progress,
                                .go_on = zm_cli_goes_on,
                                .norm = j->norm ? ZM_NORM_RMS : ZM_NORM_DEFAULT};
    zm_cli_exit code = zm_cli_split_open(j->device_specs, j->split, j->kernels, &j->devices);
    if (code != ZM_CLI_OK)
        return code;
    if (!j->json)
        zm_cli_split_announce(&j->devices);
    params.split = zm_cli_split_get(&j->devices);
    return zm_cli_result(zm_session_create(j->devices.all[0], j->model, &params, &j->session));
}

static void unload(job *j)
{
    zm_session_destroy(&j->session);
    zm_cli_split_close(&j->devices);
    zm_tokenizer_close(&j->tokenizer);
    zm_model_close(&j->model);
    json_decref(j->files);
}

static zm_cli_exit print_job(const job *j, double total)
{
    const zm_cli_field fields[] = {
        {"schema", json_string("zeromean.transcribe/1")},
        {"version", json_string(zm_version())},
        {"device", zm_cli_device_json(zm_device_get_info(j->devices.all[0]))},
        {"model", zm_cli_model_json(j->model)},
        {"norm", json_string(zm_norm_name(zm_session_get_info(j->session).norm))},
        {"load_seconds", zm_cli_json_real(j->load_seconds)},
        {"total_seconds", zm_cli_json_real(total)},
        {"peak_rss_bytes", json_integer((json_int_t)zm_cli_peak_memory())},
        {"files", json_incref(j->files)},
    };
    json_t *object = zm_cli_json_object(fields, sizeof(fields) / sizeof(fields[0]));
    zm_cli_split_add_json(&j->devices, "split", object);
    return zm_cli_json_print(object);
}

/* The first file is read before the model is packed, so that a wrong name fails at once. A file
 * that fails doesn't keep the others from being transcribed. */
static zm_cli_exit run_job(job *j, const zm_cli_arguments *arguments)
{
    uint64_t start = zm_clock_ns();
    zm_cli_exit code = load_model(j, arguments->values[0]), worst = ZM_CLI_OK;
    for (size_t i = 1; code == ZM_CLI_OK && i < arguments->count; i++) {
        clip c = {.path = arguments->values[i]};
        zm_cli_exit read = read_clip(&c);
        if (!j->session && (read == ZM_CLI_OK || arguments->count > 2)) {
            uint64_t load_start = zm_clock_ns();
            code = load_session(j);
            j->load_seconds = zm_clock_since(load_start);
        }
        if (code == ZM_CLI_OK && read == ZM_CLI_OK) {
            if (arguments->count > 2 && !j->json)
                printf("%s== %s ==\n", i > 1 ? "\n" : "", c.path);
            read = transcribe_clip(j, &c);
        }
        free_clip(&c);
        if (read != ZM_CLI_OK)
            worst = read;
        if (zm_cli_interrupted())
            code = ZM_CLI_FAILED;
    }
    if (code == ZM_CLI_OK && j->session && j->json)
        code = print_job(j, zm_clock_since(start));
    return code == ZM_CLI_OK ? worst : code;
}

static zm_cli_exit run(int argc, char **argv)
{
    job j = {.repeat = 1};
    const zm_cli_option options[] = {
        {"device", 'd', "DEVICE", "where to compute, or these, with commas", ZM_CLI_TEXT,
         &j.device_specs},
        ZM_CLI_SPLIT_OPTION(&j.split),
        ZM_CLI_KERNEL_OPTION(&j.kernels),
        ZM_CLI_NORM_OPTION(&j.norm),
        {"language", 'l', "L", "what is spoken: en, de, ... or auto (default: en)", ZM_CLI_TEXT,
         &j.language},
        {"translate", 0, NULL, "translate to English", ZM_CLI_FLAG, &j.translate},
        {"timestamps", 't', NULL, "print segments with their times", ZM_CLI_FLAG, &j.timestamps},
        {"json", 0, NULL, "print JSON (schema zeromean.transcribe/1)", ZM_CLI_FLAG, &j.json},
        {"repeat", 0, "N", "do each file N times; JSON has the timings of each", ZM_CLI_COUNT,
         &j.repeat},
    };
    zm_cli_arguments arguments;
    zm_cli_exit code;
    if (!zm_cli_parse(&zm_cli_transcribe, options, sizeof(options) / sizeof(options[0]), argc, argv,
                      &arguments, &code))
        return code;
    zm_cli_progress_start();
    j.files = json_array();
    code = run_job(&j, &arguments);
    unload(&j);
    return code;
}

const zm_cli_command zm_cli_transcribe = {
    .name = "transcribe",
    .synopsis = "MODEL AUDIO...",
    .summary = "Write down what is said in audio files",
    .details = "MODEL is a Whisper model directory, AUDIO a WAV, FLAC or OGG file of any rate and "
               "number of\nchannels. The text goes to stdout as it is decoded, everything else to "
               "stderr.\n\n" ZM_CLI_DEVICE_HELP ZM_CLI_SPLIT_HELP,
    .min_arguments = 2,
    .max_arguments = SIZE_MAX,
    .run = run,
};
