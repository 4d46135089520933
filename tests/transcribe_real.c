/* SPDX-License-Identifier: Apache-2.0 */
/* Whisper tiny.en on five clips of LibriVox, token by token what the model gives in plain float32
 * arithmetic. Needs ZEROMEAN_MODELS_DIR and ZEROMEAN_TEST_SPEECH, which scripts/test sets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zeromean/zeromean.h>

#include "scratch.h"

static scratch_log test_log;

typedef struct fixture {
    float *speech;
    size_t sample_count;
    zm_device *device;
    zm_model *model;
    zm_session *session;
    zm_tokenizer *tokenizer;
} fixture;

static const char *required(const char *variable)
{
    const char *value = getenv(variable);
    if (!value)
        fail_msg("%s is not set; run the tests by scripts/test", variable);
    return value;
}

static void must(zm_status status)
{
    if (status != ZM_OK)
        fail_msg("%s: %s", zm_status_name(status), test_log.error);
}

static int is_wav(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && strcmp(dot, ".wav") == 0;
}

/* The clips of the folder, joined in order of name. */
static void read_speech(fixture *f)
{
    const char *folder = required("ZEROMEAN_TEST_SPEECH");
    struct dirent **entries;
    int count = scandir(folder, &entries, is_wav, alphasort);
    if (count != 5)
        fail_msg("%d clips of speech in %s instead of five", count, folder);
    for (int i = 0; i < count; i++) {
        char path[2048];
        float *clip;
        size_t size;
        snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        must(zm_audio_read(path, &test_log.log, &clip, &size));
        f->speech = realloc(f->speech, (f->sample_count + size) * sizeof(float));
        assert_non_null(f->speech);
        memcpy(f->speech + f->sample_count, clip, size * sizeof(float));
        f->sample_count += size;
        free(clip);
        free(entries[i]);
    }
    free(entries);
}

static int set_up(void **state)
{
    static fixture f;
    char path[2048];
    const char *spec = getenv("ZEROMEAN_DEVICE");
    const char *models = required("ZEROMEAN_MODELS_DIR");
    const zm_device_params device = {.spec = spec && *spec ? spec : "opencl", .log = &test_log.log};
    const zm_session_params session = {.log = &test_log.log};
    read_speech(&f);
    must(zm_device_open(&device, &f.device));
    print_message("device: %s\n", zm_device_get_info(f.device)->name);
    snprintf(path, sizeof(path), "%s/whisper-tiny.en", models);
    must(zm_model_open(path, &test_log.log, &f.model));
    must(zm_session_create(f.device, f.model, &session, &f.session));
    snprintf(path, sizeof(path), "%s/whisper-tiny.en/tokenizer.json", models);
    must(zm_tokenizer_open(path, &test_log.log, &f.tokenizer));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    if (!f)
        return 0;
    zm_tokenizer_close(&f->tokenizer);
    zm_session_destroy(&f->session);
    zm_model_close(&f->model);
    zm_device_close(&f->device);
    free(f->speech);
    return 0;
}

static zm_transcript *transcribe(fixture *f, const float *samples, size_t count, bool timestamps)
{
    const zm_transcribe_params params = {
        .samples = samples, .sample_count = count, .timestamps = timestamps, .log = &test_log.log};
    zm_transcript *transcript = NULL;
    must(zm_transcribe(f->session, f->model, f->tokenizer, &params, &transcript));
    return transcript;
}

static void assert_tokens(const zm_transcript *transcript, const int32_t *tokens, size_t count)
{
    for (size_t i = 0; i < count && i < transcript->token_count; i++)
        if (transcript->tokens[i] != tokens[i])
            fail_msg("token %zu is %d, expected %d; the text: %s", i, (int)transcript->tokens[i],
                     (int)tokens[i], transcript->text);
    assert_int_equal(transcript->token_count, count);
}

static const char text[] =
    "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his "
    "power to do for them. He was not an ill-disposed young man. Unless to be rather cold-hearted "
    "and rather selfish, is to be ill-disposed. Had he married a more amiable woman, he might have "
    "been made still more respectable than he was. He might even have been made amiable himself.";

static void test_plain(void **state)
{
    static const int32_t tokens[] = {
        843,  1770, 13,    1757,  16189, 3822, 550,  788,   24638, 284, 2074, 703,   881,
        612,  1244, 307,   25220, 1473,  287,  465,  1176,  284,   466, 329,  606,   13,
        679,  373,  407,   281,   2801,  12,   6381, 29813, 1862,  582, 13,   17486, 284,
        307,  2138, 4692,  12,    20122, 290,  2138, 20363, 11,    318, 284,  307,   2801,
        12,   6381, 29813, 13,    11161, 339,  6405, 257,   517,   716, 3379, 2415,  11,
        339,  1244, 423,   587,   925,   991,  517,  27721, 621,   339, 373,  13,    679,
        1244, 772,  423,   587,   925,   716,  3379, 2241,  13};
    fixture *f = *state;
    zm_transcript *transcript = transcribe(f, f->speech, f->sample_count, false);
    assert_tokens(transcript, tokens, sizeof(tokens) / sizeof(tokens[0]));
    assert_string_equal(transcript->text, text);
    assert_string_equal(transcript->language, "");
    assert_int_equal(transcript->segment_count, 1);
    assert_true(transcript->audio_seconds > 24.7 && transcript->audio_seconds < 24.8);
    print_message("mel %.3f s, encoder %.3f s, decoder %.3f s\n", transcript->mel_seconds,
                  transcript->encode_seconds, transcript->decode_seconds);
    zm_transcript_destroy(&transcript);
}

/* Where the segments end, in timestamps of 20 ms, is what the model gives too. */
static void test_timestamps(void **state)
{
    static const int ends[] = {277, 369, 520, 788, 1026, 1088, 1216};
    fixture *f = *state;
    zm_transcript *transcript = transcribe(f, f->speech, f->sample_count, true);
    assert_int_equal(transcript->token_count, 86); /* a comma less than without */
    assert_int_equal(transcript->segment_count, 7);
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal((int)(transcript->segments[i].end * 50 + 0.5), ends[i]);
        assert_int_equal((int)(transcript->segments[i].start * 50 + 0.5), i ? ends[i - 1] : 0);
    }
    assert_string_equal(transcript->segments[2].text, "He was not an ill-disposed young man.");
    zm_transcript_destroy(&transcript);
}

/* Longer than a window, with silence in between: every sentence comes once for each time it is
 * said. */
static void test_long_audio(void **state)
{
    fixture *f = *state;
    const size_t pause = 8 * ZM_AUDIO_RATE, count = 2 * f->sample_count + pause;
    float *samples = calloc(count, sizeof(float));
    int names = 0;
    assert_non_null(samples);
    memcpy(samples, f->speech, f->sample_count * sizeof(float));
    memcpy(samples + f->sample_count + pause, f->speech, f->sample_count * sizeof(float));
    zm_transcript *transcript = transcribe(f, samples, count, false);
    for (const char *at = transcript->text; (at = strstr(at, "Dashwood")); at++)
        names++;
    assert_int_equal(names, 2);
    assert_true(transcript->segment_count > 5);
    const zm_segment *last = &transcript->segments[transcript->segment_count - 1];
    assert_non_null(strstr(last->text, "amiable himself."));
    assert_true(last->end > 56 && last->end <= transcript->audio_seconds);
    zm_transcript_destroy(&transcript);
    free(samples);
}

static void test_silence_gives_no_text(void **state)
{
    fixture *f = *state;
    float *samples = calloc(3 * ZM_AUDIO_RATE, sizeof(float));
    assert_non_null(samples);
    zm_transcript *transcript = transcribe(f, samples, 3 * ZM_AUDIO_RATE, false);
    assert_string_equal(transcript->text, "");
    zm_transcript_destroy(&transcript);
    free(samples);
}

int main(void)
{
    scratch_log_init(&test_log);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_timestamps),
        cmocka_unit_test(test_long_audio),
        cmocka_unit_test(test_silence_gives_no_text),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
